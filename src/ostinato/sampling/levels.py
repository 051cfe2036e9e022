"""Levels: one codebook after the other, from the coarsest up."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..chance import Noise
from ..config import config, knob
from ..types import Mask
from .confidence import Confidence
from .plug import samplers
from .steps import ranks


@samplers("levels")
@config
class Levels(Confidence):
    """Parallel decoding codebook by codebook: each is filled, surest cells first, before the next is begun.

    The coarsest gets most of the steps. With fewer steps than codebooks the last ones share a step; a codebook that
    hides nothing gets none.

    Source: SoundStorm (arXiv:2305.09636, section 3.2).
    """

    ratio: float = knob("steps of a codebook, as a share of those of the one below", default=0.5, low=0.01, high=1)

    def left(self, step: int, first: Mask) -> Int[Tensor, " batch"]:
        hidden = first.sum(2).cpu()
        ends = self.ends(hidden)
        starts = torch.nn.functional.pad(ends[:, :-1], (1, 0))
        done = ((step + 1 - starts) / (ends - starts).clamp(min=1)).clamp(0, 1).masked_fill(ends <= step + 1, 1)
        left = (hidden.double() * (math.pi / 2 * done.double()).cos()).floor().to(hidden.dtype).sum(1)
        return left.minimum(hidden.sum(1) - step - 1).clamp(min=0)

    def ends(self, hidden: Int[Tensor, "batch codebook"]) -> Int[Tensor, "batch codebook"]:
        """The number of steps after which each codebook is filled, for items that hide so many cells of each."""
        weight = self.ratio ** torch.arange(hidden.shape[1]).double() * (hidden > 0)
        share = weight.cumsum(1) / weight.sum(1, keepdim=True).clamp(min=1e-300)
        return (self.steps * share).round().long()

    def trust(self, step: int, likely: Float[Tensor, " hidden"], mask: Mask, noise: Noise) -> Float[Tensor, " hidden"]:
        sure = super().trust(step, likely, mask, noise)
        level = torch.arange(mask.shape[1], device=mask.device)[:, None].expand(mask.shape)
        surest = -torch.zeros(mask.shape, device=mask.device).masked_scatter(mask, sure)
        return -ranks(level, surest)[mask].float()
