"""A stand-in for unloop's Max patch: it sends what the patch sends, over UDP, and hears what comes back."""

import socket
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import build_msg

RATE = 48000
USUAL: list[Any] = ["default", 3, 0.0, 9, 1000.0, 1, 0.15, 64, 4, 0, 1, 1.0, 0.0, 0.0, 1]
NAMES = ["model", "periodic", "drop", "seed", "length", "typical", "mass", "least", "codebooks", "onset", "steps"]
NAMES += ["temperature", "top_p", "beat", "feedback"]


class Patch:
    """One patch; `said` has all that it heard, as (address, values, seconds since it was made)."""

    def __init__(self, door: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.door = door
        self.said: list[tuple[str, list[Any], float]] = []

    def send(self, address: str, *values: Any) -> None:
        self.send_raw(build_msg(address, list(values)).dgram)

    def send_raw(self, datagram: bytes) -> None:
        _ = self._socket.sendto(datagram, ("127.0.0.1", self.door))

    def process(self, number: int, sound: Path | str, **changes: Any) -> None:
        values = dict(zip(NAMES, USUAL, strict=True)) | changes
        self.send("/process", number, "vampnet", str(sound), *values.values())

    def hear(self, address: str, number: int | None = None, seconds: float = 60.0) -> list[Any]:
        """The values of the next message to an address, of one request."""
        until = time.monotonic() + seconds
        while True:
            self._socket.settimeout(max(0.001, until - time.monotonic()))
            try:
                message = OscMessage(self._socket.recv(65536))
            except TimeoutError:
                raise AssertionError(f"nothing at {address} within {seconds} s; heard {self.said}") from None
            self.said.append((message.address, message.params, time.monotonic()))
            if message.address == address and number in (None, message.params[0]):
                return message.params

    def results(self, number: int, seconds: float = 60.0) -> list[Path]:
        return [Path(each) for each in self.hear("/process-result", number, seconds)[1:]]

    def statuses(self, number: int) -> list[str]:
        return [values[1] for address, values, _ in self.said if address == "/progress" and values[0] == number]

    def __enter__(self) -> "Patch":
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._socket.close()


def read(path: Path) -> np.ndarray:
    """A mono file's samples at 48 kHz."""
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate == RATE
    assert wave.shape[1] == 1
    return wave[:, 0]
