"""The door for unloop: OSC over UDP, as the client of its Max patch speaks it, and nothing outside named folders."""

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import audiofile
from ..config import config, knob
from ..errors import AudioError, MissingPartError, OstinatoError, ServiceError
from .desk import plain_words
from .store import Store
from .unloop import Query, inside, joined, number_of, query_of, split

TICK = 0.1
MOST = 16
LARGEST = 65536
GREETING = "hello from ostinato!"
STARTING, WAITING, WORKING = "Status.STARTING", "Status.IN_QUEUE", "Status.PROCESSING"
FINISHED, ENDED = "Status.FINISHED", "Status.CANCELLED"


@config
class Wire:
    """Where the door hears the patch, and where the patch hears it."""

    host: str = knob("address to listen at", default="127.0.0.1")
    port: int = knob("UDP port to listen at; 0 takes a free one", default=8001, low=0, high=65535)
    reply_host: str = knob("address of the patch", default="127.0.0.1")
    reply_port: int = knob("UDP port of the patch", default=8003, low=1, high=65535)


Maker = Callable[[Path, Query, Callable[[str], None]], tuple[Path, Path]]
"""What makes two takes of a loop: `make(loop, query, tell)` blocks, and tells WAITING and WORKING meanwhile."""


@dataclass(eq=False)
class Job:
    """A request that is being answered."""

    number: int
    status: str = STARTING
    began: float = field(default_factory=time.monotonic)


def check_parts() -> None:
    """See that what this door needs is installed.

    Raises:
        MissingPartError: it is not.
    """
    if find_spec("pythonosc") is None:
        raise MissingPartError("unloop needs python-osc: pip install 'ostinato[unloop]'")


class Door:
    """Answers `/process`, `/heartbeat` and `/cleanup`; each request on a thread of its own, at most 16 at a time.

    A request ends with `/process-result` after Status.FINISHED, or with `/error` and Status.CANCELLED. Sounds are read
    in `folders` only, results written to and removed from the store only.

    Args:
        wire: where it listens and answers.
        folders: where sounds may be read.
        store: where results are put.
        make: what makes takes.
        say: called with a line for the user now and then, from any thread.

    Raises:
        MissingPartError: python-osc is missing.
        OstinatoError: the port is taken, or a folder is not there.
    """

    def __init__(
        self,
        wire: Wire,
        folders: Sequence[Path],
        store: Store,
        make: Maker,
        say: Callable[[str], object] = lambda line: None,
    ) -> None:
        check_parts()
        for folder in folders:
            if not folder.is_dir():
                raise OstinatoError(f"there is no folder {folder}; name the one that the patch writes its sounds to")
        self._folders, self._store, self._make, self._say = tuple(folders), store, make, say
        self._jobs: list[Job] = []
        self._turn, self._closed = threading.Lock(), threading.Event()
        self._socket = _bound(wire)
        self._patch = (wire.reply_host, wire.reply_port)
        self.port: int = self._socket.getsockname()[1]

    @property
    def busy(self) -> int:
        """How many requests are being answered."""
        return len(self._jobs)

    def run(self) -> None:
        """Answer until `close`."""
        self._send("/log", GREETING)
        due = time.monotonic() + TICK
        while not self._closed.is_set():
            self._socket.settimeout(max(0.001, due - time.monotonic()))
            try:
                self._hear(self._socket.recv(LARGEST))
            except TimeoutError:
                pass
            except ConnectionError:  # an answer reached no one, as Windows tells by the next call
                continue
            except OSError:
                break
            if time.monotonic() >= due:
                due = time.monotonic() + TICK
                self._tell_all()

    def close(self) -> None:
        """Answer no more."""
        self._closed.set()
        with self._turn:
            self._socket.close()

    def _hear(self, datagram: bytes) -> None:
        """Answer whatever was sent, by whomever; what is no OSC is passed over, and times in bundles are."""
        from pythonosc.osc_packet import OscPacket, ParseError

        try:
            messages = [timed.message for timed in OscPacket(datagram).messages]
        except (ParseError, ValueError, IndexError, RecursionError, OverflowError):
            return
        for message in messages:
            if message.address == "/heartbeat":
                self._send("/heartbeat", "pong")
            elif message.address == "/cleanup":
                self._cleanup(message.params)
            elif message.address == "/process":
                self._process(message.params)

    def _cleanup(self, sent: Sequence[Any]) -> None:
        """Remove a result."""
        path = sent[0] if sent else None
        try:
            if not isinstance(path, str) or not self._store.holds(path):
                raise AudioError(f"only results are cleaned up, and this is none: {str(path)[:100]!r}")
            real = Path(os.path.realpath(path))
            real.unlink(missing_ok=True)
            if not any(real.parent.iterdir()):
                real.parent.rmdir()
        except (OSError, ValueError) as error:
            self._complain(f"a result cannot be cleaned up: {error}")
        except OstinatoError as error:
            self._complain(plain_words(error))

    def _process(self, sent: Sequence[Any]) -> None:
        job = Job(number_of(sent))
        with self._turn:
            full = len(self._jobs) >= MOST
            if not full:
                self._jobs.append(job)
        if full:
            self._end(job, f"{MOST} requests are being answered already; let one of them finish first")
            return
        threading.Thread(target=self._answer, args=(job, sent), name="ostinato-unloop", daemon=True).start()

    def _answer(self, job: Job, sent: Sequence[Any]) -> None:
        try:
            paths = self._made(job, query_of(sent))
        except OstinatoError as error:
            self._end(job, plain_words(error))
        except Exception as error:
            self._end(job, f"this should not happen: {type(error).__name__}: {error}")
            raise
        else:
            self._end(job, None)
            self._send("/process-result", job.number, *map(str, paths))

    def _made(self, job: Job, query: Query) -> list[Path]:
        """The two results of a request."""

        def tell(status: str) -> None:
            job.status = status

        self._store.sweep()
        sound = inside(query.path, self._folders)
        loop, rest = split(sound, query.seconds)
        work, room = self._store.room(), self._store.room()
        self._store.hold(work, room)
        try:
            _ = audiofile.write(work / "loop.wav", loop, subtype="FLOAT")
            takes = self._make(work / "loop.wav", query, tell)
            results = [room / f"{job.number}_{letter}.wav" for letter in "ab"]
            for take, result in zip(takes, results, strict=True):
                _ = audiofile.write(result, joined(take, loop, rest), subtype="FLOAT")
            return results
        except BaseException:
            shutil.rmtree(room, ignore_errors=True)
            raise
        finally:
            self._store.release(work, room)
            shutil.rmtree(work, ignore_errors=True)

    def _end(self, job: Job, error: str | None) -> None:
        """The last status of a request, and no other after it."""
        took = f"{time.monotonic() - job.began:.1f} s"
        with self._turn:
            if job in self._jobs:
                self._jobs.remove(job)
        if error is not None:
            self._complain(error)
        self._send("/progress", job.number, FINISHED if error is None else ENDED)
        if error is None:
            self._send("/log", f"query {job.number} has been processed in {took}")
            _ = self._say(f"query {job.number}: {took}")

    def _complain(self, error: str) -> None:
        self._send("/error", error)
        _ = self._say(f"error: {error}")

    def _tell_all(self) -> None:
        with self._turn:
            for job in self._jobs:
                self._put("/progress", job.number, job.status)

    def _send(self, address: str, *values: Any) -> None:
        with self._turn:
            self._put(address, *values)

    def _put(self, address: str, *values: Any) -> None:
        from pythonosc.osc_message_builder import build_msg

        if not self._closed.is_set():
            _sent(self._socket, build_msg(address, list(values)).dgram, self._patch)


def _sent(port: socket.socket, datagram: bytes, to: tuple[str, int]) -> None:
    try:
        _ = port.sendto(datagram, to)
    except OSError:  # nobody listens there, which is no reason to stop
        return


def _bound(wire: Wire) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.bind((wire.host, wire.port))
    except OSError as error:
        made.close()
        why = error.strerror or error
        raise ServiceError(f"cannot listen at {wire.host}:{wire.port}: {why}; is it running already?") from None
    return made
