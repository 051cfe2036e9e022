"""The telephone around a room: a ring of channels that go round, what is said into it, and what was heard as a file."""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float32

from ..audiofile import refusing
from ..config import config, knob
from ..errors import AudioError
from ..whole import whole

RAMP, FADE = 0.01, 0.01
LARGEST_WAV = (1 << 32) - 4096
Block = Float32[np.ndarray, "sample channel"]
Wave = Float32[np.ndarray, " sample"]


@config
class Room:
    """A room with a loudspeaker for each channel, and a microphone."""

    channels: int = knob("loudspeakers in the ring", default=4, low=2, high=64)
    rate: int = knob("samples a second", default=48000, unit="Hz", low=8000, high=192000)
    seconds: float = knob("how long the ring takes to go round", default=5.0, unit="s", low=0.5, high=60)
    trigger: float = knob("a sound above this level begins to be heard", default=-40.0, unit="dBFS", low=-120, high=0)
    release: float = knob("and is over when it stays below this", default=-60.0, unit="dBFS", low=-120, high=0)
    hold: float = knob("for so long", default=1.0, unit="s", low=0, high=10)
    before: float = knob("how much from before the trigger is kept", default=0.2, unit="s", low=0, high=2)
    remains: float = knob("what is left of a channel that is spoken into", default=0.25, low=0, high=1)


class Ring:
    """Channels that go round, each with a sound of its own. May be used by the thread of a sound card and another one.

    Only one sound is heard at a time: from when one was taken in until the ring has come back to its channel, the
    microphone is deaf.
    """

    def __init__(self, room: Room) -> None:
        self.room = room
        self.samples = round(room.seconds * room.rate)
        self.sounds = np.zeros((self.samples, room.channels), np.float32)
        self.current = 0
        self._at = 0
        self._old: Block | None = None
        self._turn = threading.Lock()
        self._locked: int | None = None
        self._parts: list[Wave] = []
        self._before = np.zeros(0, np.float32)
        self._quiet = 0

    @property
    def waiting(self) -> int:
        """In how many hops something may be said again; 0 is now."""
        return 0 if self._locked is None else 1 + (self._locked - self.current - 1) % self.room.channels

    def play(self, samples: int) -> Block:
        """The next samples of all channels; what has changed since the last ones fades over."""
        with self._turn:
            places = (self._at + np.arange(samples)) % self.samples
            block = self.sounds[places]
            if self._old is not None:
                fade = min(samples, max(1, round(FADE * self.room.rate)))
                old = np.linspace(1, 0, fade, dtype=np.float32)[:, None]
                block[:fade] = block[:fade] * (1 - old) + self._old[places[:fade]] * old
                self._old = None
            self._at = (self._at + samples) % self.samples
        return block

    def hear(self, block: Wave) -> bool:
        """What the microphone hears; whether a sound was just taken in."""
        if self._locked is not None:
            self._parts, self._before = [], np.zeros(0, np.float32)
            return False
        level = 20 * math.log10(max(float(np.sqrt(np.mean(block**2))), 1e-9))
        if not self._parts:
            if level < self.room.trigger:
                kept = max(len(block), round(self.room.before * self.room.rate))
                self._before = np.concatenate([self._before, block])[-kept:]
                return False
            self._parts, self._quiet = [self._before], 0
        self._parts.append(block)
        self._quiet = self._quiet + len(block) if level < self.room.release else 0
        full = sum(map(len, self._parts)) >= self.samples
        if not full and self._quiet < self.room.hold * self.room.rate:
            return False
        self._take_in(np.concatenate(self._parts)[: self.samples])
        self._parts, self._before = [], np.zeros(0, np.float32)
        return True

    def listen(self) -> None:
        """Let something be said at once, whoever's turn it is."""
        self._locked = None

    def sound(self) -> Wave:
        """What the current channel holds."""
        with self._turn:
            return self.sounds[:, self.current].copy()

    def hand_on(self, wave: Wave) -> None:
        """Give the next channel what was made of the current one, and go there."""
        with self._turn:
            following = (self.current + 1) % self.room.channels
            self._change(following, wave)
            self.current = following
            if self._locked == following:
                self._locked = None

    def _take_in(self, wave: Wave) -> None:
        """Mix a sound into the current channel; the others go half as loud."""
        ramp = min(len(wave), round(RAMP * self.room.rate))
        wave = wave.copy()
        wave[:ramp] *= np.linspace(0, 1, ramp, dtype=np.float32)
        wave[len(wave) - ramp :] *= np.linspace(1, 0, ramp, dtype=np.float32)
        with self._turn:
            mixed = self.sounds[:, self.current] * np.float32(self.room.remains)
            mixed[: len(wave)] += wave
            self._change(self.current, mixed)
            others = [each for each in range(self.room.channels) if each != self.current]
            self.sounds[:, others] *= np.float32(0.5)
            self._locked = self.current

    def _change(self, channel: int, wave: Wave) -> None:
        self._old = self.sounds.copy()
        self.sounds = self.sounds.copy()
        self.sounds[:, channel] = wave


def laid_out(hops: Sequence[Wave], channels: int) -> Float32[np.ndarray, "whole channel"]:
    """Hops around a ring: with each pass the next channel gets the next hop, and all go on with what they hold."""
    samples, held = len(hops[0]), np.zeros((len(hops[0]), channels), np.float32)
    whole = np.zeros((samples * len(hops), channels), np.float32)
    for number, wave in enumerate(hops):
        held[:, number % channels] = wave
        whole[number * samples : (number + 1) * samples] = held
    return whole


@contextmanager
def ring_file(path: Path, rate: int, channels: int, seconds: float) -> Iterator[Callable[[Block], None]]:
    """A WAV of floats that is written block by block, and there at the end; `seconds` is how long it may become.

    Raises:
        AudioError: it cannot be written there.
    """
    big = seconds * rate * channels * 4 > LARGEST_WAV
    with whole(path, AudioError) as part:
        with refusing(path):
            file = soundfile.SoundFile(part, "w", rate, channels, subtype="FLOAT", format="RF64" if big else "WAV")

        def write(block: Block) -> None:
            with refusing(path):
                file.write(block)

        with file:
            yield write
