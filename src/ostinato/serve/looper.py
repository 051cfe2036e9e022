"""The looper's door: its page, and takes of a loop to a deadline, as one request with a WAV in and a WAV out."""

import asyncio
import base64
import json
import secrets
import shutil
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from .. import audiofile
from ..budget import Budget
from ..config import config, from_json, knob, load
from ..draft import Draft
from ..errors import AudioError, ConfigError, OstinatoError, ServiceError
from ..filling import Progress
from ..hints import Hint
from ..hints.beats import OnBeats
from ..hints.levels import Finer
from ..hints.places import Periodic
from ..pipeline import COARSE
from ..prompts import Prompt
from ..sampling import Confidence
from ..types import Beats, Grid
from .desk import Desk, done, plain_words
from .limits import admit
from .service import Cancelled
from .workshop import SEEDS, Order, Way

PAGE = Path(__file__).parent / "loop"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = "default-src 'none'; " + "; ".join(
    f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect", "worker", "manifest")
)
LONGEST, LEAST = 60.0, 0.02
LONGEST_ID = 64
SPARE, SECOND = 0.12, 0.05  # of a deadline, as passes do not all take the same time, and in seconds, for files
MOST = 36


@config
class Settings:
    """What a voice wants of its next take."""

    periodic: int = knob("every how manieth frame is kept; 0 keeps none", default=7, unit="frames", low=0, high=128)
    beat: float = knob("how much is kept from each beat on", default=0.0, unit="ms", low=0, high=400)
    beats: int = knob(
        "how many beats the loop has, all as long, from its start; 0 listens for them", default=0, low=0, high=1024
    )
    codebooks: int = knob("finer codebooks than these are always made anew", default=4, low=1, high=64)
    temperature: float = knob("how daring", default=COARSE.temperature, low=0, high=5)
    seed: int = knob("another seed, another take; 0 draws one", default=0, low=0, high=SEEDS - 1)
    deadline: float = knob(
        "when the take must be there, from when it was asked for", default=4.0, unit="s", low=0.02, high=120
    )
    model: str = knob("which model", default="")


@dataclass(frozen=True)
class Made:
    """A take as the page gets it: its WAV, what was hidden, its seed, its passes and how long it took."""

    wav: bytes
    hidden: Bool[np.ndarray, "codebook frame"]
    seed: int
    steps: int
    waited: float
    seconds: float

    @property
    def told(self) -> dict[str, Any]:
        """All but the sound, as plain data; bits of the mask codebook by codebook, the first one highest."""
        codebooks, frames = self.hidden.shape
        bits = base64.b64encode(np.packbits(self.hidden).tobytes()).decode()
        how = {
            "seed": self.seed,
            "steps": self.steps,
            "waited": round(self.waited, 4),
            "seconds": round(self.seconds, 4),
        }
        return {"codebooks": codebooks, "frames": frames, "mask": bits, **how}


def prompt_of(settings: Settings, grid: Grid) -> Prompt:
    """What of the loop stays: some of its frames, and what is on its beats; nothing where neither is asked for."""
    keep: list[Hint] = [Periodic(period=settings.periodic)] if settings.periodic else []
    keep += [OnBeats(after=settings.beat, before=0.0)] if settings.beat else []
    finer = [Finer(first=settings.codebooks)] if keep and settings.codebooks < grid.codebooks else []
    return Prompt(tuple(keep), tuple(finer))


async def take(desk: Desk, client: str, wav: bytes, settings: Settings) -> Made:
    """The next take of a loop that goes round: as many steps as fit before its deadline, the queue's wait included.

    More than MOST steps of the coarse model buy nothing that is heard, and would only keep the machine from playing.

    A loop that is itself a take goes on from its tokens. Cancelled, it gives up its job, within one step if it runs.

    Raises:
        OstinatoError: the sound is none that we take or too long, or the server is busy.
    """
    asked, room = time.monotonic(), desk.store.room()
    desk.store.hold(room)
    try:
        sound = await asyncio.to_thread(_admitted, desk, wav, room)
        order = Order(
            sound,
            prompt_of(settings, desk.workshop.main.grid),
            Way(loop=True),
            settings.model,
            lenient=True,
            continued=True,
            beats=_evenly(settings.beats, audiofile.info(sound).seconds),
            coarse=Confidence(steps=MOST, temperature=settings.temperature),
        )
        seed = settings.seed or 1 + secrets.randbelow(SEEDS - 2)

        def work(watch: Progress) -> tuple[Draft, Budget, float]:
            began = time.monotonic()
            job = desk.workshop.job(order)
            left = (1 - SPARE) * settings.deadline - SECOND - (time.monotonic() - asked)
            budget = Budget(max(LEAST, left), capped=True)
            draft, _ = job.take(room / "take.wav", seed, budget, watch)
            return draft, budget, began - asked

        ticket = desk.service.submit(client, work)
        try:
            draft, budget, waited = await done(ticket)
        finally:
            desk.service.give_up(ticket)
        wave = await asyncio.to_thread((room / "take.wav").read_bytes)
        steps = getattr(budget.chosen["coarse"], "steps", 1)
        return Made(wave, draft.mask[0].numpy(), seed, steps, waited, time.monotonic() - asked)
    finally:
        desk.store.release(room)
        await asyncio.to_thread(shutil.rmtree, room, ignore_errors=True)


def _evenly(beats: int, seconds: float) -> Beats | None:
    """So many beats over a loop; none where it is to be listened to."""
    return Beats(tuple(seconds * k / beats for k in range(beats))) if beats else None


def routes(desk: Desk) -> Sequence[Any]:
    """The page at /loop, its parts below it, and POST /loop/take, for an ASGI application."""
    from starlette.requests import Request
    from starlette.responses import JSONResponse, RedirectResponse, Response
    from starlette.routing import Route

    async def part(request: Request) -> Response:
        name = request.path_params.get("name") or "index.html"
        if name not in {path.name for path in PAGE.iterdir()}:
            return Response(status_code=404)
        headers = {
            "content-security-policy": POLICY,
            "cache-control": "no-cache",
            "permissions-policy": "microphone=(self), midi=(self)",
        }
        kind = KINDS[Path(name).suffix]
        return Response((PAGE / name).read_bytes(), media_type=kind, headers=headers)

    async def to_page(request: Request) -> Response:
        return RedirectResponse("loop/")

    async def made(request: Request) -> Response:
        try:
            client, settings = _asked(request.query_params)
            body = await _body(request, desk.limits.bytes)
            found = await _wanted(request, take(desk, client, body, settings))
        except OstinatoError as error:
            status = 429 if isinstance(error, ServiceError) else 400
            return JSONResponse({"error": plain_words(error)}, status_code=status)
        return Response(found.wav, media_type="audio/wav", headers={"x-ostinato-take": json.dumps(found.told)})

    return [
        Route("/loop", to_page),
        Route("/loop/", part),
        Route("/loop/take", made, methods=["POST"]),
        Route("/loop/{name}", part),
    ]


async def _wanted(request: Any, work: Coroutine[Any, Any, Made]) -> Made:
    """What work comes to, for a request whose body is read; it is cancelled when the client goes away.

    Raises:
        Cancelled: the client went away; else what the work raises.
    """
    working, leaving = asyncio.create_task(work), asyncio.create_task(request.receive())
    try:
        _ = await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Cancelled("the client went away")
        return await working
    finally:
        _ = working.cancel(), leaving.cancel()
        _ = await asyncio.wait((working, leaving))


def _asked(sent: Mapping[str, str]) -> tuple[str, Settings]:
    """Who asks, and for what.

    Raises:
        ConfigError: the settings are no JSON, or no settings of ours.
    """
    try:
        plain = from_json(sent.get("settings", "{}"))
    except ValueError:
        raise ConfigError("settings are written as JSON") from None
    return f"loop {sent.get('client', '')[:LONGEST_ID]}", load(Settings, plain)


async def _body(request: Any, most: int) -> bytes:
    """What was sent.

    Raises:
        AudioError: it is too much.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise AudioError(f"that loop is too big; at most {most // 1_000_000} MB are taken here")
        parts.append(part)
    return b"".join(parts)


def _admitted(desk: Desk, wav: bytes, room: Path) -> Path:
    sound = room / "loop.wav"
    _ = sound.write_bytes(wav)
    return admit(sound, desk.store, room, replace(desk.limits, seconds=min(LONGEST, desk.limits.seconds)))
