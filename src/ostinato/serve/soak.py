"""Long and repeated work through the doors for players: what grows, and how long a first take takes."""

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ..errors import MissingPartError, ServiceError
from ..filling import Progress
from ..speed import peak_mib
from .desk import Desk
from .looper import Settings, take
from .makers import Near
from .osc import Door, Wire
from .unloop import RATE

VOICES = 3
SOUND = 2.0
ASKS = (3, 0.0, 0, 1000.0 * SOUND, 1, 0.15, 64, 4, 0, 8, 1.0, 0.0, 0.0, 1)


@dataclass(frozen=True)
class State:
    """What a process holds: its memory in MiB, its open files and sockets, and the results that are kept for it."""

    minutes: float
    requests: int
    mib: float
    handles: int
    results: int


@dataclass(frozen=True)
class Latency:
    """Seconds from *generate* to the loop point at which the first take is swapped in, and what it was made of.

    `made` is when the take was there, `loop` how long the loop is, `met` how many of the next loop points were met.
    """

    loop: float
    made: float
    swap: float
    steps: int
    met: int
    of: int


def soak(desk: Desk, folder: Path, minutes: float, watch: Progress) -> list[State]:
    """Back-to-back requests of three voices over OSC, each of whose results is cleaned up as the patch does.

    Returns:
        What the process held at eleven times, evenly apart, the last one not before a request was answered; the first
        is when it has warmed up.

    Raises:
        ServiceError: a request ended with an error.
    """
    from pythonosc.osc_message import OscMessage
    from pythonosc.osc_message_builder import build_msg

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as patch:
        patch.bind(("127.0.0.1", 0))
        patch.settimeout(1.0)
        door = Door(Wire(port=0, reply_port=patch.getsockname()[1]), [folder], desk.store, Near(desk))
        running = threading.Thread(target=door.run, daemon=True)
        running.start()

        def send(address: str, *values: Any) -> None:
            _ = patch.sendto(build_msg(address, list(values)).dgram, ("127.0.0.1", door.port))

        def ask(number: int) -> None:
            send("/process", number, "vampnet", str(sounds[number % VOICES]), "default", *ASKS)

        sounds = [_loop(folder / f"{voice}in.wav", SOUND, voice) for voice in range(VOICES)]
        states, began, answered = [], time.monotonic(), 0
        due = [60 * minutes * (k + 1) / 11 for k in range(11)]
        try:
            for number in range(VOICES):
                ask(number + 1)
            while due:
                answered += _answer(patch, OscMessage, send, ask)
                passed = time.monotonic() - began
                watch("minutes", int(passed // 60), round(minutes))
                if passed >= due[0] and (answered or len(due) > 1):
                    _ = due.pop(0)
                    states.append(State(passed / 60, answered, resident_mib(), handles(), _files(desk.store.files)))
        finally:
            door.close()
            running.join(10)
    return states


def _answer(patch: socket.socket, read: Any, send: Callable[..., None], ask: Callable[[int], None]) -> int:
    """Hear one message; what a result leads to. Returns how many results it was."""
    try:
        message = read(patch.recv(65536))
    except TimeoutError:
        return 0
    if message.address == "/process-result":
        for path in message.params[1:]:
            send("/cleanup", path)
        ask(message.params[0] + VOICES)
        return 1
    if message.address == "/error":
        raise ServiceError(message.params[0])
    return 0


async def latencies(desk: Desk, loops: Sequence[float], points: int, watch: Progress) -> list[Latency]:
    """How soon after *generate* the first take is heard, for loops of some lengths, asked for as the page asks.

    *Generate* is pressed at the start of a loop; later takes are asked for when the one before is swapped in.
    """
    found = []
    for number, loop in enumerate(loops):
        watch("loops", number, len(loops))
        wav = _loop(desk.store.room() / "loop.wav", loop, number).read_bytes()
        settings = Settings(deadline=max(0.1, loop - 0.1), seed=1)
        _ = await take(desk, "bench", wav, settings)
        took, steps = [], 0
        for seed in range(points):
            began = time.monotonic()
            made = await take(desk, "bench", wav, replace(settings, seed=seed + 2))
            took.append(time.monotonic() - began)
            steps = steps or made.steps
        points_met = sum(each <= loop for each in took)
        swap = loop * -(-took[0] // loop)
        found.append(Latency(loop, took[0], swap, steps, points_met, points))
    return found


def resident_mib() -> float:
    """The memory this process has now, in MiB; where the platform does not tell, the most that it has had."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return peak_mib() or 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def handles() -> int:
    """How many files and sockets this process has open.

    Raises:
        MissingPartError: the platform does not tell.
    """
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        raise MissingPartError("open files are counted under /proc, which this system does not have") from None


def _loop(path: Path, seconds: float, seed: int) -> Path:
    """A file with decaying tones and some noise."""
    at = np.arange(round(seconds * RATE)) / RATE
    tones = 0.3 * np.sin(2 * np.pi * (220 + 55 * seed) * at) * np.exp(-6 * (at % 0.5))
    noise = 0.01 * np.random.default_rng(seed).standard_normal(len(at))
    soundfile.write(path, (tones + noise).astype(np.float32), RATE, subtype="FLOAT")
    return path


def _files(folder: Path) -> int:
    return sum(1 for path in folder.rglob("*") if path.is_file())
