"""Confidence: the surest guesses stay."""

from jaxtyping import Float
from torch import Tensor

from ..chance import Noise
from ..config import config, knob
from ..types import Mask
from .passes import Stepped
from .plug import samplers


@samplers("confidence")
@config
class Confidence(Stepped):
    """Iterative parallel decoding: guess every hidden cell, keep the surest, repeat.

    Source: MaskGIT (arXiv:2202.04200, section 3.2) and VampNet (arXiv:2307.04686, section 3.3).
    """

    choice: float = knob("freedom in which guesses stay, fading to 0", default=10.5, low=0, high=100)

    def trust(self, step: int, likely: Float[Tensor, " hidden"], mask: Mask, noise: Noise) -> Float[Tensor, " hidden"]:
        freedom = self.choice * (1 - (step + 1) / self.steps)
        return likely + freedom * noise.choice(step, mask.shape[1], mask.shape[2], mask.device)[mask]
