"""Hints that speak of places in time, in all codebooks."""

from jaxtyping import Bool
from torch import Tensor

from ..clip import Clip
from ..config import config, knob
from ..errors import ConfigError, PromptError
from ..masks import every, scatter, span
from .hint import hints, in_all_codebooks


@hints("all")
@config
class Everything:
    """Every cell."""

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        return in_all_codebooks(clip, span(clip.frames, 0, clip.frames))


@hints("periodic")
@config
class Periodic:
    """Some frames out of every period, in all codebooks; kept, they hold the course of the input.

    Raises (when asked):
        PromptError: the width is not within the period.

    Source: the periodic prompt of VampNet (arXiv:2307.04686).
    """

    period: int = knob("from one group to the next", default=7, unit="frames", low=1)
    width: int = knob("length of a group, at most the period", default=1, unit="frames", low=1)
    offset: int = knob("start of the first group", default=0, unit="frames")

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        return in_all_codebooks(clip, every(clip.frames, self.period, width=self.width, offset=self.offset))


@hints("prefix")
@config
class Prefix:
    """The beginning, in all codebooks; kept, the model continues it.

    Raises (when asked):
        PromptError: the prefix is longer than the clip.
    """

    seconds: float = knob("length of the beginning", default=1.0, unit="s", low=0)

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        return in_all_codebooks(clip, span(clip.frames, 0, _length("prefix", self.seconds, clip)))


@hints("suffix")
@config
class Suffix:
    """The end, in all codebooks; kept, the model leads up to it.

    Raises (when asked):
        PromptError: the suffix is longer than the clip.
    """

    seconds: float = knob("length of the end", default=1.0, unit="s", low=0)

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        start = clip.frames - _length("suffix", self.seconds, clip)
        return in_all_codebooks(clip, span(clip.frames, start, clip.frames))


@hints("inpaint")
@config
class Inpaint:
    """A range of time, in all codebooks: the frames that start in it; hidden, the model fills the gap.

    Raises:
        ConfigError: the end is not after the start.
        PromptError (when asked): the range leaves the clip, or no frame starts in it.
    """

    start: float = knob("start of the range", default=0.0, unit="s", low=0)
    end: float | None = knob("end of the range; none is the end of the clip", default=None, unit="s", low=0)

    def __post_init__(self) -> None:
        if self.end is not None and self.end <= self.start:
            raise ConfigError(f"Inpaint.end must be after Inpaint.start ({self.start:g} s), got {self.end:g}")

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        start = _length("inpaint start", self.start, clip)
        end = clip.frames if self.end is None else _length("inpaint end", self.end, clip)
        if start == end:
            hop = 1000 * clip.grid.seconds(1)
            raise PromptError(
                f"inpaint from {self.start:g} s holds no start of a frame; make it at least {hop:.1f} ms long"
            )
        return in_all_codebooks(clip, span(clip.frames, start, end))


@hints("random")
@config
class Random:
    """Frames strewn by chance, in all codebooks: exactly the share, rounded. The seed is its own, not the take's."""

    share: float = knob("part of all frames", default=0.2, low=0, high=1)
    seed: int = knob("another seed chooses other frames", default=0, low=0, high=2**64 - 1)

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        return in_all_codebooks(clip, scatter(clip.frames, self.share, self.seed))


def _length(what: str, seconds: float, clip: Clip) -> int:
    """Frames that cover `seconds`, which must lie within the clip (to the nearest sample)."""
    samples = round(seconds * clip.grid.sample_rate)
    if samples > clip.samples:
        raise PromptError(f"{what} of {seconds:g} s is outside the clip; choose at most {_floor_ms(clip.seconds)} s")
    return clip.frames_of(samples)


def _floor_ms(seconds: float) -> str:
    return f"{int(seconds * 1000) / 1000:g}"
