"""Long and repeated work through the doors for players: what grows, and how long a first take takes."""

import os
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ..config import config, knob
from ..errors import MissingPartError, ServiceError
from ..filling import Progress
from ..speed import peak_mib
from .desk import Desk
from .looper import Settings, take
from .makers import Near
from .osc import Door, Wire
from .unloop import RATE


@config
class Asks:
    """What is asked for over OSC."""

    voices: int = knob("how many ask, each of them again once it is answered", default=3, low=1, high=16)
    seconds: float = knob("how long a loop is", default=2.0, unit="s", low=0.1, high=20)
    steps: int = knob("steps of each take", default=8, low=1, high=512)

    @property
    def sent(self) -> tuple[Any, ...]:
        """The arguments of a request after its sound."""
        return ("default", 3, 0.0, 0, 1000.0 * self.seconds, 1, 0.15, 64, 4, 0, self.steps, 1.0, 0.0, 0.0, 1)


@dataclass(frozen=True)
class State:
    """What a process holds: its memory in MiB, its open files and sockets, and the results that are kept for it.

    `slowest` is how many seconds the request that waited longest has waited for its two takes, so far.
    """

    minutes: float
    requests: int
    slowest: float
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


def soak(desk: Desk, folder: Path, minutes: float, asks: Asks, watch: Progress) -> list[State]:
    """Back-to-back requests of voices over OSC, each of whose results is cleaned up as the patch does.

    Returns:
        What the process held at eleven times, evenly apart, the last one not before a request was answered; the first
        is when it has warmed up.

    Raises:
        ServiceError: a request ended with an error.
    """
    from pythonosc.osc_message import OscMessage

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(("127.0.0.1", 0))
        port.settimeout(1.0)
        door = Door(Wire(port=0, reply_port=port.getsockname()[1]), [folder], desk.store, Near(desk))
        running = threading.Thread(target=door.run, daemon=True)
        running.start()
        patch = _Patch(port, door.port, asks, folder)
        states, began = [], time.monotonic()
        due = [60 * minutes * (k + 1) / 11 for k in range(11)]
        try:
            for number in range(asks.voices):
                patch.ask(number + 1)
            while due:
                with suppress(TimeoutError):
                    patch.hear(OscMessage(port.recv(65536)))
                passed = time.monotonic() - began
                watch("minutes", int(passed // 60), round(minutes))
                if passed >= due[0] and (patch.answered or len(due) > 1):
                    _ = due.pop(0)
                    held = (resident_mib(), handles(), _files(desk.store.files))
                    states.append(State(passed / 60, patch.answered, patch.slowest, *held))
        finally:
            door.close()
            running.join(10)
    return states


class _Patch:
    """Asks for takes through a port, has results removed, and asks again; counts answers, and how long they took."""

    def __init__(self, port: socket.socket, door: int, asks: Asks, folder: Path) -> None:
        self._port, self._door, self._asks = port, door, asks
        self._sounds = [_loop(folder / f"{voice}in.wav", asks.seconds, voice) for voice in range(asks.voices)]
        self._asked: dict[int, float] = {}
        self.answered, self.slowest = 0, 0.0

    def ask(self, number: int) -> None:
        """Ask for takes; the number says whose."""
        self._asked[number] = time.monotonic()
        self._send("/process", number, "vampnet", str(self._sounds[number % self._asks.voices]), *self._asks.sent)

    def hear(self, message: Any) -> None:
        """Do what a message leads to.

        Raises:
            ServiceError: it tells of an error.
        """
        if message.address == "/process-result":
            number, *paths = message.params
            for path in paths:
                self._send("/cleanup", path)
            self.answered += 1
            self.slowest = max(self.slowest, time.monotonic() - self._asked.pop(number))
            self.ask(number + self._asks.voices)
        if message.address == "/error":
            raise ServiceError(message.params[0])

    def _send(self, address: str, *values: Any) -> None:
        from pythonosc.osc_message_builder import build_msg

        _ = self._port.sendto(build_msg(address, list(values)).dgram, ("127.0.0.1", self._door))


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
