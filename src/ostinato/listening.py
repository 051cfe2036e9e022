"""Hear what a prompt needs to know of a sound, its beats and its onsets: sounds of any length, in flat memory."""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import chain

from .beats import Tracker
from .clip import Heard
from .onsets import onsets
from .resampling import join
from .tracking import load_tracker
from .types import Audio, Beats, Pieces
from .windows import around, open_windows

PART, CONTEXT = 300.0, 30.0
Moments = list[tuple[float, bool]]


def listen(
    pieces: Pieces,
    needs: AbstractSet[str],
    known: Heard | None = None,
    *,
    tracker: str | Tracker = "default",
    circular: bool = False,
) -> Heard:
    """What is known of a sound, and what of `needs` can be heard beyond it: "beats" by a tracker, and "onsets".

    Other needs are not met here; what a model has to tell, the pipeline knows.

    Args:
        pieces: one sound, in pieces, read only for what is missing.
        needs: as `Prompt.needs`.
        known: what is not listened for, such as a musician's own beats.
        tracker: who finds the beats, by name or in person.
        circular: the end of the sound meets its start; it is heard going round.

    Raises:
        ConfigError, CheckpointError, MissingPartError: there is no such tracker, or it is not whole.
    """
    heard = known or Heard()
    if "onsets" in needs and heard.onsets is None:
        heard = replace(heard, onsets=hear_onsets(pieces, circular=circular))
    if "beats" in needs and heard.beats is None:
        find = load_tracker(tracker) if isinstance(tracker, str) else tracker
        heard = replace(heard, beats=hear_beats(pieces, find, circular=circular))
    return heard


def hear_onsets(pieces: Pieces, *, circular: bool = False) -> tuple[float, ...]:
    """The onsets of a sound in pieces, its channels added, in seconds."""

    def find(audio: Audio) -> Moments:
        return [(time, False) for time in onsets(audio.wave[0], audio.sample_rate)[0]]

    return tuple(time for time, _ in _stitched(pieces(), find, circular=circular))


def hear_beats(pieces: Pieces, tracker: Tracker, *, circular: bool = False) -> Beats:
    """The beats that a tracker finds in a sound in pieces, its channels added."""
    sure: list[float] = []

    def find(audio: Audio) -> Moments:
        beats = tracker(audio)
        sure.append(beats.confidence)
        downbeats = set(beats.downbeats)
        return [(time, time in downbeats) for time in beats.times]

    found = _stitched(pieces(), find, circular=circular)
    downbeats = tuple(time for time, down in found if down)
    return Beats(tuple(time for time, _ in found), downbeats, sum(sure) / len(sure))


def _stitched(pieces: Iterable[Audio], find: Callable[[Audio], Moments], *, circular: bool) -> Moments:
    """What `find` hears in a sound, part by part; where parts meet, cut halfway between two moments of the earlier."""
    mono = (Audio(piece.wave.mean(1, keepdim=True), piece.sample_rate) for piece in pieces)
    if circular:
        return _lap(join(mono), find)
    found: Moments = []
    for audio, start, core in _parts(mono):
        cut = _between(found, core)
        later = ((start + time, down) for time, down in find(audio) if time <= audio.seconds)
        found = [each for each in found if each[0] < cut] + [each for each in later if each[0] >= cut]
    return found


def _lap(loop: Audio, find: Callable[[Audio], Moments]) -> Moments:
    """One lap of what `find` hears in a loop that goes round, cut halfway between two moments, as near its start."""
    context, length = round(CONTEXT * loop.sample_rate), loop.seconds
    going_round = Audio(around(loop.wave, context), loop.sample_rate)
    found = [(time - context / loop.sample_rate, down) for time, down in find(going_round)]
    cut = _between(found, 0.0)
    return sorted((time % length, down) for time, down in found if cut <= time < cut + length)


def _parts(pieces: Iterable[Audio]) -> Iterator[tuple[Audio, float, float]]:
    """Long parts of a sound with some of what is around them: each with when it and its own core begin, in seconds."""
    rest = iter(pieces)
    first = next(rest)
    rate, at = first.sample_rate, 0
    waves = (piece.wave[0] for piece in chain([first], rest))
    for window, before, length in open_windows(waves, round(PART * rate), round(CONTEXT * rate)):
        yield Audio(window[None], rate), (at - before) / rate, at / rate
        at += length


def _between(moments: Moments, time: float) -> float:
    """Halfway between the moments on either side of a time; the time itself where one side has none."""
    before = max((each for each, _ in moments if each <= time), default=None)
    after = min((each for each, _ in moments if each > time), default=None)
    return time if before is None or after is None else (before + after) / 2
