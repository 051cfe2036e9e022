"""Passages to measure on: pieces of a split's tracks, drawn by a seed and spread over the tracks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..audiofile import read
from ..data import Song, draw, songs
from ..errors import CorpusError
from ..level import level_gain
from ..resampling import fit, resample
from ..types import Audio

QUIETEST = 1e-3
TRIES = 20


@dataclass(frozen=True)
class Passage:
    """A mono piece of a track, at the loudness that models are used at: where it was cut, in seconds, and its sound."""

    track: str
    start: float
    audio: Audio


def passages(folder: Path, count: int, seconds: float, seed: int, sample_rate: int) -> list[Passage]:
    """`count` passages of `seconds` at `sample_rate`, as many from each track as from any other, give or take one.

    Tracks come in an order drawn from `seed`, and so does the place within each. A place whose RMS level is below
    -60 dBFS is drawn again, for no metric has anything to say about silence. Channels are averaged, and every
    passage is brought to one loudness (see `level_gain`).

    Raises:
        CorpusError: the folder is missing, or no track in it is long and loud enough.
        AudioError: a track cannot be read.
    """
    tracks = songs(folder, least=seconds)
    order = draw(seed, 0).permutation(len(tracks))
    found: list[Passage] = []
    for number in range(-(-count // len(order)) * 2):
        for place in order:
            found += _try(tracks[place], seconds, (seed, 1, int(place), number), sample_rate)
            if len(found) == count:
                return found
    raise CorpusError(f"{folder} has no {count} passages of {seconds:g} s above -60 dBFS, only {len(found)}")


def _try(song: Song, seconds: float, key: tuple[int, ...], sample_rate: int) -> list[Passage]:
    """One passage of `song`, or none where it stays silent."""
    for start in _places(song, seconds, key):
        wanted = round(seconds * song.sample_rate)
        heard = read(song.path, start=start, stop=start + wanted)
        mono = Audio(heard.wave.mean(1, keepdim=True), heard.sample_rate)
        if float(mono.wave.square().mean().sqrt()) >= QUIETEST:
            audio = fit(resample(mono, sample_rate), round(seconds * sample_rate))
            level = Audio(audio.wave * level_gain([audio]), sample_rate)
            return [Passage(song.path.stem, start / song.sample_rate, level)]
    return []


def _places(song: Song, seconds: float, key: tuple[int, ...]) -> Iterator[int]:
    chance = draw(*key)
    for _ in range(TRIES):
        yield int(chance.integers(song.samples - round(seconds * song.sample_rate) + 1))
