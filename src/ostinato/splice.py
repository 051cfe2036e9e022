"""Original samples where a prompt keeps them, and how they meet what was made.

A frame is kept when the prompt keeps every codebook of it. A run of kept frames longer than `LONGEST_REDRAWN` is
played from the original, sample by sample, from the start of its first frame to the end of its last.

What a codec makes of a hidden frame is heard beyond that frame: in the default one for three quarters of a frame on
either side, through the overlap of its synthesis windows, and faintly further, through its convolutions. In kept
runs the original covers that. The fade between the two lies on the hidden side of the edge, in the nearest half of
the hidden frame, so that a single hidden frame between two kept runs has room for both of its fades. There the
original sounds on for at most half a frame (9 ms).
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from .types import Audio, Wave
from .windows import around

LONGEST_REDRAWN = 2
PIECE = 1 << 16


class Voice(Enum):
    """Whose samples a stretch carries: one side's, or a fade from one into the other."""

    ORIGINAL = "original"
    MADE = "made"
    LEAVE = "original into made"
    RETURN = "made into original"


@dataclass(frozen=True)
class Turn:
    """So many samples of one voice."""

    voice: Voice
    samples: int


def carried(hidden: Bool[Tensor, "codebook frame"], *, circular: bool = False) -> Bool[Tensor, " frame"]:
    """True for the frames that carry the original: those of runs of kept frames longer than `LONGEST_REDRAWN`.

    On a circle a run may pass from the last frame to the first.
    """
    kept = ~hidden.any(0)
    if bool(kept.all()):
        return kept
    beside = around(kept, LONGEST_REDRAWN) if circular else F.pad(kept, (LONGEST_REDRAWN, LONGEST_REDRAWN))
    runs = beside.unfold(0, LONGEST_REDRAWN + 1, 1).all(-1)
    return runs.unfold(0, LONGEST_REDRAWN + 1, 1).any(-1)


def turns(
    frames: Bool[Tensor, " frame"], edge: Callable[[int], int], fade: int, *, circular: bool = False
) -> list[Turn]:
    """Whose samples a sound takes, in order.

    Args:
        frames: which frames carry the original, as `carried` tells.
        edge: the sample at which a frame starts; that of the frame after the last is the length of the sound.
        fade: samples that a fade takes, at most half of the made stretch that it lies in.
        circular: the last frame meets the first.
    """
    changes = [0, *((frames[1:] != frames[:-1]).nonzero().flatten() + 1).tolist(), len(frames)]
    found: list[Turn] = []
    for number, (start, stop) in enumerate(itertools.pairwise(changes)):
        samples = edge(stop) - edge(start)
        if bool(frames[start]):
            found.append(Turn(Voice.ORIGINAL, samples))
            continue
        short = min(fade, samples // 2)
        after = short if number > 0 or (circular and bool(frames[-1])) else 0
        before = short if stop < len(frames) or (circular and bool(frames[0])) else 0
        found.append(Turn(Voice.LEAVE, after))
        found.append(Turn(Voice.MADE, samples - after - before))
        found.append(Turn(Voice.RETURN, before))
    return [turn for turn in found if turn.samples > 0]


def spliced(original: Iterable[Audio], made: Iterable[Audio], plan: Iterable[Turn]) -> Iterator[Audio]:
    """The samples of two sounds of one shape, taken turn by turn, in memory that does not grow with their length."""
    ours, theirs = _Tap(original), _Tap(made)
    for turn in plan:
        left = turn.samples
        whole = turn.voice in (Voice.LEAVE, Voice.RETURN)
        while left:
            size = left if whole else min(left, PIECE)
            one, other = ours.draw(size), theirs.draw(size)
            yield Audio(_mixed(turn.voice, one, other), ours.sample_rate)
            left -= size


def crossfade(leaving: Wave, entering: Wave) -> Wave:
    """One sound into another over their whole length, at even power however alike they are.

    The weights of a raised cosine are divided by the level that two sounds of this likeness would have under them:
    between equals the result is an equal-gain fade, between strangers an equal-power fade, and in between whatever
    keeps the power. An original and what a codec makes of it are alike in the low part of the spectrum and not in
    the high part, so neither of the two usual fades would do.

    Source: signal-matched power-complementary fades, after Fink, Holters and Zölzer (DAFx-16).
    """
    count = leaving.shape[-1]
    place = (torch.arange(count, device=leaving.device) + 0.5) / count
    new = (math.pi / 2 * place).sin().square()
    old = 1 - new
    level = (old.square() + new.square() + 2 * _likeness(leaving, entering) * old * new).sqrt()
    return leaving * (old / level) + entering * (new / level)


def _likeness(one: Wave, other: Wave) -> Float[Tensor, ""]:
    """Correlation of two waves, 0 to 1; of opposites and of silence 0."""
    energy = one.square().sum() * other.square().sum()
    return ((one * other).sum() / energy.sqrt().clamp_min(1e-20)).clamp(0, 1)


def _mixed(voice: Voice, original: Wave, made: Wave) -> Wave:
    if voice is Voice.ORIGINAL:
        return original
    if voice is Voice.MADE:
        return made
    faded = crossfade(original, made) if voice is Voice.LEAVE else crossfade(made, original)
    loudest = max(1.0, float(original.abs().max()), float(made.abs().max()))
    return faded.clamp(-loudest, loudest)


class _Tap:
    """A stream of pieces, drawn in any measure."""

    def __init__(self, pieces: Iterable[Audio]) -> None:
        self._rest = iter(pieces)
        self._held: list[Tensor] = []
        self._count = 0
        self.sample_rate = 1

    def draw(self, samples: int) -> Wave:
        while self._count < samples:
            piece = next(self._rest)
            self.sample_rate = piece.sample_rate
            self._held.append(piece.wave)
            self._count += piece.samples
        wave = torch.cat(self._held, dim=-1) if len(self._held) > 1 else self._held[0]
        self._held, self._count = [wave[..., samples:]], self._count - samples
        return wave[..., :samples]
