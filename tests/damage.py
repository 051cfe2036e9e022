"""What happens to .ost files when bytes change: `python -m tests.damage 10000` flips so many, one at a time."""

import collections
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch

from ostinato.blocks import Block
from ostinato.compress import coder_of
from ostinato.errors import OstinatoError
from ostinato.expand import tokens_of
from ostinato.image import BANDS
from ostinato.ostfile import Header, Keep, OstReader, assemble
from tests.foretold import GRID, context_model, numbers, tokens


@cache
def sound_file() -> bytes:
    """A small stereo file with an image, three blocks and an explicit mask."""
    header = Header(
        grid=GRID,
        sample_rate=48000,
        channels=2,
        image=True,
        samples=50 * 768,
        gain=0.75,
        seed=300,
        block=20,
        keep=Keep(),
        model="tiny",
        context=context_model().digest.hex(),
    )
    kept, said = numbers(3, header.frames, low=0, high=2, seed=20) > 0, tokens(1, header.frames)
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
def right() -> tuple[torch.Tensor, ...]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "right.ost"
        _ = path.write_bytes(sound_file())
        return content(path)


def outcome(path: Path, data: bytes) -> str:
    """How reading these bytes ends: "refused" by a named error, "right", or "wrong"; anything else is raised."""
    _ = path.write_bytes(data)
    try:
        found = content(path)
    except OstinatoError:
        return "refused"
    return "right" if all(map(torch.equal, found, right())) else "wrong"


def main(flips: int) -> None:
    """Flip one random byte so many times, and count how it ends."""
    data, chance, ends = sound_file(), np.random.default_rng(1), collections.Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(flips):
            place, change = int(chance.integers(len(data))), int(chance.integers(1, 256))
            flipped = data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]
            ends[outcome(Path(folder) / "flip.ost", flipped)] += 1
    print(f"{flips} flips in a file of {len(data)} bytes: {dict(ends)}")  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]))
