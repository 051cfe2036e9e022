"""Remask: what was filled may be hidden again and guessed anew."""

import dataclasses

import torch
from jaxtyping import Int
from torch import Tensor

from ..chance import Noise
from ..config import config, knob
from ..types import HiddenLogits
from .confidence import Confidence
from .passes import Canvas
from .plug import samplers
from .steps import lowest


@samplers("remask")
@config
class Remask(Confidence):
    """Parallel decoding that takes some of its guesses back: in each pass a share of what it filled is hidden again.

    As many more cells are filled instead, so that the schedule holds. Which ones go back is drawn, with weight
    exp(-p) for a token that was likely to p when it was guessed. The last pass takes nothing back.

    Source: ReMDM (arXiv:2503.00307, section 4), capped and by confidence, with exact counts for each item.
    """

    again: float = knob("share of the filled cells that each pass hides again", default=0.1, low=0, high=1)

    def step(
        self, step: int, logits: HiddenLogits, canvas: Canvas, left: Int[Tensor, " batch"], noise: Noise
    ) -> Canvas:
        filled = canvas.first & ~canvas.mask
        count = (self.again * filled.flatten(1).sum(1).cpu().double()).floor().to(left.dtype).minimum(left)
        after = super().step(step, logits, canvas, left - count, noise)
        doubt = noise.choice(step, filled.shape[1], filled.shape[2], filled.device) - after.likely.exp()
        back = lowest((-doubt).masked_fill(~filled, torch.inf), count.to(filled.device))
        return dataclasses.replace(after, mask=after.mask | back)
