"""Comments in WAV files, of any length: a LIST INFO chunk at the end, as RIFF defines it."""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

HEADER = struct.Struct("<4sI")
CLOCK = 4


def comment(path: Path) -> str:
    """The comment (ICMT) of a WAV file, or an empty text."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for name, start, size in _chunks(data, 12, len(data)):
            if name != b"LIST" or data[start : start + 4] != b"INFO":
                continue
            for field, at, length in _chunks(data, start + 4, start + size):
                if field == b"ICMT":
                    return data[at : at + length].rstrip(b"\0").decode("utf-8", "replace")
    return ""


def seal(path: Path, text: str) -> None:
    """Add a comment (unless empty) to a finished WAV file, and take out the clock time that a float one holds.

    libsndfile loses comments above 2 KiB and stamps the PEAK chunk of float files with the time of
    writing; without the stamp, the same sound is the same file.
    """
    if text:
        line = text.encode() + b"\0"
        line += bytes(len(line) % 2)
        with open(path, "ab") as file:
            chunk = HEADER.pack(b"LIST", 12 + len(line)) + b"INFO" + HEADER.pack(b"ICMT", len(line)) + line
            _ = file.write(bytes(file.tell() % 2) + chunk)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        data[:8] = HEADER.pack(b"RIFF", len(data) - 8)
        for name, start, _ in _chunks(data, 12, len(data)):
            if name == b"PEAK":
                data[start + CLOCK : start + CLOCK + 4] = bytes(4)


def _chunks(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and size of each chunk; one that passes the end ends the list."""
    while at + HEADER.size <= end:
        name, size = HEADER.unpack_from(data, at)
        at += HEADER.size
        if at + size > end:
            return
        yield name, at, size
        at += size + size % 2
