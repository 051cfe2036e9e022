"""The masks that VampNet was published with, faults included: 1 is hidden, 0 is kept, numbers drawn in published order.

Most take `tokens` for their shape alone. Our own patterns are in `masks`, and what they are for in `prompts`.

Source: VampNet, arXiv:2307.04686, section 3.4, and the code published with it.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from jaxtyping import Int
from torch import Tensor

from ..types import Audio, Grid
from .published_audio import onset_frames

Bits: TypeAlias = Int[Tensor, "batch codebook frame"]


def build_mask(
    tokens: Bits,
    grid: Grid,
    chance: torch.Generator,
    audio: Audio | None = None,
    *,
    rand_mask_intensity: float = 1.0,
    prefix_s: float = 0.0,
    suffix_s: float = 0.0,
    periodic_prompt: int = 7,
    periodic_prompt_width: int = 1,
    onset_mask_width: int = 0,
    dropout: float = 0.0,
    upper_codebook_mask: int = 3,
    ncc: int = 0,
) -> Bits:
    """The mask of the published application, its settings by their published names.

    Hidden is what chance, prefix and suffix, period and onsets all leave hidden; then whole frames dropped, the
    lowest `ncc` codebooks kept, and those from `upper_codebook_mask` up hidden.
    """
    mask = linear_random(tokens, rand_mask_intensity, chance)
    mask = torch.minimum(mask, inpaint(tokens, frames(grid, prefix_s), frames(grid, suffix_s)))
    mask = torch.minimum(
        mask, periodic(tokens, periodic_prompt, periodic_prompt_width, random_roll=True, chance=chance)
    )
    if onset_mask_width > 0 and audio is not None:
        mask = torch.minimum(mask, onsets(audio, tokens, grid.hop, onset_mask_width))
    if dropout > 0:
        mask = drop(mask, dropout, chance)
    return codebook_mask(codebook_unmask(mask, ncc), upper_codebook_mask)


def frames(grid: Grid, seconds: float) -> int:
    """Frames that cover `seconds`; unlike `Grid.frames` it does not round to samples first."""
    return math.ceil(seconds * grid.sample_rate / grid.hop)


def random(tokens: Bits, r: float, chance: torch.Generator) -> Bits:
    """Each cell hidden with likelihood `cos(r pi / 2)`, at least 1e-10."""
    share = torch.tensor(r).mul(math.pi / 2).cos().clamp(1e-10, 1.0)
    return torch.bernoulli(torch.ones(tokens.shape) * share, generator=chance).long()


def linear_random(tokens: Bits, r: float, chance: torch.Generator) -> Bits:
    """Each cell hidden with likelihood `r`; numbers are drawn even where it is 1."""
    return torch.bernoulli(torch.ones(tokens.shape) * r, generator=chance).long()


def inpaint(tokens: Bits, prefix: int, suffix: int) -> Bits:
    """All hidden but the first `prefix` and the last `suffix` frames."""
    mask = torch.ones_like(tokens)
    mask[..., :prefix] = 0
    mask[..., mask.shape[-1] - suffix :] = 0
    return mask


def periodic(tokens: Bits, period: int, width: int = 1, *, random_roll: bool = False, chance: torch.Generator) -> Bits:
    """All hidden but `width` frames (one more if even) around every frame that `period` divides; 0 hides all.

    The roll, one for the whole batch, wraps around. For every kept frame of every item a number is drawn and not
    used.
    """
    mask = torch.ones_like(tokens)
    if period == 0:
        return mask
    last = mask.shape[-1] - 1
    for item in mask:
        for centre in range(0, last + 1, period):
            start, end = max(0, centre - width // 2), min(last, centre + width // 2) + 1
            _ = torch.bernoulli(torch.ones(end - start), generator=chance)
            item[:, start:end] = 0
    if random_roll:
        mask = mask.roll(int(torch.randint(0, period, (1,), generator=chance)), -1)
    return mask


def drop(mask: Bits, share: float, chance: torch.Generator) -> Bits:
    """A mask that also hides frames drawn with replacement, `share` of them, the same for all items."""
    count = mask.shape[-1]
    chosen = torch.randint(0, count, (int(count * share),), generator=chance)
    return mask.index_fill(-1, chosen, 1)


def codebook_unmask(mask: Bits, count: int | None) -> Bits:
    """A mask that keeps the lowest `count` codebooks; none keeps the mask."""
    return mask if count is None else torch.cat([torch.zeros_like(mask[:, :count]), mask[:, count:]], dim=1)


def codebook_mask(mask: Bits, first: int) -> Bits:
    """A mask that hides the codebooks from `first` up."""
    return torch.cat([mask[:, :first], torch.ones_like(mask[:, first:])], dim=1)


def time_stretch(tokens: Bits, factor: int, chance: torch.Generator) -> Bits:
    """All hidden but every frame that `factor` divides."""
    return periodic(tokens, factor, chance=chance)


def onsets(audio: Audio, tokens: Bits, hop: int, width: int) -> Bits:
    """All hidden but `width` frames before each onset of the first channel, and as many from it on.

    Onsets are counted in frames of `hop` samples at the sound's own rate. One within `width` of the start keeps
    nothing, for a negative index counts from the end.
    """
    mask = torch.ones_like(tokens)
    for onset in onset_frames(audio.wave[0, 0], audio.sample_rate, hop).tolist():
        mask[..., onset - width : onset + width] = 0
    return mask


def beat_mask(
    seconds: float,
    codebooks: int,
    grid: Grid,
    chance: torch.Generator,
    *,
    beats: Sequence[float],
    downbeats: Sequence[float],
    before_beat_s: float = 0.0,
    after_beat_s: float = 0.02,
    mask_downbeats: bool = True,
    mask_upbeats: bool = True,
    downbeat_downsample_factor: int | None = None,
    beat_downsample_factor: int | None = None,
    dropout: float = 0.0,
    invert: bool = True,
) -> Bits:
    """The mask around beats (times in seconds) of a sound of `seconds`: all hidden but they, or if not inverted they.

    Each frame of a beat is left out with likelihood `dropout`. A beat that starts before the sound wraps to its end.
    """
    down = [frames(grid, time) for time in downbeats]
    up = [beat for beat in (frames(grid, time) for time in beats) if beat not in down]
    groups = [up[::beat_downsample_factor]] * mask_upbeats + [down[::downbeat_downsample_factor]] * mask_downbeats
    before, after = frames(grid, before_beat_s), frames(grid, after_beat_s)
    row = torch.zeros(frames(grid, seconds))
    for beat in (beat for group in groups for beat in group):
        piece = row[beat - before : beat + after]
        _ = piece.copy_(torch.bernoulli(torch.ones(len(piece)) * (1 - dropout), generator=chance))
    kept = 1 - row if invert else row
    return kept.long().expand(1, codebooks, -1)
