"""Patterns over the grid, in frames; True is where the pattern speaks. They join with `|`, `&` and `~`."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from .chance import Noise, shuffled
from .errors import PromptError


def every(frames: int, period: int, *, width: int = 1, offset: int = 0) -> Bool[Tensor, " frame"]:
    """True for `width` frames out of every `period`, the first group starting at `offset`.

    Args:
        frames: length of the pattern.
        period: frames from one group to the next; 1 is every frame.
        width: frames in a group, 1 to `period`.
        offset: start of the first group; patterns wrap, so any integer will do.

    Raises:
        PromptError: `period` is below 1, or `width` is not within it.

    Source: the periodic prompt of VampNet (arXiv:2307.04686), with groups of any width.
    """
    if period < 1:
        raise PromptError(f"period must be at least 1 frame, got {period}")
    if not 1 <= width <= period:
        raise PromptError(f"width must be between 1 and {period} frames (the period), got {width}")
    return (torch.arange(frames) - offset) % period < width


def span(frames: int, start: int, end: int) -> Bool[Tensor, " frame"]:
    """True from frame `start` up to, but not including, frame `end`.

    Raises:
        PromptError: the span is turned round, or leaves the pattern of `frames` frames.
    """
    if not 0 <= start <= end <= frames:
        raise PromptError(f"a span must lie within frames 0 to {frames}, start before end, got {start} to {end}")
    place = torch.arange(frames)
    return (place >= start) & (place < end)


def stretches(frames: int, edges: Sequence[tuple[int, int]], *, circular: bool = False) -> Bool[Tensor, " frame"]:
    """True from each start up to, but not including, its end; what lies outside is cut off, or wraps on a circle.

    Raises:
        PromptError: a stretch ends before it starts.
    """
    for start, end in edges:
        if end < start:
            raise PromptError(f"a stretch must end after its start, got {start} to {end}")
    starts, ends = (torch.tensor(list(edges)).reshape(-1, 2).long().clamp(-frames, 2 * frames) + frames).unbind(1)
    steps = torch.bincount(starts, minlength=3 * frames + 1) - torch.bincount(ends, minlength=3 * frames + 1)
    rounds = steps.cumsum(0)[:-1].view(3, frames) > 0
    return rounds.any(0) if circular else rounds[1]


def scatter(frames: int, share: float, seed: int) -> Bool[Tensor, " frame"]:
    """True for a share of the frames, strewn by chance: exactly `round(share * frames)` of them.

    A larger share with the same seed keeps the frames of the smaller one and adds to them.

    Raises:
        PromptError: `share` is not between 0 and 1.
        ConfigError: the seed is out of range.
    """
    if not 0 <= share <= 1:
        raise PromptError(f"share must be between 0 and 1, got {share}")
    chosen = shuffled(frames, seed)[: round(share * frames)]
    return torch.zeros(frames, dtype=torch.bool).index_fill(0, chosen, True)


def thinned(
    cells: Bool[Tensor, "codebook frame"], share: float, seed: int, *, first_frame: int = 0
) -> Bool[Tensor, "codebook frame"]:
    """True for a share of the cells that are True, drawn by chance: exactly `round(share * count)` of them.

    A larger share with the same seed takes the cells of the smaller one and adds to them. Frame numbers start at
    `first_frame` and wrap at the number of frames.

    Raises:
        PromptError: `share` is not between 0 and 1.
        ConfigError: the seed is out of range.
    """
    if not 0 <= share <= 1:
        raise PromptError(f"share must be between 0 and 1, got {share}")
    codebooks, frames = cells.shape
    drawn = Noise([seed], first_frame, period=frames).choice(0, codebooks, frames)[0].masked_fill(~cells, -torch.inf)
    chosen = drawn.flatten().argsort(descending=True, stable=True)[: round(share * int(cells.sum()))]
    return torch.zeros(codebooks * frames, dtype=torch.bool).index_fill(0, chosen, True).view(codebooks, frames)


def drawing(mask: Bool[Tensor, "*batch codebook frame"]) -> list[str]:
    """A mask as text: '#' hidden, '.' kept, one line a codebook, coarsest first; of a batch, the first item."""
    rows = mask.flatten(0, -3)[0] if mask.ndim > 2 else mask
    return ["".join("#" if hidden else "." for hidden in row) for row in rows.tolist()]
