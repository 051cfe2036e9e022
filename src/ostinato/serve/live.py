"""The telephone with a microphone and loudspeakers: a sound card on one side, takes on the other."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..errors import AudioError, MissingPartError
from ..pipeline import Pipeline
from ..prompts import Prompt
from ..types import Audio
from .ring import Block, Ring, Wave

PROMPT = Prompt.of(["periodic:period=3"], ["finer:first=3"])
LOUD, SOFT = -20.0, -40.0


def sounddevice() -> Any:
    """The package that talks to sound cards.

    Raises:
        MissingPartError: it, or the library below it, is not installed.
    """
    try:
        import sounddevice  # type: ignore[import-not-found]
    except ImportError:
        raise MissingPartError("--live needs sounddevice: pip install 'ostinato[live]'") from None
    except OSError:
        raise MissingPartError("--live needs PortAudio; on Debian: apt install libportaudio2") from None
    return sounddevice


def hop(pipeline: Pipeline, ring: Ring, seed: int, prompt: Prompt = PROMPT) -> Wave:
    """A take of what the current channel holds, which goes round, as loud as it but between -20 and -40 LUFS."""
    from ..takes import usual_loudness

    sound = Audio(torch.from_numpy(ring.sound())[None, None], ring.room.rate)
    loudness = usual_loudness([sound])
    if loudness is None:
        return ring.sound()
    take = pipeline.vary(sound, prompt, seed=seed, loop=True, loudness=min(LOUD, max(SOFT, loudness)))
    return take.audio.wave[0, 0].numpy().astype(np.float32)


def telephone(
    pipeline: Pipeline,
    ring: Ring,
    *,
    device: str | None,
    seconds: float,
    seed: int,
    say: Callable[[str], object],
    prompt: Prompt = PROMPT,
) -> Block:
    """Listen, and hand what was heard around the ring, until the time is over; returns what was played.

    Raises:
        MissingPartError: there is no sounddevice. AudioError: the sound card has too few channels, or is not there.
    """
    card, played, room = sounddevice(), [], ring.room

    def serve(heard: Any, out: Any, frames: int, *more: Any) -> None:
        if ring.hear(np.ascontiguousarray(heard[:, 0], dtype=np.float32)):
            _ = say("heard you")
        out[:] = ring.play(frames)
        played.append(out.copy())

    try:
        stream = card.Stream(
            samplerate=room.rate, device=device, channels=(1, room.channels), dtype="float32", callback=serve
        )
    except (card.PortAudioError, ValueError) as error:
        raise AudioError(
            f"the sound card does not do that: {error}; name another --device, or fewer --channels"
        ) from None
    until, done = time.monotonic() + seconds, threading.Event()
    try:
        with stream:
            while time.monotonic() < until:
                if not ring.sound().any():
                    _ = done.wait(0.05)
                    continue
                ring.hand_on(hop(pipeline, ring, seed, prompt))
                seed += 1
                _ = say(
                    f"channel {ring.current + 1}"
                    + (f", your turn in {ring.waiting}" if ring.waiting else ", your turn")
                )
    except KeyboardInterrupt:
        _ = say("over")
    return np.concatenate(played) if played else np.zeros((1, room.channels), np.float32)
