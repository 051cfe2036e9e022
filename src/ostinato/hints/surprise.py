"""Hints that speak of what the model finds likely and what it does not."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from ..clip import Clip
from ..config import config, knob
from ..errors import PromptError
from ..windows import around
from .hint import hints, in_all_codebooks


@hints("surprising")
@config
class Surprising:
    """The frames that the model finds least likely, in all codebooks; hidden, they become what it expects.

    Exactly the share, rounded. What the model knows of a frame is what surrounds it; see `surprise`.

    Raises (when asked):
        PromptError: the clip's surprise is not known.
    """

    needs = frozenset({"surprise"})
    sign: ClassVar[int] = 1

    share: float = knob("part of all frames", default=0.2, low=0, high=1)
    smooth: float = knob("length over which surprise is averaged", default=0.2, unit="s", low=0, high=60)

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        if clip.surprise is None:
            raise PromptError("the prompt needs the surprise of the sound: only a model can tell it; see Pipeline.vary")
        mean = smoothed(clip.surprise, int(self.smooth * clip.grid.rate / 2), circular=clip.around is not None)
        chosen = (self.sign * mean).argsort(descending=True, stable=True)[: round(self.share * clip.frames)]
        return in_all_codebooks(clip, torch.zeros(clip.frames, dtype=torch.bool).index_fill(0, chosen, True))


@hints("expected")
@config
class Expected(Surprising):
    """The frames that the model finds most likely, in all codebooks; hidden, what is special stays.

    Raises (when asked):
        PromptError: the clip's surprise is not known.
    """

    sign: ClassVar[int] = -1


def smoothed(values: Float[Tensor, " frame"], reach: int, *, circular: bool) -> Float[Tensor, " frame"]:
    """Means over each frame and `reach` frames on either side, as far as there are any; on a circle, round it."""
    row, size = values.double()[None], 2 * reach + 1
    if circular:
        return F.avg_pool1d(around(row, reach), size, 1)[0]
    return F.avg_pool1d(row, size, 1, padding=reach, count_include_pad=False)[0]
