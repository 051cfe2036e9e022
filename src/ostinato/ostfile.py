"""The .ost file: a header, an index and blocks, each with its own check; docs/format.md describes every byte."""

import itertools
import math
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from jaxtyping import Bool
from torch import Tensor

from .bits import crc16, varint
from .config import config, knob
from .errors import AudioError, ConfigError
from .types import Grid
from .whole import whole, writable

MAGIC, SUFFIX = b"\x8fOST", ".ost"
STEREO, IMAGE, LEAN = 1, 2, 4
FLAGS = {1: (0, STEREO, STEREO | IMAGE), 2: (STEREO | LEAN,)}  # that a file of each version may have
LONGEST_PERIOD, MOST_RUNS = 255, 32
LONGEST_HEADER, MOST_CODEBOOKS, MOST_TOKENS = 1 << 16, 64, 1 << 16
CHECK, BLOCK = 2, 57


@dataclass(frozen=True)
class Keep:
    """Which cells a file keeps: runs of columns over a period of frames; a period of 0 leaves it to each block.

    A run is how many frames it lasts and the column they share, whose bit `k` says that codebook `k` is kept.
    """

    period: int = 0
    runs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, hidden: Bool[Tensor, "codebook frame"]) -> "Keep":
        """The shortest description of a mask (True where cells are hidden)."""
        kept = (~hidden).numpy()
        frames = kept.shape[1]
        for period in range(1, min(LONGEST_PERIOD, frames) + 1):
            if (kept[:, period:] == kept[:, : frames - period]).all():
                columns = (kept[:, :period].T * (1 << np.arange(len(kept), dtype=object))).sum(1).tolist()
                edges = [0, *(n for n in range(1, period) if columns[n] != columns[n - 1]), period]
                runs = [(stop - start, int(columns[start])) for start, stop in itertools.pairwise(edges)]
                return cls(period, tuple(runs)) if len(runs) <= MOST_RUNS else cls()
        return cls()

    def kept(self, codebooks: int, start: int, frames: int) -> Bool[np.ndarray, "codebook frame"]:
        """The kept cells of `frames` frames from `start` on; with a period of 0, none."""
        columns = np.array([column for count, column in self.runs for _ in range(count)] or [0], dtype=object)
        here = columns[(start + np.arange(frames)) % len(columns)]
        return (here[None] >> np.arange(codebooks, dtype=object)[:, None] & 1).astype(bool)

    def pack(self) -> bytes:
        return b"".join(map(varint, [self.period, *(number for run in self.runs for number in run)]))


@config
class Header:
    """What a file tells before its first block."""

    grid: Grid = knob("the raster of the tokens", default=Grid())
    sample_rate: int = knob(help="of the sound", unit="Hz", low=1, high=768_000)
    channels: int = knob(help="of the sound", low=1, high=2)
    image: bool = knob("whether the side is given as an image of the mid, not as tokens", default=False)
    lean: bool = knob("whether blocks say which way a side of tokens leans", default=False)
    samples: int = knob(help="length of the sound at its own rate", unit="samples", low=1, high=2**48)
    gain: float = knob(
        "what the sound of the tokens is divided by to be as loud as the original", default=1.0, low=1e-9, high=1e9
    )
    seed: int = knob("of what is filled in", default=0, low=0, high=2**64 - 1)
    block: int = knob("frames in a block", default=BLOCK, low=1, high=4096)
    keep: Keep = knob("which cells are kept", default=Keep())
    model: str = knob("name of the model", default="")
    settings: str = knob("of the samplers; empty for the usual ones", default="")
    model_hash: str = knob("hash of the model", default="0" * 16)
    codec_hash: str = knob("hash of its codec", default="0" * 16)
    context: str = knob("hash of its context model", default="0" * 8)

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate

    @property
    def frames(self) -> int:
        """Frames that cover the sound, whose length at the codec's rate is rounded to a sample."""
        return self.grid.frames_of(_rounded(self.samples * self.grid.sample_rate, self.sample_rate))

    @property
    def blocks(self) -> int:
        return -(-self.frames // self.block)

    @property
    def rows(self) -> int:
        """Rows of tokens: mid, and side where it is given as tokens."""
        return 2 if self.channels == 2 and not self.image else 1

    def span(self, number: int) -> tuple[int, int]:
        """The first frame of a block, and how many it has."""
        start = number * self.block
        return start, min(self.block, self.frames - start)

    def pack(self) -> bytes:
        """The file's bytes up to its index, check included."""
        flags = STEREO * (self.channels == 2) | IMAGE * self.image | LEAN * self.lean
        numbers = [self.sample_rate, self.samples]
        numbers += [self.grid.sample_rate, self.grid.hop, self.grid.codebooks, self.grid.vocabulary]
        numbers += [self.block, self.seed]
        hashes = bytes.fromhex(self.model_hash + self.codec_hash + self.context)
        texts = [text.encode() for text in (self.model, self.settings)]
        body = bytes([flags]) + b"".join(map(varint, numbers)) + struct.pack(">d", self.gain) + hashes
        body += self.keep.pack() + b"".join(varint(len(text)) + text for text in texts)
        whole = MAGIC + bytes([2 if self.lean else 1]) + varint(len(body)) + body
        return whole + zlib.crc32(whole).to_bytes(4, "big")


class _Bytes:
    """Bytes taken one field after the other; running out of them is an error by name."""

    def __init__(self, path: Path, data: bytes, part: str) -> None:
        self._path, self._data, self._part, self._at = path, data, part, 0

    def take(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise AudioError(f"{self._path} is cut short or damaged in its {self._part}")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self) -> int:
        """A varint of at most 10 bytes."""
        total = 0
        for place in range(10):
            byte = self.take(1)[0]
            total |= (byte & 127) << 7 * place
            if byte < 128:
                return total
        raise AudioError(f"{self._path} is damaged in its {self._part}: it holds a number without an end")

    def text(self) -> str:
        return self.take(self.number()).decode(errors="replace")

    @property
    def read(self) -> bytes:
        return self._data[: self._at]

    @property
    def left(self) -> int:
        return len(self._data) - self._at


class OstReader:
    """An .ost file open for reading: its header and index are read, its blocks when asked for.

    Raises:
        AudioError: the file is missing, no .ost file, of an unknown version, cut short, or damaged in its header or
            index. Nothing is allocated that the file's own size does not account for.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file: BinaryIO = open(self.path, "rb")  # noqa: SIM115
        except OSError as error:
            raise AudioError(f"cannot read {path}: {error.strerror}") from None
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            self.header, at = self._read_header()
            self.starts = self._read_index(at)
        except BaseException:
            self._file.close()
            raise

    def block(self, number: int) -> bytes | None:
        """The coded tokens of a block, or None where they are cut off or fail their check."""
        start, stop = self.starts[number : number + 2]
        if start == stop:
            return b""
        _ = self._file.seek(start)
        data = self._file.read(stop - start)
        whole = len(data) == stop - start and data[-CHECK:] == check(number, data[:-CHECK])
        return data[:-CHECK] if whole else None

    def __enter__(self) -> "OstReader":
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._file.close()

    @property
    def whole(self) -> bool:
        """Whether the file is as long as its index says."""
        return self.size == self.starts[-1]

    def _read_header(self) -> tuple[Header, int]:
        data = _Bytes(self.path, self._file.read(LONGEST_HEADER), "header")
        if data.take(min(len(MAGIC), self.size)) != MAGIC[: self.size] or not self.size:
            raise AudioError(f"{self.path} is not an .ost file; `ostinato compress` makes one")
        version = data.take(1)[0]
        if version not in FLAGS:
            raise AudioError(
                f"{self.path} is an .ost file of version {version}; this ostinato reads up to {max(FLAGS)}, get another"
            )
        body = _Bytes(self.path, data.take(data.number()), "header")
        told = zlib.crc32(data.read)
        if int.from_bytes(data.take(4), "big") != told:
            raise AudioError(f"{self.path} is damaged in its header: the checksum does not match")
        try:
            return _header(body, version), len(data.read)
        except ConfigError as error:
            raise AudioError(f"{self.path} is damaged in its header: {error}") from None

    def _read_index(self, at: int) -> list[int]:
        """Where each block starts, and where the last one ends."""
        count = self.header.blocks
        if count > self.size - at - CHECK:
            raise AudioError(f"{self.path} is cut short: {count} blocks promised, {self.size} bytes found")
        _ = self._file.seek(at)
        data = _Bytes(self.path, self._file.read(min(10 * count + CHECK, self.size - at)), "index")
        sizes = [data.number() for _ in range(count)]
        told = crc16(data.read)
        if data.take(CHECK) != told or any(0 < size < CHECK for size in sizes):
            raise AudioError(f"{self.path} is damaged in its index: the checksum does not match")
        start = at + len(data.read)
        return [start, *(start + int(end) for end in np.cumsum(np.array(sizes, dtype=object)))]


def check(number: int, data: bytes) -> bytes:
    """The check of a block, which holds for no other place in a file."""
    return crc16(number.to_bytes(4, "big") + data)


def write(path: str | Path, header: Header, blocks: Sequence[bytes]) -> int:
    """Write a file whole or not at all; returns its size in bytes.

    Raises:
        AudioError: the name does not end in .ost, or the file cannot be written there.
    """
    target = check_writable(path)
    data = assemble(header, blocks)
    with whole(target, AudioError) as part:
        _ = part.write_bytes(data)
    return len(data)


def assemble(header: Header, blocks: Sequence[bytes]) -> bytes:
    """The bytes of a file."""
    checked = [data + check(number, data) if data else b"" for number, data in enumerate(blocks)]
    index = b"".join(varint(len(data)) for data in checked)
    return b"".join([header.pack(), index, crc16(index), *checked])


def check_writable(path: str | Path) -> Path:
    """`path`, links followed, once it is sure that an .ost file can appear there.

    Raises:
        AudioError: the suffix is not .ost, or the folder is missing or takes no files.
    """
    return writable(path, (SUFFIX,), AudioError)


def _header(body: _Bytes, version: int) -> Header:
    flags = body.take(1)[0]
    if flags not in FLAGS[version]:
        raise ConfigError(f"flags of 0x{flags:02x} have no meaning in version {version}")
    sample_rate, samples, codec_rate, hop, codebooks, vocabulary, block, seed = (body.number() for _ in range(8))
    if codebooks > MOST_CODEBOOKS or vocabulary > MOST_TOKENS:
        raise ConfigError(f"a grid has at most {MOST_CODEBOOKS} codebooks of {MOST_TOKENS}, got {codebooks} of them")
    (gain,) = struct.unpack(">d", body.take(8))
    hashes = [body.take(count).hex() for count in (8, 8, 4)]
    header = Header(
        grid=Grid(sample_rate=codec_rate, hop=hop, codebooks=codebooks, vocabulary=vocabulary),
        sample_rate=sample_rate,
        channels=2 if flags & STEREO else 1,
        image=bool(flags & IMAGE),
        lean=bool(flags & LEAN),
        samples=samples,
        gain=gain if math.isfinite(gain) else 0.0,
        seed=seed,
        block=block,
        keep=_keep(body, codebooks),
        model=body.text(),
        settings=body.text(),
        model_hash=hashes[0],
        codec_hash=hashes[1],
        context=hashes[2],
    )
    if body.left:
        raise ConfigError(f"{body.left} bytes too many")
    return header


def _keep(body: _Bytes, codebooks: int) -> Keep:
    period, runs, frames = body.number(), [], 0
    if period > LONGEST_PERIOD:
        raise ConfigError(f"a period is at most {LONGEST_PERIOD} frames, got {period}")
    while frames < period:
        runs.append((body.number(), body.number()))
        frames += runs[-1][0]
        if runs[-1][0] < 1 or frames > period or runs[-1][1] >> codebooks:
            raise ConfigError("the runs of kept cells do not fit their period and grid")
    return Keep(period, tuple(runs))


def _rounded(over: int, under: int) -> int:
    return max(1, (2 * over + under) // (2 * under))
