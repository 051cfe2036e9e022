"""What hidden cells are on average: code vectors, each as heavy as the coarse model finds it likely."""

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .lm import MaskedModel
from .types import Codes, Mask, Means
from .windows import open_windows

CORE, CONTEXT = 432, 72
TEMPERATURE = 0.3  # chosen by `bench compress` on validation music: docs/design.md
HIDDEN = -1


@torch.no_grad()
def means(
    coarse: MaskedModel, vectors: Float[Tensor, "codebook vocab dim"], parts: Iterable[tuple[Codes, Mask]]
) -> Iterator[Float[Tensor, "_ _ _ _"]]:
    """The code vectors of a grid with hidden cells, a window at a time; how the grid was cut does not matter.

    A kept cell has the vector of its token. A hidden cell has the mean of all vectors of its codebook, weighted by
    their likelihood at a temperature of 0.3, if the coarse model knows the codebook; else it says nothing.

    Args:
        coarse: the model, which sees 72 frames on either side of a window.
        vectors: those of the codec.
        parts: codes in pieces, and which of them are hidden.
    """
    told = (codes.masked_fill(mask, HIDDEN).long() for codes, mask in parts)
    for window, start, length in open_windows(told, CORE, CONTEXT):
        yield _expected(coarse, vectors, window)[..., start : start + length]


def _expected(
    coarse: MaskedModel, vectors: Float[Tensor, "codebook vocab dim"], window: Int[Tensor, "row codebook frame"]
) -> Means:
    hidden, codes, known = window == HIDDEN, window.clamp_min(0), coarse.config.codebooks
    found = vectors[torch.arange(len(vectors))[:, None], codes]
    told = ~hidden
    wanted = hidden[:, :known]
    if bool(wanted.any()):
        there = coarse.hidden.device
        logits = coarse.hidden_logits(codes[:, :known].to(there), wanted.to(there), coarse.bias(window.shape[-1]))
        likely, book = (logits / TEMPERATURE).softmax(-1).to(vectors), wanted.nonzero()[:, 1]
        for level in range(known):
            found[:, level][wanted[:, level]] = likely[book == level] @ vectors[level]
        told[:, :known] = True
    return torch.cat([found, told[..., None]], -1).transpose(2, 3)
