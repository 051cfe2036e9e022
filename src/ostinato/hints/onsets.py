"""The hint that speaks of where notes and hits begin, in all codebooks."""

from jaxtyping import Bool
from torch import Tensor

from ..clip import Clip
from ..config import config, knob
from .hint import heard, hints, in_moments

CURE = "choose a sound in which notes begin, or another hint"


@hints("onsets")
@config
class Onsets:
    """A moment around each onset, in all codebooks; kept, attacks stay and what rings after them is made anew.

    Raises (when asked):
        PromptError: onsets are not known, there are none, or one lies past the end of the clip.
    """

    needs = frozenset({"onsets"})

    before: float = knob("length of the moment up to the onset", default=10.0, unit="ms", low=0)
    after: float = knob("length of the moment from the onset on", default=50.0, unit="ms", low=0)

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        times = heard("onsets", clip.onsets, CURE, clip)
        return in_moments(clip, [(time - self.before / 1000, time + self.after / 1000) for time in times])
