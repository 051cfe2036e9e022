"""Numbers as simple clients send them, brought into the range of our knobs; and the prompts that they mean."""

import math
from typing import Any

from ..config import knobs
from ..hints import Hint
from ..hints.beats import OnBeats
from ..hints.levels import Finer
from ..hints.onsets import Onsets
from ..hints.places import Periodic, Random
from ..prompts import Prompt
from ..types import Grid


def number(value: Any, usual: float, low: float, high: float) -> float:
    """A number within a range, whatever was sent: none and nonsense are the usual one."""
    try:
        sent = float(value)
    except (TypeError, ValueError):
        return usual
    return min(max(sent, low), high) if math.isfinite(sent) else usual


def whole(value: Any, usual: int, low: int, high: int) -> int:
    """A whole number within a range, whatever was sent."""
    return round(number(value, usual, low, high))


def within(cls: type, name: str, value: Any, usual: Any) -> Any:
    """A value that the knob of a config class takes, whatever was sent, of the kind of the usual one."""
    about = knobs(cls)[name]
    low, high = (-math.inf if about.low is None else about.low), (math.inf if about.high is None else about.high)
    found = number(value, usual, low, high)
    return round(found) if isinstance(usual, int) else found


def masked(
    grid: Grid,
    *,
    period: int,
    width: int = 1,
    codebooks: int,
    onset_ms: float = 0.0,
    beat_ms: float = 0.0,
    dropout: float = 0.0,
    seed: int = 0,
) -> Prompt:
    """The prompt of the published application's numbers.

    Every `period`th frame is kept, `onset_ms` on either side of each onset and `beat_ms` from each beat on, where
    these are above 0; of the kept frames a share of `dropout` of all is hidden after all, and so are the codebooks
    from `codebooks` up. A period of 0 and no onsets and beats hide everything.
    """
    keep: list[Hint] = []
    if period > 0:
        keep.append(Periodic(period=period, width=min(width, period)))
    if onset_ms > 0:
        keep.append(Onsets(before=onset_ms, after=onset_ms))
    if beat_ms > 0:
        keep.append(OnBeats(after=beat_ms, before=0.0))
    if not keep:
        return Prompt()
    hide: list[Hint] = [Finer(first=codebooks)] if codebooks < grid.codebooks else []
    if dropout > 0:
        hide.append(Random(share=min(dropout, 1.0), seed=seed))
    return Prompt(tuple(keep), tuple(hide))
