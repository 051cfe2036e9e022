"""The looper's door over HTTP: a loop goes in, the next take comes back with its mask, in time."""

import asyncio
import base64
import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.applications import Starlette

from ostinato.budget import Budget
from ostinato.filling import Progress
from ostinato.hints.beats import OnBeats
from ostinato.hints.levels import Finer
from ostinato.hints.places import Periodic
from ostinato.prompts import Prompt
from ostinato.serve.desk import Desk
from ostinato.serve.limits import Limits
from ostinato.serve.looper import MOST, PAGE, Settings, prompt_of, routes
from ostinato.serve.service import Service
from ostinato.serve.store import Store
from ostinato.serve.workshop import Workshop
from ostinato.takes import read_draft
from ostinato.types import Grid
from tests import sounds
from tests.server import Server

PATIENCE = 10.0


def asked(server: Server, wav: bytes, **settings: Any) -> httpx.Response:
    return posted(server, wav, json.dumps(settings))


def posted(server: Server, wav: bytes, settings: str) -> httpx.Response:
    query = {"client": "test", "settings": settings}
    return httpx.post(f"{server.url}/loop/take", params=query, content=wav, timeout=60)


def told(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return json.loads(answer.headers["x-ostinato-take"])


def mask_of(about: dict[str, Any]) -> np.ndarray:
    bits = np.unpackbits(np.frombuffer(base64.b64decode(about["mask"]), np.uint8))
    return bits[: about["codebooks"] * about["frames"]].reshape(about["codebooks"], about["frames"])


def test_a_take_is_as_long_as_the_loop_to_the_sample_and_comes_with_its_mask(server: Server):
    answer = asked(server, sounds.file(rate=48000, channels=2, seconds=1.5, subtype="FLOAT"), periodic=5, deadline=2.0)
    wave, rate = sounds.decoded(answer.content)
    about = told(answer)
    assert (wave.shape, rate) == ((72000, 2), 48000)
    mask = mask_of(about)
    assert mask.shape == (6, round(about["frames"]))
    assert (mask[:4, ::5] == 0).all()
    assert mask[:4, 1::5].all()
    assert mask[4:].all()
    assert about["steps"] >= 1


def test_a_take_of_a_loop_goes_round(server: Server, tmp_path: Path):
    _ = (tmp_path / "take.wav").write_bytes(asked(server, sounds.file(seconds=0.5), deadline=1.0).content)
    draft = read_draft(tmp_path / "take.wav")
    assert draft is not None
    assert draft.origin.circular


def test_a_long_time_until_the_loop_point_is_not_spent_on_more_steps_than_help(server: Server):
    answer = asked(server, sounds.file(seconds=0.5), deadline=60.0)
    about = told(answer)
    assert about["steps"] == MOST
    assert about["seconds"] < 30


def test_the_same_seed_gives_the_same_mask_and_none_gives_another_take(server: Server):
    wav = sounds.file(seconds=0.8)
    one, other = (told(asked(server, wav, deadline=0.5)) for _ in range(2))
    assert one["seed"] != other["seed"]
    assert one["mask"] == other["mask"]


def test_beats_that_are_known_are_kept_and_not_listened_for(server: Server):
    about = told(asked(server, sounds.file(seconds=2.0), periodic=0, beat=10.0, beats=3, deadline=1.0))
    kept = np.flatnonzero((mask_of(about)[:4] == 0).all(0))
    starts = [round(k * about["frames"] / 3) for k in range(3)]
    assert all(min(abs(frame - start) for start in starts) <= 1 for frame in kept)
    assert all(min(abs(frame - start) for frame in kept) <= 1 for start in starts)


def test_a_take_goes_on_from_its_own_tokens(server: Server):
    first = asked(server, sounds.file(seconds=0.8), periodic=0, deadline=1.0)
    again = asked(server, first.content, periodic=1, deadline=1.0)
    one, other = (sounds.decoded(each.content)[0] for each in (first, again))
    assert told(again)["codebooks"] == 6
    assert one.shape == other.shape


@pytest.mark.parametrize(
    ("content", "settings", "words"),
    [
        (b"no sound", {}, "loop.wav"),
        (b"", {}, "empty"),
        (sounds.file(seconds=0.5), {"periodic": 500}, "periodic"),
        (sounds.file(seconds=0.5), {"nonsense": 1}, "nonsense"),
        (sounds.file(seconds=0.5), "[" * 3000, "JSON"),
        (sounds.file(seconds=0.5), "[" * 900 + "]" * 900, "Settings"),
        (sounds.file(rate=8000, seconds=61), {}, "at most 60 s"),
    ],
)
def test_what_cannot_be_is_refused_in_words(server: Server, content: bytes, settings: dict[str, Any] | str, words: str):
    answer = posted(server, content, settings if isinstance(settings, str) else json.dumps(settings))
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_nothing_of_a_take_is_kept(server: Server):
    before = server.status()["bytes"]
    _ = told(asked(server, sounds.file(seconds=0.5), deadline=0.5))
    assert server.status()["bytes"] == before


async def left(desk: Desk, begun: threading.Event) -> list[Any]:
    """What is sent to a client that asks for a take and goes away once its job has begun."""
    coming, sent = [{"type": "http.request", "body": sounds.file(seconds=0.5)}], []

    async def receive() -> Any:
        if coming:
            return coming.pop()
        _ = await asyncio.to_thread(begun.wait, PATIENCE)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/loop/take", "query_string": b"client=leaves", "headers": []}
    _ = await asyncio.wait_for(Starlette(routes=routes(desk))(scope, receive, send), PATIENCE)
    return sent


def test_a_client_that_goes_away_frees_its_place(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    begun, over = threading.Event(), threading.Event()

    def endless(path: Path, seed: int, budget: Budget, watch: Progress) -> Any:
        begun.set()
        try:
            while not over.wait(0.005):
                watch("coarse", 0, 0)
        finally:
            over.set()

    workshop = Workshop(tiny_model)
    monkeypatch.setattr(workshop, "job", lambda order: SimpleNamespace(take=endless))
    with Store(tmp_path) as store:
        desk = Desk(workshop, Service(), store, Limits())
        try:
            status = asyncio.run(left(desk, begun))[0]["status"]
            given_up = over.wait(PATIENCE)
        finally:
            over.set()
            desk.service.close()
        assert (status, given_up) == (429, True)
        assert store.bytes() == 0


def test_the_page_and_its_parts_are_served_under_a_strict_policy_and_nothing_else(server: Server):
    for path in PAGE.iterdir():
        answer = httpx.get(f"{server.url}/loop/{path.name}")
        assert answer.content == path.read_bytes()
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "looper" in httpx.get(f"{server.url}/loop", follow_redirects=True).text
    for name in ("..%2Fosc.py", "%2e%2e/service.py", "none.js", "..%2f..%2fcli.py"):
        assert httpx.get(f"{server.url}/loop/{name}").status_code in (403, 404)


def test_the_page_needs_nothing_from_elsewhere():
    for path in PAGE.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "http:" not in text
        assert "https:" not in text


def test_settings_mean_prompts():
    grid = Grid(codebooks=8, vocabulary=32)
    assert prompt_of(Settings(periodic=0), grid) == Prompt()
    assert prompt_of(Settings(), grid) == Prompt((Periodic(period=7),), (Finer(first=4),))
    assert prompt_of(Settings(periodic=0, beat=50.0), grid) == Prompt((OnBeats(after=50, before=0),), (Finer(first=4),))
    assert prompt_of(Settings(codebooks=8), grid).hide == ()
