"""Sounds with known beats, to train on: mel frames made once, excerpts drawn and coloured by (seed, index)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor

from ..audiofile import read
from ..beats import FLOOR, BeatConfig, heard, mel_frames
from ..checkpoint import read_tensors, write_tensors
from ..data import draw, songs
from ..errors import CorpusError, TrainingError

SUFFIX = ".beats"
PIECE = 6000


def read_labels(path: Path) -> Float[Tensor, "beat 2"]:
    """Beats from lines of a time in seconds and a place in the bar, where 1 is the downbeat.

    Raises:
        CorpusError: the file is missing, or a line is something else.
    """
    try:
        rows = [[float(word) for word in line.split()] for line in path.read_text(encoding="utf-8").splitlines()]
        return torch.tensor(rows).reshape(len(rows), 2)
    except FileNotFoundError:
        raise CorpusError(f"no beats beside {path.with_suffix('')}; {path.name} must list them") from None
    except (ValueError, RuntimeError) as error:
        raise CorpusError(f"{path} must have lines of a time and a place in the bar ({error})") from None


def annotated(folder: Path, settings: BeatConfig, cache: Path) -> dict[str, Tensor]:
    """Mel frames (`NAME/mel`) and beats (`NAME/beats`) of every sound in `folder`, from `cache` or made into it.

    A cache of another folder, or of other mel frames, is made anew.

    Raises:
        CorpusError: there is no sound in the folder, or one without beats.
    """
    mark = f"{settings.sample_rate} {settings.hop} {settings.overlap} {settings.mels} {folder.resolve()}"
    if cache.is_file():
        with safe_open(cache, "pt") as file:
            if (file.metadata() or {}).get("mark") == mark:
                return read_tensors(cache)
    found: dict[str, Tensor] = {}
    for song in songs(folder):
        name = str(song.path.relative_to(folder))
        found[f"{name}/beats"] = read_labels(song.path.with_suffix(SUFFIX))
        found[f"{name}/mel"] = _mel(song.path, settings)
    cache.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(cache, found, {"mark": mark})
    return found


def _mel(path: Path, settings: BeatConfig) -> Float[Tensor, "frame mel"]:
    signal = heard(read(path), settings)
    count = (len(signal) - settings.size) // settings.hop + 1
    pieces = []
    for start in range(0, count, PIECE):
        stop = min(count, start + PIECE)
        cut = signal[None, start * settings.hop : (stop - 1) * settings.hop + settings.size]
        pieces.append(mel_frames(cut, settings)[0].half())
    return torch.cat(pieces)


def targets(beats: Float[Tensor, "beat 2"], start: int, count: int, rate: float) -> Float[Tensor, "frame 2"]:
    """What the network is to say: 1 at beats and at downbeats, falling to 0 over two frames to either side."""
    places = torch.arange(start, start + count)[:, None]
    rows = []
    for times in (beats[:, 0], beats[beats[:, 1] == 1, 0]):
        apart = (places - times[None] * rate).abs()
        rows.append((1 - apart.min(1).values / 2).clamp_min(0) if len(times) else torch.zeros(count))
    return torch.stack(rows, dim=-1)


@dataclass(frozen=True)
class BeatExcerpts:
    """Endless excerpts of `frames` mel frames with their targets; a longer sound is drawn more often."""

    songs: dict[str, Tensor]
    frames: int
    rate: float
    seed: int
    colour: bool = True

    def batch(self, index: int, size: int) -> tuple[Float[Tensor, "batch frame mel"], Float[Tensor, "batch frame 2"]]:
        """Batch number `index` of `size` excerpts: the same on every call.

        Raises:
            TrainingError: no sound is as long as an excerpt.
        """
        lengths = {key[:-4]: len(mel) for key, mel in self.songs.items() if key.endswith("/mel")}
        names = [name for name, length in lengths.items() if length >= self.frames]
        if not names:
            raise TrainingError(f"no sound is as long as an excerpt, {self.frames} frames; shorten excerpts")
        chance = draw(self.seed, 4, index)
        odds = np.array([lengths[name] for name in names], dtype=float)
        mels, wanted = [], []
        for number in chance.choice(len(names), size, p=odds / odds.sum()):
            name = names[number]
            start = int(chance.integers(0, lengths[name] - self.frames + 1))
            mel = self.songs[f"{name}/mel"][start : start + self.frames].float()
            mels.append(coloured(mel, chance) if self.colour else mel)
            wanted.append(targets(self.songs[f"{name}/beats"], start, self.frames, self.rate))
        return torch.stack(mels), torch.stack(wanted)


def coloured(mel: Float[Tensor, "frame mel"], chance: np.random.Generator) -> Float[Tensor, "frame mel"]:
    """The same passage in another tone: level, tilt, resonances, contrast, hiss, missing bands, a drop-out."""
    frames_, bands = mel.shape
    where = np.linspace(0, np.pi, bands)
    curve = sum(chance.normal(0, 0.15) * np.cos((n + 1) * where + chance.uniform(0, 6)) for n in range(4))
    level = chance.uniform(-1.0, 0.4) + curve
    if chance.random() < 0.3:
        mel = mel.mean() + (mel - mel.mean()) * chance.uniform(0.7, 1.3)
    mel = mel + torch.from_numpy(np.asarray(level)).float()
    if chance.random() < 0.3:
        hiss = float(mel.max()) - chance.uniform(0.8, 3.0) + 0.3 * np.cos(where + chance.uniform(0, 6))
        mel = (10**mel + 10 ** torch.from_numpy(hiss).float()).log10()
    floor = float(np.log10(FLOOR))
    if chance.random() < 0.12:
        edge = int(chance.integers(1, bands // 2))
        mel[:, slice(edge) if chance.random() < 0.4 else slice(bands - edge, bands)] = floor
    if chance.random() < 0.15:
        start = int(chance.integers(frames_))
        mel[start : start + int(chance.integers(5, 75))] = floor
    return mel.clamp_min(floor)
