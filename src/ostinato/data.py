"""Music to train on: folders of audio files become excerpts, drawn by (seed, index) and nothing else."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from jaxtyping import Float
from torch import Tensor

from .errors import CorpusError
from .types import Signal

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif")


@dataclass(frozen=True)
class Song:
    """A file, and its length in samples at its own rate."""

    path: Path
    samples: int
    sample_rate: int
    channels: int

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate


def songs(folder: Path, *, least: float = 0.0) -> tuple[Song, ...]:
    """Every audio file below `folder` of at least `least` seconds, in the order of their paths.

    Raises:
        CorpusError: the folder is missing, or holds no such file.
    """
    if not folder.is_dir():
        raise CorpusError(f"no folder of music at {folder}; `ostinato corpus fetch` and `prepare` make one")
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
        try:
            about = soundfile.info(path)
        except soundfile.LibsndfileError as error:
            raise CorpusError(f"{path} is not audio that can be read; remove it from the folder") from error
        song = Song(path, about.frames, about.samplerate, about.channels)
        if song.seconds >= least and song.samples > 0:
            found.append(song)
    if not found:
        raise CorpusError(f"no audio of {least:g} s or more in {folder}; it may hold {', '.join(SUFFIXES)}")
    return tuple(found)


def draw(seed: int, *path: int) -> np.random.Generator:
    """A generator that depends on `seed` and the numbers of `path` alone."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([len(path), seed, *path])))


@dataclass(frozen=True)
class Excerpts:
    """Endless mono excerpts of `samples` samples at `sample_rate`; a longer song is drawn more often.

    Of a stereo song an excerpt is the mid, the side or one channel. Its level moves by up to `gain` decibels
    down, and its polarity is drawn too.
    """

    songs: tuple[Song, ...]
    samples: int
    sample_rate: int
    seed: int
    gain: float = 0.0

    def excerpt(self, index: int) -> Float[Tensor, " sample"]:
        """Excerpt number `index`: the same on every call."""
        chance = draw(self.seed, index)
        lengths = np.array([song.seconds for song in self.songs])
        song = self.songs[chance.choice(len(self.songs), p=lengths / lengths.sum())]
        wave = _cut(song, chance.random(), self.samples, self.sample_rate)
        kind = chance.choice(4, p=[0.5, 0.14, 0.18, 0.18])
        mono = wave.mean(1) if wave.shape[1] == 1 else _side(wave, kind)
        level = 10 ** (-self.gain * chance.random() ** 2 / 20) * chance.choice([-1.0, 1.0])
        return torch.from_numpy((mono * level).astype(np.float32))

    def batch(self, index: int, size: int) -> Signal:
        """Batch number `index` of `size` excerpts."""
        return torch.stack([self.excerpt(index * size + i) for i in range(size)])


def _side(wave: np.ndarray, kind: int) -> np.ndarray:
    left, right = wave[:, 0], wave[:, 1]
    return ((left + right) / 2, (left - right) / 2, left, right)[kind]


def _cut(song: Song, where: float, samples: int, sample_rate: int) -> np.ndarray:
    """`samples` samples of `song` at `sample_rate`, from a place between 0 and 1; short songs end in silence."""
    wanted = -(-samples * song.sample_rate // sample_rate)
    start = int(where * max(0, song.samples - wanted))
    with soundfile.SoundFile(song.path) as file:
        _ = file.seek(start)
        wave = file.read(wanted, dtype="float32", always_2d=True)[:, :2]
    if song.sample_rate != sample_rate:
        wave = soxr.resample(wave, song.sample_rate, sample_rate)
    return np.pad(wave[:samples], ((0, samples - min(samples, len(wave))), (0, 0)))
