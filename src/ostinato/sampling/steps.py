"""The parts that samplers are made of: how many cells stay hidden, a guess, whose turn it is, and one reveal."""

import math

import torch
from jaxtyping import Float, Int, Real
from torch import Tensor

from ..types import Codes, Mask

COLDEST = 2.0**-100


def cosine_left(step: int, steps: int, total: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
    """Cells of each item that stay hidden after `step` (from 0), where `total` were hidden at first.

    Follows a quarter of a cosine; reveals at least one cell in each step while there are any, and after the last
    step none is left.

    Source: MaskGIT (arXiv:2202.04200, section 3.3), counted for each item on its own.
    """
    share = math.cos(math.pi / 2 * (step + 1) / steps)
    return (total.double() * share).floor().to(total.dtype).minimum(total - step - 1).clamp(min=0)


def drawn(
    logits: Float[Tensor, "hidden vocab"], temperature: float, noise: Float[Tensor, " hidden"]
) -> Int[Tensor, " hidden"]:
    """A token for each cell, each as likely as `likelihood` says; noise is even between 0 and 1."""
    return picked(likelihood(logits, temperature), noise)


def likelihood(logits: Float[Tensor, "hidden vocab"], temperature: float) -> Float[Tensor, "hidden vocab"]:
    """How likely each token is: the softmax of the logits over the temperature.

    Args:
        logits: those of tokens that are never to be drawn are minus infinity.
        temperature: 0 counts as 2^-100. Float logits that differ at all are then so far apart that the likeliest token
            has all the likelihood.
    """
    return (logits / max(temperature, COLDEST)).softmax(-1)


def picked(likely: Float[Tensor, "hidden vocab"], noise: Float[Tensor, " hidden"]) -> Int[Tensor, " hidden"]:
    """A token for each cell, each as likely as told, with one even number between 0 and 1 for each.

    Tokens lie side by side from 0 to 1, each as long as it is likely, and the noise falls on one of them.

    Source: inversion, Devroye, "Non-uniform random variate generation" (1986), section III.2.
    """
    upto = likely.cumsum(-1)
    return torch.searchsorted(upto, noise[:, None] * upto[:, -1:], right=True)[:, 0]


def reveal(
    codes: Codes, mask: Mask, guess: Int[Tensor, " hidden"], sure: Float[Tensor, " hidden"], left: Int[Tensor, " batch"]
) -> tuple[Codes, Mask]:
    """Write a guess into every hidden cell, then hide the `left` least sure cells of each item again.

    Args:
        codes: the grid so far.
        mask: True where it is hidden.
        guess: a token for each hidden cell, in the order of `codes[mask]`.
        sure: how sure each guess is, higher is surer; ties are hidden from the first cell on.
        left: cells of each item to hide again, at most as many as are hidden now.

    Returns:
        The filled grid and the new mask, which hides exactly `left` of the cells that `mask` hid.
    """
    filled = codes.masked_scatter(mask, guess.to(codes.dtype))
    return filled, lowest(torch.full(mask.shape, torch.inf, device=mask.device).masked_scatter(mask, sure), left)


def lowest(score: Float[Tensor, "batch codebook frame"], count: Int[Tensor, " batch"]) -> Mask:
    """True for the `count` cells of each item that score lowest; of ties, the first."""
    cells = score.flatten(1)
    chosen = torch.arange(cells.shape[1], device=score.device) < count[:, None]
    return torch.zeros_like(chosen).scatter(1, cells.argsort(dim=1, stable=True), chosen).view(score.shape)


def ranks(*keys: Real[Tensor, "batch codebook frame"]) -> Int[Tensor, "batch codebook frame"]:
    """The place of each cell in its item, from 0, when cells are put in order of the first key.

    Cells that tie follow the second key, and so on; those that tie in all keys follow their place in the grid.
    """
    places = torch.arange(keys[0][0].numel(), device=keys[0].device).expand(len(keys[0]), -1)
    order = places
    for key in reversed(keys):
        order = order.gather(1, key.flatten(1).gather(1, order).argsort(dim=1, stable=True))
    return torch.zeros_like(places).scatter(1, order, places).view(keys[0].shape)
