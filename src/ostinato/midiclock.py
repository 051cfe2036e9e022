"""Beats of a MIDI clock, as its messages come; where they come from, and when it is now, the caller knows."""

from collections import deque
from collections.abc import Sequence

from .errors import ConfigError
from .grids import beats_in
from .types import Beats

TICKS_PER_WHOLE, TICKS_PER_POSITION = 96, 6
CLOCK, START, CONTINUE, STOP, POSITION = 0xF8, 0xFA, 0xFB, 0xFC, 0xF2
REMEMBERED = 4096


class MidiClock:
    """What a sequencer tells of its beats: 24 ticks a quarter note, start, continue, stop and song position.

    The tick after a start is the first beat of the first bar. Ticks of a clock that stands still are not counted. The
    last 4096 beats are remembered.

    Args:
        meter: beats in a bar over the note that is a beat, such as `4/4` or `6/8`, at most thirty-second notes.

    Raises:
        ConfigError: the meter is not of that form.

    Source: MIDI 1.0 detailed specification, system common and real time messages.
    """

    def __init__(self, meter: str = "4/4") -> None:
        count = beats_in(meter)
        self._beat = TICKS_PER_WHOLE // int(meter.partition("/")[2])
        self._bar = self._beat * count
        self._next, self._running = 0, False
        self._beats: deque[tuple[float, bool]] = deque(maxlen=REMEMBERED)

    def receive(self, message: Sequence[int], seconds: float) -> None:
        """One MIDI message and when it came, on the caller's clock; messages of other kinds change nothing.

        Raises:
            ConfigError: a song position without its two data bytes, or a tick that came before the beat before it.
        """
        kind = message[0] if message else None
        if kind == CLOCK and self._running:
            self._tick(seconds)
        elif kind == START:
            self._next, self._running = 0, True
        elif kind in (CONTINUE, STOP):
            self._running = kind == CONTINUE
        elif kind == POSITION:
            if len(message) != 3:
                raise ConfigError(f"a song position is three bytes, got {list(message)}")
            self._next = TICKS_PER_POSITION * (message[1] + 128 * message[2])

    @property
    def running(self) -> bool:
        """Whether ticks are counted now."""
        return self._running

    @property
    def beats(self) -> Beats:
        """The beats so far, on the caller's clock."""
        return Beats(tuple(time for time, _ in self._beats), tuple(time for time, down in self._beats if down))

    def _tick(self, seconds: float) -> None:
        place, self._next = self._next, self._next + 1
        if place % self._beat:
            return
        if self._beats and seconds <= self._beats[-1][0]:
            raise ConfigError(f"ticks must come one after the other, got {seconds:g} s after {self._beats[-1][0]:g} s")
        self._beats.append((seconds, place % self._bar == 0))
