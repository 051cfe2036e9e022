"""What happens to .ost files when bytes change: `python -m tests.damage 10000` flips so many, one at a time.

A tenth as many flips are then mended: all checks are made right again, as an attacker would, and the file is expanded.
"""

import collections
import itertools
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch

from ostinato import audiofile
from ostinato.bits import crc16
from ostinato.blocks import Block
from ostinato.checkpoint import write_tensors
from ostinato.compress import Rung, coder_of, compress
from ostinato.context import CONTEXT
from ostinato.errors import OstinatoError
from ostinato.expand import expand, tokens_of
from ostinato.image import BANDS
from ostinato.ostfile import CHECK, Header, Keep, OstReader, assemble, check
from ostinato.pipeline import Pipeline, load
from ostinato.types import Audio
from tests import tiny
from tests.foretold import GRID, context_model, numbers, tokens


@cache
def sound_file(*, lean: bool = False) -> bytes:
    """A small stereo file with three blocks and an explicit mask: its side an image, or tokens with a lean."""
    header = Header(
        grid=GRID,
        sample_rate=48000,
        channels=2,
        image=not lean,
        lean=lean,
        samples=50 * 768,
        gain=0.75,
        seed=300,
        block=20,
        keep=Keep(),
        model="tiny",
        context=context_model().digest.hex(),
    )
    kept, said = numbers(3, header.frames, low=0, high=2, seed=20) > 0, tokens(header.rows, header.frames)
    images = numbers(header.blocks, 2, BANDS, low=0, high=7, seed=21)
    spans = [
        (slice(start, start + frames), n) for n, (start, frames) in enumerate(map(header.span, range(header.blocks)))
    ]
    blocks = [Block(said[..., here] * kept[:, here], kept[:, here], images[n]) for here, n in spans]
    return assemble(header, coder_of(header, context_model()).encode(blocks))


def content(path: Path) -> tuple[torch.Tensor, ...]:
    """All that a file tells, as tensors."""
    with OstReader(path) as reader:
        images: dict[int, np.ndarray | None] = {}
        parts = list(tokens_of(reader, context_model(), images, None))
        codes, hidden = (torch.cat(part, -1) for part in zip(*parts, strict=True))
        facts = [reader.header.samples, reader.header.seed, reader.header.sample_rate]
        return codes, hidden, torch.tensor(np.stack([images[n] for n in sorted(images)])), torch.tensor(facts)


@cache
def right(*, lean: bool = False) -> tuple[torch.Tensor, ...]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "right.ost"
        _ = path.write_bytes(sound_file(lean=lean))
        return content(path)


def outcome(path: Path, data: bytes, *, lean: bool = False) -> str:
    """How reading these bytes ends: "refused" by a named error, "right", or "wrong"; anything else is raised."""
    _ = path.write_bytes(data)
    try:
        found = content(path)
    except OstinatoError:
        return "refused"
    return "right" if all(map(torch.equal, found, right(lean=lean))) else "wrong"


def flipped(data: bytes, count: int, seed: int) -> Iterator[tuple[int, bytes]]:
    """The same bytes with one changed at random, so many times, and where."""
    chance = np.random.default_rng(seed)
    for _ in range(count):
        place, change = int(chance.integers(len(data))), int(chance.integers(1, 256))
        yield place, data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]


def mended(path: Path, place: int, data: bytes) -> bytes:
    """Bytes changed at `place` whose check is right again; `path` is the file before."""
    with OstReader(path) as reader:
        index = len(reader.header.pack())
        starts = reader.starts
    parts = [(0, index - 4, lambda part: zlib.crc32(part).to_bytes(4, "big")), (index, starts[0] - CHECK, crc16)]
    parts += [
        (start, stop - CHECK, lambda part, number=number: check(number, part))
        for number, (start, stop) in enumerate(itertools.pairwise(starts))
    ]
    start, stop, right = next(part for part in reversed(parts) if part[0] <= place)
    told = right(data[start:stop])
    return data[:stop] + told + data[stop + len(told) :]


def tiny_file(folder: Path) -> tuple[Pipeline, Path]:
    """A tiny model, and a small stereo file of it with most cells left out."""
    model = tiny.write_model(folder / "tiny")
    write_tensors(model / CONTEXT, context_model(tiny.GRID).tensors())
    noise = 0.1 * torch.randn(1, 2, 66150, generator=torch.Generator().manual_seed(0))
    _ = audiofile.write(folder / "in.wav", Audio(noise, 44100))
    pipeline, path = load(model), folder / "a.ost"
    _ = compress(pipeline, folder / "in.wav", path, keep=Rung((2, 0)))
    return pipeline, path


def expanded(pipeline: Pipeline, path: Path, data: bytes) -> str:
    """How expanding these bytes ends: "refused" by a named error, or "sound"; anything else is raised."""
    flip = path.with_name("flip.ost")
    _ = flip.write_bytes(data)
    try:
        _ = expand(pipeline, flip, path.with_name("flip.wav"))
    except OstinatoError:
        return "refused"
    return "sound"


def main(flips: int) -> None:
    """Flip one random byte so many times, and count how it ends."""
    ends, mends, slowest = collections.Counter[str](), collections.Counter[str](), 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _, data in flipped(sound_file(), flips, 1):
            ends[outcome(folder / "flip.ost", data)] += 1
        pipeline, path = tiny_file(folder)
        _ = expanded(pipeline, path, whole := path.read_bytes())
        honest = _most_memory()
        for place, data in flipped(whole, flips // 10, 2):
            began = time.perf_counter()
            mends[expanded(pipeline, path, mended(path, place, data))] += 1
            slowest = max(slowest, time.perf_counter() - began)
    print(f"{flips} flips in a file of {len(sound_file())} bytes: {dict(ends)}")  # noqa: T201
    print(f"{flips // 10} mended flips in a file of {len(whole)} bytes: {dict(mends)}, {slowest:.1f} s at most")  # noqa: T201
    print(f"memory: {honest:.0f} MiB for the honest file, {_most_memory():.0f} MiB for all")  # noqa: T201


def _most_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]))
