"""Hints that speak of beats and bars, in all codebooks; who knows where they are is not their concern."""

import re
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from ..clip import Clip
from ..config import config, knob
from ..errors import ConfigError, PromptError
from ..grids import positions
from ..types import Beats
from .hint import heard, hints, in_moments, in_parts

AFTER, BEFORE = 150.0, 30.0
CURE = "give --bpm, --taps or --beats, or leave it to the tracker"
BARS_CURE = "give --bpm with --meter, or mark them in --beats"


@hints("beats")
@config
class OnBeats:
    """A moment around each beat, in all codebooks; kept, the rhythm stays and what is between is made anew.

    Raises (when asked):
        PromptError: beats are not known, lie past the end of the clip, or are fewer than `first`.

    Source: the beat-driven prompt of VampNet (arXiv:2307.04686, section 3.4), which keeps 75 ms from each beat on. In
    takes of the model that ships so little is not heard as the beat (docs/prompts.md).
    """

    needs = frozenset({"beats"})

    after: float = knob("length of the moment from the beat on", default=AFTER, unit="ms", low=0)
    before: float = knob("length of the moment up to the beat", default=BEFORE, unit="ms", low=0)
    every: int = knob("each nth beat; 1 is every one", default=1, unit="beats", low=1)
    first: int = knob("the beat to begin with, counted from 1", default=1, low=1)

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        return _moments(self, "beats", _beats(clip), clip)


@hints("downbeats")
@config
class OnDownbeats:
    """A moment around the first beat of each bar, in all codebooks.

    Raises (when asked):
        PromptError: downbeats are not known, lie past the end of the clip, or are fewer than `first`.
    """

    needs = frozenset({"beats"})

    after: float = knob("length of the moment from the downbeat on", default=AFTER, unit="ms", low=0)
    before: float = knob("length of the moment up to the downbeat", default=BEFORE, unit="ms", low=0)
    every: int = knob("each nth bar; 1 is every one", default=1, unit="bars", low=1)
    first: int = knob("the bar to begin with, counted from 1", default=1, low=1)

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        return _moments(self, "downbeats", _downbeats(clip), clip)


@hints("bars")
@config
class Bars:
    """Whole bars, or some beats of them, in all codebooks; hidden, they are played again.

    Bars are counted from 1, and so are beats. What comes before the first downbeat is bar 0; on a circle it belongs
    to the last bar. A beat lasts up to the next one, the last to the end of the clip. Numbers are written `3`, `3-4`
    or `1+3`.

    Raises:
        ConfigError: a text is not of that form.
        PromptError (when asked): downbeats are not known or lie past the end of the clip, or there is no such bar or
            beat.
    """

    needs = frozenset({"beats"})

    which: str = knob("bars, such as 4, 3-4 or 1+5-6; all is every one", default="all")
    beats: str = knob("beats of these bars, such as 1+3; all is the whole bar", default="all")

    def __post_init__(self) -> None:
        _ = _numbers("Bars.which", self.which), _numbers("Bars.beats", self.beats)

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        bars, beats = _numbers("Bars.which", self.which), _numbers("Bars.beats", self.beats)
        counted = _counted(clip)
        _among("bars which", self.which, bars, {each.bar for each in counted})
        _among("bars beats", self.beats, beats, {each.beat for each in counted if each.beat > 0})
        chosen = [
            each for each in counted if (bars is None or each.bar in bars) and (beats is None or each.beat in beats)
        ]
        return in_parts(clip, [(each.start, each.end) for each in chosen])


@dataclass(frozen=True)
class _Counted:
    """A stretch of time, in seconds, by the numbers of its bar and beat; what is before all beats is beat 0."""

    bar: int
    beat: int
    start: float
    end: float


def _moments(
    hint: OnBeats | OnDownbeats, what: str, times: Sequence[float], clip: Clip
) -> Bool[Tensor, "codebook frame"]:
    chosen = times[hint.first - 1 :: hint.every]
    if not chosen:
        raise PromptError(f"{what} first={hint.first} is outside the clip; choose at most {len(times)}, all it has")
    return in_moments(clip, [(time - hint.before / 1000, time + hint.after / 1000) for time in chosen])


def _counted(clip: Clip) -> list[_Counted]:
    """The beats of a clip as a musician counts them, each with the time up to the next one."""
    times, downbeats = _beats(clip), _downbeats(clip)
    upbeats, end = times.index(downbeats[0]), clip.seconds
    if clip.around:
        times, upbeats = (*times[upbeats:], *(time + end for time in times[:upbeats])), 0
        end += times[0]
    numbers = list(positions(Beats(tuple(times), tuple(downbeats))))
    meter = max(Counter(bar for bar, _ in numbers if bar).values())
    numbers[:upbeats] = [(0, meter - upbeats + place + 1) for place in range(upbeats)]
    counted = [_Counted(*number, *edges) for number, *edges in zip(numbers, times, (*times[1:], end), strict=True)]
    return counted if clip.around or not times[0] else [_Counted(0, 0, 0.0, times[0]), *counted]


def _beats(clip: Clip) -> Sequence[float]:
    return heard("beats", clip.beats and clip.beats.times, CURE, clip)


def _downbeats(clip: Clip) -> Sequence[float]:
    _ = _beats(clip)
    return heard("downbeats", clip.beats and clip.beats.downbeats, BARS_CURE, clip)


def _numbers(where: str, text: str) -> Set[int] | None:
    """The numbers that `1+3-5` means; None is all of them."""
    if text == "all":
        return None
    found: set[int] = set()
    for part in text.split("+"):
        ends = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part.strip())
        first, last = (0, -1) if ends is None else (int(ends[1]), int(ends[2] or ends[1]))
        if last < first:
            raise ConfigError(f"{where} is written all, 4, 3-4 or 1+5-6, got '{text}'")
        found |= set(range(first, last + 1))
    return found


def _among(what: str, text: str, wanted: Set[int] | None, there: Set[int]) -> None:
    if wanted is not None and (strange := wanted - there):
        raise PromptError(
            f"{what}={text} is outside the clip: it has no {min(strange)}; choose from {min(there)} to {max(there)}"
        )
