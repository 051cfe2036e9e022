"""The musician's own beats: a steady tempo, taps, or labels as text. Files and trackers are elsewhere."""

import math
import re
import statistics
from collections.abc import Iterator, Sequence

from .errors import AudioError, ConfigError
from .types import Beats

SLOWEST, FASTEST = 20.0, 400.0
MOST, LOWER = 32, (1, 2, 4, 8, 16, 32)


def steady(seconds: float, *, bpm: float = 120.0, offset: float = 0.0, meter: str = "4/4") -> Beats:
    """Beats at one tempo over a sound of so many seconds.

    Args:
        seconds: length of the sound; no beat is at or after its end.
        bpm: beats a minute, 20 to 400, whatever note a beat is: in 6/8 they are eighths. Felt in two, that is 2/4 at
            a third of the bpm.
        offset: where a bar begins, in seconds from the start. Beats run back from there to the start, too.
        meter: beats in a bar, and what note a beat is: `4/4`, `3/4`, `6/8`.

    Raises:
        ConfigError: the tempo is out of range, the offset outside the sound, or the meter not of that form.
    """
    if not SLOWEST <= bpm <= FASTEST:
        raise ConfigError(f"bpm must be between {SLOWEST:g} and {FASTEST:g}, got {bpm:g}")
    if not 0 <= offset < seconds:
        raise ConfigError(f"offset must lie within the sound, 0 to {seconds:g} s, got {offset:g} s")
    beat, bar = 60 / bpm, beats_in(meter)
    first, last = -math.floor(offset / beat + 1e-9), math.ceil((seconds - offset) / beat - 1e-9)
    times = {number: max(0.0, offset + number * beat) for number in range(first, last)}
    return Beats(tuple(times.values()), tuple(time for number, time in times.items() if number % bar == 0))


def tapped(taps: Sequence[float], *, meter: str = "4/4") -> Beats:
    """Beats where someone tapped, in seconds, no more and no fewer; bars begin with the first tap.

    Raises:
        ConfigError: there are fewer than two taps, they are not ascending or not from 0 s, or the meter is not of
            the form `4/4`.
    """
    if len(taps) < 2:
        raise ConfigError(f"taps must be two or more, got {len(taps)}")
    try:
        return Beats(tuple(map(float, taps)), tuple(map(float, taps[:: beats_in(meter)])))
    except AudioError as error:
        raise ConfigError(f"taps: {error}") from None


def beats_in(meter: str) -> int:
    """How many beats a bar of the meter has: its upper number.

    Raises:
        ConfigError: it is not written like `4/4` with 1 to 32 beats over a power of two.
    """
    found = re.fullmatch(r"(\d{1,2})/(\d{1,2})", meter.strip())
    if found is None or not 1 <= int(found[1]) <= MOST or int(found[2]) not in LOWER:
        raise ConfigError(f"a meter is written like 4/4, 3/4 or 6/8, with 1 to {MOST} beats, got '{meter}'")
    return int(found[1])


def tempo(beats: Beats) -> float | None:
    """Beats a minute, by the median distance of neighbours; None for fewer than two beats."""
    gaps = [later - time for time, later in zip(beats.times, beats.times[1:], strict=False)]
    return 60 / statistics.median(gaps) if gaps else None


def positions(beats: Beats) -> Iterator[tuple[int, int]]:
    """Bar and beat of each beat, counted from 1; those before the first downbeat are of bar 0, counted from 1 too."""
    downbeats = set(beats.downbeats)
    bar = beat = 0
    for time in beats.times:
        bar, beat = (bar + 1, 1) if time in downbeats else (bar, beat + 1)
        yield bar, beat


def from_labels(text: str) -> Beats:
    """Beats from a label track as Audacity exports it: a line a beat, `start<TAB>end<TAB>label`, times in seconds.

    A label that is `1`, or ends in `.1`, marks a downbeat, such as `5.1` for the first beat of bar 5. Lines of a time
    alone, or of a time and a label, will do; what follows `#` or begins with a backslash is not read.

    Raises:
        AudioError: a line does not begin with a time, or there is no line; or as `Beats`.
    """
    times: dict[float, bool] = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        words = line.partition("#")[0].split("\t" if "\t" in line else None)
        if not "".join(words).strip() or line.startswith("\\"):
            continue
        label = words[-1].strip() if len(words) > 1 else ""
        try:
            time = float(words[0].replace(",", "."))
        except ValueError:
            raise AudioError(f"line {number} of the labels must begin with a time in seconds, got '{line}'") from None
        times[time] = times.get(time, False) or label == "1" or label.endswith(".1")
    if not times:
        raise AudioError("the labels name no beat; write a line for each: start, end and label, with tabs between")
    ascending = sorted(times)
    return Beats(tuple(ascending), tuple(time for time in ascending if times[time]))


def as_labels(beats: Beats) -> str:
    """Beats as a label track, to the microsecond: `bar.beat` for labels, or `beat` before the first bar.

    `from_labels` reads it back.
    """
    names = [f"{bar}.{beat}" if bar else "beat" for bar, beat in positions(beats)]
    return "".join(f"{time:.6f}\t{time:.6f}\t{name}\n" for time, name in zip(beats.times, names, strict=True))
