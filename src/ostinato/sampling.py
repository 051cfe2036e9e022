"""Samplers fill the hidden cells of a grid, given only `predict(codes, mask) -> logits` and noise."""

import math
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .chance import Noise, derive
from .config import config, knob
from .registry import Registry
from .types import Codes, Logits, Mask, Predict, Watch

__all__ = ["Noise", "Parallel", "Sampler", "cosine_left", "derive", "reveal", "samplers", "top_p", "typical"]


@runtime_checkable
class Sampler(Protocol):
    """A settings object that fills the hidden cells of `codes` and leaves the others as they are.

    `predict` gives logits for every cell of the grid; what they say about visible cells is not read. `watch` is
    called after each step; what it raises ends the work and reaches the caller, which is how to cancel.
    """

    def __call__(
        self, predict: Predict, codes: Codes, mask: Mask, noise: Noise, watch: Watch | None = None
    ) -> Codes: ...


samplers: Registry[Sampler] = Registry("sampler")


@samplers("parallel")
@config
class Parallel:
    """Iterative parallel decoding: guess every hidden cell, keep the surest, repeat.

    Every item of a batch follows its own count of hidden cells, and is done when none is left; an item that hides
    fewer cells than there are steps is done early.

    Source: MaskGIT (arXiv:2202.04200, section 3.2) and VampNet (arXiv:2307.04686, section 3.3).
    """

    steps: int = knob("passes through the model", default=24, low=1, high=512)
    temperature: float = knob("freedom in each guess; 0 takes the likeliest", default=1.0, low=0, high=10)
    top_p: float = knob(
        "share of likelihood to guess from, likeliest tokens first; 1 is all", default=1.0, low=0, high=1
    )
    typical: float = knob(
        "share of likelihood to guess from, most typical tokens first; 1 is all", default=1.0, low=0, high=1
    )
    choice: float = knob("freedom in which guesses stay, fading to 0", default=10.5, low=0, high=100)

    @torch.no_grad()
    def __call__(self, predict: Predict, codes: Codes, mask: Mask, noise: Noise, watch: Watch | None = None) -> Codes:
        """Codes with every hidden cell filled.

        Raises:
            ConfigError: there is not one seed of noise for each item.
        """
        total = mask.flatten(1).sum(1).cpu()
        for step in range(self.steps):
            if not bool(mask.any()):
                break
            left = cosine_left(step, self.steps, total).to(mask.device)
            codes, mask = self._step(step, predict(codes, mask), codes, mask, left, noise)
            if watch is not None:
                watch(step, codes, mask)
        return codes

    def _step(
        self, step: int, logits: Logits, codes: Codes, mask: Mask, left: Int[Tensor, " batch"], noise: Noise
    ) -> tuple[Codes, Mask]:
        _, codebooks, frames, vocab = logits.shape
        hidden = logits[mask].float()
        likely = top_p(typical(hidden, self.typical), self.top_p)
        guess = (likely + self.temperature * noise.guess_at(step, mask, vocab)).max(-1).indices
        freedom = self.choice * (1 - (step + 1) / self.steps)
        sure = hidden.log_softmax(-1).gather(-1, guess[:, None])[:, 0]
        sure = sure + freedom * noise.choice(step, codebooks, frames, mask.device)[mask]
        return reveal(codes, mask, guess, sure, left)


def cosine_left(step: int, steps: int, total: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
    """Cells of each item that stay hidden after `step` (from 0), where `total` were hidden at first.

    Follows a quarter of a cosine; reveals at least one cell in each step while there are any, and after the last
    step none is left.

    Source: MaskGIT (arXiv:2202.04200, section 3.3), counted for each item on its own.
    """
    share = math.cos(math.pi / 2 * (step + 1) / steps)
    return (total.double() * share).floor().to(total.dtype).minimum(total - step - 1).clamp(min=0)


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
    trust = torch.full(mask.shape, torch.inf, device=mask.device).masked_scatter(mask, sure.float()).flatten(1)
    again = torch.arange(trust.shape[1], device=mask.device) < left[:, None]
    hidden = torch.zeros_like(again).scatter(1, trust.argsort(dim=1, stable=True), again)
    return filled, hidden.view_as(mask)


def top_p(logits: Float[Tensor, "*cell vocab"], mass: float) -> Float[Tensor, "*cell vocab"]:
    """Logits in which only the likeliest tokens are left: as few as hold `mass` of the likelihood, at least one.

    The others become minus infinity. Tokens that tie with the last one stay. A mass of 1 changes nothing.

    Source: nucleus sampling, Holtzman et al., arXiv:1904.09751, section 3.1.
    """
    if mass >= 1:
        return logits
    likelihood = logits.softmax(-1)
    return _keep_best(logits, likelihood, likelihood, mass)


def typical(logits: Float[Tensor, "*cell vocab"], mass: float) -> Float[Tensor, "*cell vocab"]:
    """Logits in which only typical tokens are left: those whose surprise is closest to the mean surprise (entropy).

    As few as hold `mass` of the likelihood, at least one; the others become minus infinity. Tokens that tie with the
    last one stay. A mass of 1 changes nothing.

    Source: locally typical sampling, Meister et al., arXiv:2202.00666, section 4.
    """
    if mass >= 1:
        return logits
    surprise = -logits.log_softmax(-1)
    likelihood = (-surprise).exp()
    entropy = torch.special.entr(likelihood).sum(-1, keepdim=True)
    return _keep_best(logits, -(surprise - entropy).abs(), likelihood, mass)


def _keep_best(
    logits: Float[Tensor, "*cell vocab"],
    score: Float[Tensor, "*cell vocab"],
    likelihood: Float[Tensor, "*cell vocab"],
    mass: float,
) -> Float[Tensor, "*cell vocab"]:
    """Logits without the tokens of low score that are not needed to hold `mass` of the likelihood."""
    order = _best_first(score)
    held = likelihood.gather(-1, order).cumsum(-1)
    last = (held < mass).sum(-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    return logits.masked_fill(score < score.gather(-1, order.gather(-1, last)), -torch.inf)


def _best_first(score: Float[Tensor, "*cell vocab"]) -> Int[Tensor, "*cell vocab"]:
    """Tokens by falling score; on a CPU by numpy, which sorts short rows several times faster than torch."""
    if score.device.type == "cpu":
        return torch.from_numpy(np.argsort(-score.detach().numpy(), axis=-1))
    return score.argsort(-1, descending=True)
