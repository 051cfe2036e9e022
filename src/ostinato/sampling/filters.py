"""Filters: which tokens a guess may fall on."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def top_p(logits: Float[Tensor, "*cell vocab"], mass: float) -> Float[Tensor, "*cell vocab"]:
    """Logits in which only the likeliest tokens are left: as few as hold `mass` of the likelihood, at least one.

    The others become minus infinity. Tokens that tie with the last one stay. A mass of 1 changes nothing.

    Source: nucleus sampling, Holtzman et al., arXiv:1904.09751, section 3.1.
    """
    if mass >= 1:
        return logits
    likelihood = logits.softmax(-1)
    return _keep_best(logits, likelihood, likelihood, mass, 1)


def typical(logits: Float[Tensor, "*cell vocab"], mass: float, least: int = 1) -> Float[Tensor, "*cell vocab"]:
    """Logits in which only typical tokens are left: those whose surprise is closest to the mean surprise (entropy).

    As few as hold `mass` of the likelihood, but `least` of them (or all, where there are fewer); the others become
    minus infinity. Tokens that tie with the last one stay. A mass of 1 changes nothing.

    Source: locally typical sampling, Meister et al., arXiv:2202.00666, section 4.
    """
    if mass >= 1:
        return logits
    surprise = -logits.log_softmax(-1)
    likelihood = (-surprise).exp()
    entropy = torch.special.entr(likelihood).sum(-1, keepdim=True)
    return _keep_best(logits, -(surprise - entropy).abs(), likelihood, mass, least)


def _keep_best(
    logits: Float[Tensor, "*cell vocab"],
    score: Float[Tensor, "*cell vocab"],
    likelihood: Float[Tensor, "*cell vocab"],
    mass: float,
    least: int,
) -> Float[Tensor, "*cell vocab"]:
    """Logits without the tokens of low score, but for those that are needed to hold `mass`, or to be `least`."""
    order = _best_first(score)
    held = likelihood.gather(-1, order).cumsum(-1)
    last = (held < mass).sum(-1, keepdim=True).clamp(min=least - 1).clamp(max=logits.shape[-1] - 1)
    return logits.masked_fill(score < score.gather(-1, order.gather(-1, last)), -torch.inf)


def _best_first(score: Float[Tensor, "*cell vocab"]) -> Int[Tensor, "*cell vocab"]:
    """Tokens by falling score; on a CPU by numpy, which sorts short rows several times faster than torch."""
    if score.device.type == "cpu":
        return torch.from_numpy(np.argsort(-score.detach().numpy(), axis=-1))
    return score.argsort(-1, descending=True)
