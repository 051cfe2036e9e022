"""The nouns of the system: audio, the grid, codes, masks and takes. No maths lives here."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .config import config, knob
from .errors import AudioError

Wave: TypeAlias = Float[Tensor, "batch channel sample"]
Signal: TypeAlias = Float[Tensor, "batch sample"]
Codes: TypeAlias = Int[Tensor, "batch codebook frame"]
SignalStream: TypeAlias = Iterable[Float[Tensor, "_ _"]]
CodesStream: TypeAlias = Iterable[Int[Tensor, "_ _ _"]]
Means: TypeAlias = Float[Tensor, "batch codebook part frame"]
MeansStream: TypeAlias = Iterable[Float[Tensor, "_ _ _ _"]]
Mask: TypeAlias = Bool[Tensor, "batch codebook frame"]
Logits: TypeAlias = Float[Tensor, "batch codebook frame vocab"]
HiddenLogits: TypeAlias = Float[Tensor, "hidden vocab"]
"""Logits of the hidden cells alone, in the order of `codes[mask]`."""
Predict: TypeAlias = Callable[[Codes, Mask], HiddenLogits]
Watch: TypeAlias = Callable[[int, Codes, Mask], None]
Hurry: TypeAlias = Callable[[], bool]
CodedMean: TypeAlias = Callable[[Codes, Mask, HiddenLogits], Codes]
"""Given how likely each code is in the hidden cells: `codes` with those that together come near to the mean."""


@dataclass(frozen=True)
class Audio:
    """A sound: samples within about -1 to 1 at a sample rate; one item, or a batch of equal length.

    Raises:
        AudioError: there are no samples or channels, a sample is not a number, or the rate is not positive.
    """

    wave: Wave
    sample_rate: int

    def __post_init__(self) -> None:
        if self.wave.ndim != 3 or 0 in self.wave.shape:
            raise AudioError(f"audio needs at least one sample and one channel, got shape {tuple(self.wave.shape)}")
        if self.sample_rate < 1:
            raise AudioError(f"a sample rate must be at least 1 Hz, got {self.sample_rate}")
        if not bool(torch.isfinite(self.wave).all()):
            where = int((~torch.isfinite(self.wave)).any(1).any(0).nonzero()[0])
            raise AudioError(f"audio must be finite numbers, got NaN or infinity at {where / self.sample_rate:.3f} s")

    @property
    def channels(self) -> int:
        return self.wave.shape[1]

    @property
    def samples(self) -> int:
        return self.wave.shape[2]

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate


Pieces: TypeAlias = Callable[[], Iterable[Audio]]
"""A sound in pieces, as often as it is asked for."""


@config
class Grid:
    """The raster of tokens. The only place where seconds become frames."""

    sample_rate: int = knob("samples in a second", default=44100, unit="Hz", low=1)
    hop: int = knob("samples in a frame", default=768, low=1)
    codebooks: int = knob("tokens in a frame, coarsest first", default=12, low=1)
    vocabulary: int = knob("values a token can take", default=1024, low=2)

    def frames(self, seconds: float) -> int:
        """Frames that cover `seconds`, rounded up; `frames(seconds(n)) == n`.

        Rounds to whole samples first, so that float error never adds a frame.
        """
        return self.frames_of(round(seconds * self.sample_rate))

    def frames_of(self, samples: int) -> int:
        """Frames that cover `samples` samples, rounded up."""
        return -(-samples // self.hop)

    def frames_around(self, samples: int, multiple: int = 1) -> int:
        """Frames of a circle of `samples` samples: the nearest multiple of `multiple`, which is the least."""
        size = multiple * self.hop
        return multiple * max(1, (2 * samples + size) // (2 * size))

    def seconds(self, frames: int) -> float:
        """The time at which frame number `frames` starts."""
        return frames * self.hop / self.sample_rate

    @property
    def rate(self) -> float:
        """Frames in a second, in Hz."""
        return self.sample_rate / self.hop

    @property
    def bits_per_second(self) -> float:
        """What one codebook of one channel costs when its tokens are packed."""
        return self.rate * math.log2(self.vocabulary)


@dataclass(frozen=True)
class Beats:
    """Where the beats of a sound are, in seconds, ascending; downbeats are those that begin a bar.

    `confidence` is how sure the finder is, from 0 to 1; a grid that a musician gave has 1.

    Raises:
        AudioError: times are negative, not finite or not ascending, or a downbeat is no beat.
    """

    times: tuple[float, ...]
    downbeats: tuple[float, ...] = ()
    confidence: float = 1.0

    def __post_init__(self) -> None:
        for name, times in (("beats", self.times), ("downbeats", self.downbeats)):
            if any(not (0 <= time < math.inf) for time in times):
                raise AudioError(f"{name} must be finite and from 0 s, got {min(times, default=0.0)} to {times[-1]}")
            if any(later <= time for time, later in itertools.pairwise(times)):
                raise AudioError(f"{name} must be ascending, got {times}")
        if strange := set(self.downbeats) - set(self.times):
            raise AudioError(f"a downbeat must be one of the beats, got {min(strange):g} s")
        if not 0 <= self.confidence <= 1:
            raise AudioError(f"confidence must be from 0 to 1, got {self.confidence}")


@dataclass(frozen=True)
class Take:
    """One result: its sound, its tokens, and all that is needed to make it again.

    `codes` and `mask` have one row a side: mono 1, stereo 2 (mid, then side). `settings` is plain
    data: prompt, sampler settings and whatever the door added. `parent` is the SHA-256 of the file that it was made
    from, if it was. `gain` is what the sound is multiplied by before coding, `codec` the hash of that codec, and
    `locked` the cells that stay in all takes made from this one.
    """

    audio: Audio
    codes: Codes
    mask: Mask
    seed: int
    settings: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    parent: str | None = None
    gain: float = 1.0
    codec: str = ""
    locked: Bool[Tensor, "codebook frame"] | None = None

    def replace(self, **changes: Any) -> "Take":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)
