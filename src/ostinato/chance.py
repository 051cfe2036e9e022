"""Chance that is looked up, not drawn: every number is a hash of who asks, so order, batch and device do not matter.

No generator has a state, and nothing here touches the global random numbers of torch, numpy or Python.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .errors import ConfigError

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # odd, close to 2**64 / golden ratio: spreads neighbours far apart
_START = 0x243F6A8885A308D3  # digits of pi, so that seed 0 is as good as any
_GUESS, _CHOICE = 1, 2


@dataclass(frozen=True)
class Noise:
    """Noise for a sampler, a function of (seed of the row, step, codebook, frame) and of nothing else.

    A row has the same noise alone and in a batch, and a window of a long grid the noise that the whole grid has
    there.

    Args:
        seeds: one for each row of the batch, 0 to 2**64 - 1.
        first_frame: where in the whole grid the first frame lies; any integer, or one for each row.
        period: length of a circular grid in frames; frame numbers wrap at it. None is a grid with two ends.
        first_codebook: where in the whole grid the first codebook lies.

    Raises:
        ConfigError: a seed is out of range, the period is below 1, or there are first frames for other rows.
    """

    seeds: Sequence[int]
    first_frame: int | Sequence[int] = 0
    period: int | None = None
    first_codebook: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", tuple(_checked(seed) for seed in self.seeds))
        if self.period is not None and self.period < 1:
            raise ConfigError(f"the period of noise must be at least 1 frame, got {self.period}")
        if not isinstance(self.first_frame, int) and len(self.first_frame) != len(self.seeds):
            raise ConfigError(f"noise needs a first frame for each of {len(self.seeds)} rows, got {self.first_frame}")

    def guess(self, step: int, mask: Bool[Tensor, "batch codebook frame"]) -> Float[Tensor, " hidden"]:
        """Noise for which token each hidden cell gets: even between 0 and 1, neither of which comes up.

        Raises:
            ConfigError: there is not one seed for each row of the mask.
        """
        if mask.shape[0] != len(self.seeds):
            raise ConfigError(f"noise needs one seed for each of {mask.shape[0]} rows, got {len(self.seeds)} seeds")
        return _even(self._keys(_GUESS, step, mask.shape[1], mask.shape[2], mask.device)[mask])

    def choice(
        self, step: int, codebooks: int, frames: int, device: torch.device | str | None = None
    ) -> Float[Tensor, "batch codebook frame"]:
        """Noise for which guesses stay, for every cell of the grid: Gumbel noise, within -2.9 to 16.7."""
        return _even(self._keys(_CHOICE, step, codebooks, frames, device)).log_().neg_().log_().neg_()

    def frames(self, count: int, device: torch.device | str | None = None) -> Int[Tensor, "row 1 frame"]:
        """The numbers that `count` frames from the first one have in the whole grid; on a circle, within its period.

        One row for all, or where rows begin at frames of their own, one for each.
        """
        starts = (self.first_frame,) if isinstance(self.first_frame, int) else tuple(self.first_frame)
        frame = torch.arange(count, device=device) + torch.tensor(starts, device=device)[:, None, None]
        return frame if self.period is None else frame % self.period

    def _keys(
        self, purpose: int, step: int, codebooks: int, frames: int, device: torch.device | str | None
    ) -> Int[Tensor, "batch codebook frame"]:
        codebook = torch.arange(codebooks, device=device) + self.first_codebook
        rows = _begin(self.seeds, device)
        for value in _integers((purpose, step), device):
            rows = _stir(rows, value)
        return _stir(_stir(rows[:, None], codebook)[:, :, None], self.frames(frames, device))


def derive(seed: int, *path: int) -> int:
    """A new seed for a part of the work, such as a take or a stage: 0 to 2**63 - 1, a function of seed and path.

    Raises:
        ConfigError: the seed is out of range.
    """
    key = _begin([_checked(seed)])
    for value in _integers(path):
        key = _stir(key, value)
    return int(key) % 2**63


def shuffled(count: int, seed: int) -> Int[Tensor, " place"]:
    """The numbers 0 to `count - 1` in an order that depends on the seed alone.

    Raises:
        ConfigError: the seed is out of range.
    """
    return _stir(_begin([_checked(seed)]), torch.arange(count)).argsort(stable=True)


def _checked(seed: int) -> int:
    if not 0 <= seed < 2**64:
        raise ConfigError(f"a seed must be a whole number between 0 and 2**64 - 1, got {seed}")
    return int(seed)


def _integers(values: Sequence[int], device: torch.device | str | None = None) -> Int[Tensor, " value"]:
    """Whole numbers modulo 2**64, in two's complement."""
    wrapped = [(value + 2**63) % 2**64 - 2**63 for value in values]
    return torch.tensor(wrapped, dtype=torch.int64, device=device)


def _begin(seeds: Sequence[int], device: torch.device | str | None = None) -> Int[Tensor, " seed"]:
    return _stir(torch.full((), _START, dtype=torch.int64, device=device), _integers(seeds, device))


def _stir(key: Int[Tensor, "*cell"], value: Int[Tensor, "*other"]) -> Int[Tensor, "..."]:
    """A 64-bit key that takes one more number into account; all arithmetic wraps.

    Source: the SplitMix64 step, Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014),
    with Stafford's thirteenth mix.
    """
    z = key + (value + 1) * _GOLDEN
    z = (z ^ ((z >> 30) & (2**34 - 1))) * (0xBF58476D1CE4E5B9 - 2**64)
    z = (z ^ ((z >> 27) & (2**37 - 1))) * (0x94D049BB133111EB - 2**64)
    return z ^ ((z >> 31) & (2**33 - 1))


def _even(keys: Int[Tensor, "*cell"]) -> Float[Tensor, "*cell"]:
    """The highest 23 bits of each key as a number between 0 and 1: an odd multiple of 2^-24."""
    return (keys >> 41).float().mul_(2**-23).add_(0.5 + 2**-24)
