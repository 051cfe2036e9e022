"""Surprise: what each token of a sound costs the models that have to foretell it, in bits.

Whole frames are hidden, not single cells: the other codebooks of a frame would tell of it, and what does not belong
would surprise no one. Neighbours are given, so that the surprise is that of a moment and not of the piece.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .errors import ConfigError
from .filling import Progress, windows_of
from .lm import MaskedModel
from .metrics import token_bits
from .plan import Windows
from .types import Codes

PASSES = 2


@torch.no_grad()
def surprisal(
    models: Sequence[MaskedModel],
    codes: Codes,
    *,
    passes: int = PASSES,
    circular: bool = False,
    turned: int = 0,
    watch: Progress | None = None,
) -> Float[Tensor, "batch scored frame"]:
    """Bits of every token: minus log2 of how likely it is to the model that is not shown it.

    Pass `number` of each model hides the frames whose place is `number` modulo `passes`, in all codebooks that this
    model predicts; it is given all others, and the codebooks below those it predicts. So every cell is hidden once,
    and no chance is needed. Long sounds are seen in the windows in which they would be filled; of two windows the one
    counts whose middle is nearer.

    Args:
        models: the coarse model and the fine one, or the coarse one alone; the result ends where they do.
        codes: one row a side, with as many codebooks at least.
        passes: into how many parts the frames are dealt; with more, neighbours on both sides are always given.
        circular: the last frame meets the first.
        turned: by how many frames a circle was turned; what it gets is turned with it.
        watch: called as `watch("surprise", passes done, passes in all)`.

    Raises:
        ConfigError: `passes` is below 2, which would give nothing, or what is not circular was turned.
    """
    if passes < 2:
        raise ConfigError(f"surprise takes at least 2 passes, so that something is given, got {passes}")
    if turned and not circular:
        raise ConfigError(f"only a loop can be turned, got turned={turned} for a sound with two ends")
    codes = codes.roll(-turned, -1)
    cut = [windows_of(model, codes.shape[-1], circular=circular) for model in models]
    done, total = 0, sum(len(windows.starts()) for windows in cut) * passes

    def tell() -> None:
        nonlocal done
        done += 1
        if watch is not None:
            watch("surprise", done, total)

    told = zip(models, cut, strict=True)
    bits = torch.cat([_foretold(model, codes, windows, passes, tell) for model, windows in told], dim=1)
    return bits.roll(turned, -1)


def by_frame(coarse: MaskedModel, codes: Codes, **how: Any) -> Float[Tensor, " frame"]:
    """The surprise of each frame: the mean bits of its coarse tokens, over both sides; the rest as in `surprisal`.

    Fine tokens cost much wherever they are, and would drown the difference.
    """
    return surprisal([coarse], codes, **how).mean((0, 1))


def _foretold(
    model: MaskedModel, codes: Codes, windows: Windows, passes: int, tell: Callable[[], None]
) -> Float[Tensor, "batch predicted frame"]:
    """What every token costs in the codebooks that one model predicts."""
    whole_circle = windows.circular and windows.frames == windows.length
    off_middle = (2 * torch.arange(windows.length) + 1 - windows.length).abs()
    least = torch.full((windows.frames,), windows.length)
    bits = torch.zeros(len(codes), model.config.predicted, windows.frames)
    for start in windows.starts():
        places = windows.places(start)
        nearer = off_middle < least[places]
        least[places] = torch.where(nearer, off_middle, least[places])
        rows = codes[:, : model.config.codebooks, places].long()
        for number in range(passes):
            hidden = places % passes == number
            bits[..., places[hidden & nearer]] = _bits(model, rows, hidden, circular=whole_circle)[..., nearer[hidden]]
            tell()
    return bits


def _bits(
    model: MaskedModel, codes: Codes, hidden: Bool[Tensor, " frame"], *, circular: bool
) -> Float[Tensor, "batch predicted hidden"]:
    """What the tokens of the hidden frames cost, in the codebooks that the model predicts."""
    given, there = model.config.given, model.hidden.device
    mask = torch.zeros(codes.shape, dtype=torch.bool)
    mask[:, given:, hidden] = True
    logits = model(codes.to(there), mask.to(there), circular=circular).cpu()
    return token_bits(logits[..., hidden, :].float(), codes[:, given:, hidden])
