"""One: one cell after the other, as an autoregressive model would."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..chance import Noise
from ..config import config
from ..types import Mask
from .passes import Passes
from .plug import samplers
from .steps import ranks


@samplers("one")
@config
class One(Passes):
    """One cell in each pass: frame by frame, and within a frame from the coarsest codebook up.

    As slow as there are hidden cells; it is here to compare with.
    """

    def passes(self, mask: Mask) -> int:
        return int(mask.flatten(1).sum(1).max())

    def left(self, step: int, first: Mask) -> Int[Tensor, " batch"]:
        return (first.flatten(1).sum(1).cpu() - step - 1).clamp(min=0)

    def trust(self, step: int, likely: Float[Tensor, " hidden"], mask: Mask, noise: Noise) -> Float[Tensor, " hidden"]:
        frame = noise.frames(mask.shape[2], mask.device).expand(mask.shape)
        level = torch.arange(mask.shape[1], device=mask.device)[:, None].expand(mask.shape)
        return -ranks(frame, level)[mask].float()
