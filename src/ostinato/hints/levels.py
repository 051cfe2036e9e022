"""Hints that speak of codebooks, in all frames."""

from jaxtyping import Bool
from torch import Tensor

from ..clip import Clip
from ..config import config, knob
from ..errors import PromptError
from ..masks import span
from .hint import hints


@hints("coarsest")
@config
class Coarsest:
    """The lowest codebooks, in all frames; kept, the model makes the others anew (compression).

    Raises (when asked):
        PromptError: the grid has fewer codebooks.
    """

    codebooks: int = knob("how many, from the coarsest up", default=1, unit="codebooks", low=1)

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        _check_codebooks("coarsest codebooks", self.codebooks, clip)
        return _in_all_frames(clip, span(clip.grid.codebooks, 0, self.codebooks))


@hints("finer")
@config
class Finer:
    """The codebooks from one level up, in all frames; hidden, only the coarser ones of the input are used.

    Codebooks are counted from 0, so 3 speaks of all but the lowest three; the number of codebooks speaks of none.

    Raises (when asked):
        PromptError: the grid has fewer codebooks.
    """

    first: int = knob("lowest codebook meant, counted from 0", default=3, low=0)

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        _check_codebooks("finer first", self.first, clip)
        return _in_all_frames(clip, span(clip.grid.codebooks, self.first, clip.grid.codebooks))


def _in_all_frames(clip: Clip, codebooks: Bool[Tensor, " codebook"]) -> Bool[Tensor, "codebook frame"]:
    return codebooks[:, None].expand(-1, clip.frames)


def _check_codebooks(what: str, number: int, clip: Clip) -> None:
    if number > clip.grid.codebooks:
        raise PromptError(f"{what}={number} is outside the grid; choose at most {clip.grid.codebooks}, its codebooks")
