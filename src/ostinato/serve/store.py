"""The folder of one server: uploads and rooms of takes, with limits of age and size, gone when the server is."""

import os
import secrets
import shutil
import threading
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import IO

from ..errors import OstinatoError
from ..models import home

AGE, SIZE = 6 * 3600.0, 2_000_000_000
LOCK = "lock"
PREFIX = "serve-"


class Store:
    """Files of a running server, under `files`; all else under `base` that no running server holds is removed.

    What was not touched for `age` seconds is removed by `sweep`, and the oldest first while there are more than
    `size` bytes; but nothing that somebody holds.

    Raises:
        OstinatoError: the folder cannot be made there.
    """

    def __init__(self, base: Path | None = None, *, age: float = AGE, size: int = SIZE) -> None:
        self._age, self._size = age, size
        self._held, self._turn = Counter[Path](), threading.Lock()
        base = home() / "serve" if base is None else base
        self.folder = base.resolve() / f"{PREFIX}{secrets.token_hex(6)}"
        self.files, self.arriving = self.folder / "files", self.folder / "arriving"
        try:
            base.mkdir(parents=True, exist_ok=True)
            remove_debris(base)
            for part in (self.folder, self.files, self.arriving):
                part.mkdir(mode=0o700)
            lock = locked(self.folder / LOCK)
        except OSError as error:
            raise OstinatoError(f"cannot keep files in {base}: {error.strerror or error}") from None
        assert lock is not None
        self._lock = lock

    def room(self) -> Path:
        """A new folder, for what belongs together."""
        room = self.files / secrets.token_hex(16)
        room.mkdir(mode=0o700)
        return room

    def holds(self, path: str | Path) -> bool:
        """Whether a path, links followed, is of a file in `files`."""
        real = Path(os.path.realpath(path))
        return real.is_relative_to(self.files) and real.is_file()

    def touch(self, room: Path) -> None:
        """Note that a room is in use."""
        if room.is_dir():
            os.utime(room)

    def hold(self, *rooms: Path) -> None:
        """Keep rooms until each was released as often as it was held."""
        with self._turn:
            self._held.update(rooms)

    def release(self, *rooms: Path) -> None:
        """Let go of rooms that were held."""
        with self._turn:
            self._held -= Counter(rooms)

    def sweep(self) -> None:
        """Remove what is too old, and the oldest of what is too much, of what nobody holds."""
        places = sorted(self._places(), key=lambda each: each[0])
        left = sum(size for _, size, _ in places)
        for touched, size, place in places:
            if touched > time.time() - self._age and left <= self._size:
                break
            if place not in self._held:
                _remove(place)
                left -= size

    def bytes(self) -> int:
        """How much there is."""
        return sum(size for _, size, _ in self._places())

    def close(self) -> None:
        """Remove it all."""
        self._lock.close()
        _remove(self.folder)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()

    def _places(self) -> list[tuple[float, int, Path]]:
        """Rooms, uploads and parts of uploads: when each was last touched, its size, and where it is."""
        found = []
        for place in [*self.files.iterdir(), *self.arriving.iterdir()]:
            try:
                inside = [each.stat() for each in (place, *place.rglob("*"))]
            except OSError:
                continue
            found.append((max(each.st_mtime for each in inside), sum(each.st_size for each in inside), place))
        return found


def remove_debris(base: Path) -> None:
    """Remove what servers left behind that are no more."""
    for folder in base.glob(f"{PREFIX}*"):
        lock = locked(folder / LOCK) if folder.is_dir() else None
        if lock is not None:
            lock.close()
            _remove(folder)


def locked(path: Path) -> IO[bytes] | None:
    """A file that is ours alone until it is closed or this process ends, or None where it is another's."""
    file = open(path, "ab")  # noqa: SIM115
    try:
        _lock(file)
    except OSError:
        file.close()
        return None
    return file


def _lock(file: IO[bytes]) -> None:
    try:
        import fcntl
    except ImportError:
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)
