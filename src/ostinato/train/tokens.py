"""Tokens of a folder of music: encoded once, kept in one file, drawn by (seed, index)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from jaxtyping import Int
from safetensors import safe_open
from torch import Tensor

from ..checkpoint import digest, load_codec, read_tensors, write_tensors
from ..codec import Codec
from ..data import Song, draw, songs
from ..dsp import mid_side
from ..errors import TrainingError
from ..types import Codes

QUIET = 1e-3


def tokens(
    folder: Path,
    codec: Path,
    cache: Path,
    *,
    longest: float = 3600.0,
    watch: Callable[[str, int, int], None] | None = None,
) -> dict[str, Int[Tensor, "codebook frame"]]:
    """The tokens of every side of every song in `folder`, read from `cache` or encoded into it.

    Songs must have the codec's sample rate, as `ostinato corpus prepare` leaves them. What a song has after `longest`
    seconds is left out. Its side, if it is not silent, is encoded for a quarter of that, so that sides are a fifth
    of all. A cache of another codec, folder or length is made anew.
    """
    mark = f"{digest(codec)} {folder.resolve()} {longest:g}"
    if cache.is_file() and _mark(cache) == mark:
        return read_tensors(cache)
    coder = load_codec(codec)
    found: dict[str, Tensor] = {}
    music = songs(folder)
    for number, song in enumerate(music):
        if watch is not None:
            watch(song.path.name, number, len(music))
        found |= _encode(song, folder, coder, longest)
    cache.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(cache, found, {"mark": mark})
    return found


def _mark(cache: Path) -> str:
    with safe_open(cache, "pt") as file:
        return (file.metadata() or {}).get("mark", "")


def _encode(song: Song, folder: Path, coder: Codec, longest: float) -> dict[str, Int[Tensor, "codebook frame"]]:
    if song.sample_rate != coder.grid.sample_rate:
        raise TrainingError(
            f"{song.path} is at {song.sample_rate} Hz, not at the codec's {coder.grid.sample_rate}; prepare the folder"
        )
    wave, _ = soundfile.read(song.path, round(longest * song.sample_rate), dtype="float32", always_2d=True)
    sides = mid_side(torch.from_numpy(wave.T[:2].copy()))
    name = str(song.path.relative_to(folder))
    sides = (sides[0], *(side[: -(-len(side) // 4)] for side in sides[1:]))
    kept = [(n, side) for n, side in enumerate(sides) if n == 0 or float(side.std()) > QUIET]
    return {f"{name}#{n}": coder.encode(side[None])[0].to(torch.int16) for n, side in kept}


@dataclass(frozen=True)
class TokenExcerpts:
    """Endless excerpts of `frames` frames; a longer song is drawn more often."""

    songs: dict[str, Int[Tensor, "codebook frame"]]
    frames: int
    seed: int

    def batch(self, index: int, size: int) -> Codes:
        """Batch number `index` of `size` excerpts: the same on every call."""
        names = [name for name, grid in self.songs.items() if grid.shape[1] >= self.frames]
        if not names:
            raise TrainingError(
                f"no song is as long as an excerpt, {self.frames} frames; add music or shorten excerpts"
            )
        lengths = np.array([self.songs[name].shape[1] for name in names])
        chance = draw(self.seed, index)
        rows = []
        for number in chance.choice(len(names), size, p=lengths / lengths.sum()):
            grid = self.songs[names[number]]
            start = int(chance.integers(0, grid.shape[1] - self.frames + 1))
            rows.append(grid[:, start : start + self.frames])
        return torch.stack(rows).long()
