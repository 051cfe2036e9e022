"""Which windows of a long grid are filled, in which order, and which of them at once.

A window that sees something of the input all along is anchored: every second one is then filled without waiting for
its neighbours, and those between bridge what is done on either side. Where the input is silent about more than an
overlap, windows are filled one after the other, each going on from the one before: an invented passage stays one
passage. All this depends on the grid alone and not on how many windows are filled at once.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from .errors import ConfigError


@dataclass(frozen=True)
class Windows:
    """The windows of a grid of `frames` frames: all of one length, and each overlapping its neighbours.

    Args:
        frames: length of the grid.
        span: length of a window at most; a grid that is no longer is one window.
        overlap: frames that neighbours share at least; at most half the span.
        circular: the last frame meets the first, and so do the windows.

    Raises:
        ConfigError: the overlap is more than half the span, or a number is too small.
    """

    frames: int
    span: int
    overlap: int
    circular: bool = False

    def __post_init__(self) -> None:
        if self.frames < 1 or not 0 <= 2 * self.overlap <= self.span:
            raise ConfigError(
                f"windows need at least 1 frame and overlap by at most half their span of {self.span}, "
                f"got {self.frames} frames and an overlap of {self.overlap}"
            )

    @property
    def length(self) -> int:
        """Frames in a window."""
        return min(self.frames, self.span)

    @property
    def work(self) -> int:
        """Frames in all windows together."""
        return self.length * len(self.starts())

    def starts(self) -> list[int]:
        """Where windows begin, spread evenly."""
        if self.frames <= self.span:
            return [0]
        stride = self.span - self.overlap
        if self.circular:
            count = -(-self.frames // stride)
            return [number * self.frames // count for number in range(count)]
        last = -(-(self.frames - self.span) // stride)
        return [number * (self.frames - self.span) // last for number in range(last + 1)]

    def places(self, start: int) -> Int[Tensor, " place"]:
        """The frames of the window that begins at `start`."""
        return (torch.arange(self.length) + start) % self.frames

    def touch(self, one: int, other: int) -> bool:
        """Whether the windows that begin at two frames share any."""
        apart = abs(one - other)
        return min(apart, self.frames - apart if self.circular else apart) < self.length


def batches(
    windows: Windows, hidden: Bool[Tensor, " frame"], blind: Bool[Tensor, " frame"], most: int
) -> list[list[int]]:
    """The starts of the windows that have something to fill, in order, those that are filled at once together.

    Filled one by one in this order, windows give what they give in these batches: those of a batch do not touch.

    Args:
        windows: the windows of the grid.
        hidden: frames in which something is to be filled.
        blind: frames in which nothing is to be seen.
        most: windows in a batch.

    Raises:
        ConfigError: `most` is below 1.
    """
    if most < 1:
        raise ConfigError(f"a batch needs room for at least 1 window, got {most}")
    starts = windows.starts()
    first: list[int] = []
    for start in starts[::2]:
        alone = not any(windows.touch(start, other) for other in (*first[:1], *first[-1:]))
        if alone and _longest(blind[windows.places(start)]) < windows.overlap:
            first.append(start)
    found: list[list[int]] = []
    for start in (*first, *sorted(set(starts) - set(first))):
        if not bool(hidden[windows.places(start)].any()):
            continue
        if found and len(found[-1]) < most and not any(windows.touch(start, other) for other in found[-1]):
            found[-1].append(start)
        else:
            found.append([start])
    return found


def joins(windows: Windows, order: Iterable[Sequence[int]]) -> list[int]:
    """The frames at which what one window has filled meets what another has, for windows filled in such an order."""
    owner = torch.full((windows.frames,), -1)
    for start in itertools.chain.from_iterable(order):
        places = windows.places(start)
        owner[places] = torch.where(owner[places] < 0, start, owner[places])
    before = owner.roll(1)
    if not windows.circular:
        before[0] = owner[0]
    return (owner != before).nonzero().flatten().tolist()


def _longest(row: Bool[Tensor, " frame"]) -> int:
    """The longest run of True."""
    return max((len(list(run)) for value, run in itertools.groupby(row.tolist()) if value), default=0)
