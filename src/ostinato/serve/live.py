"""The telephone with a microphone and loudspeakers: a sound card on one side, takes on the other."""

import time
from collections.abc import Callable
from queue import SimpleQueue
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
WAIT, BLOCK = 0.05, 8192  # seconds, and samples: no answer is wanted at once, and takes keep the machine busy


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


def hop(pipeline: Pipeline, ring: Ring, seed: int, prompt: Prompt = PROMPT) -> Wave | None:
    """A take of what the current channel holds, which goes round, as loud as it but between -20 and -40 LUFS.

    None where it holds nothing that can be heard.
    """
    from ..takes import usual_loudness

    sound = Audio(torch.from_numpy(ring.sound())[None, None], ring.room.rate)
    loudness = usual_loudness([sound])
    if loudness is None:
        return None
    take = pipeline.vary(sound, prompt, seed=seed, loop=True, loudness=min(LOUD, max(SOFT, loudness)))
    return take.audio.wave[0, 0].numpy().astype(np.float32)


def handed_on(pipeline: Pipeline, ring: Ring, seed: int, prompt: Prompt) -> bool:
    """Whether the next channel has got a take of the current one; where that has died away, someone else may speak."""
    deaf = ring.waiting > 0
    made = hop(pipeline, ring, seed, prompt)
    if made is not None:
        ring.hand_on(made)
    elif deaf:
        ring.listen()
    return made is not None


def telephone(
    pipeline: Pipeline,
    ring: Ring,
    *,
    device: str | None,
    seconds: float,
    seed: int,
    say: Callable[[str], object],
    keep: Callable[[Block], object],
    prompt: Prompt = PROMPT,
) -> None:
    """Listen, and hand what was heard around the ring, until the time is over; `keep` is given all that was played.

    Raises:
        MissingPartError: there is no sounddevice. AudioError: the sound card is not there, has too few
            channels, or stops.
    """
    card, room, played = sounddevice(), ring.room, SimpleQueue[Block]()

    def serve(heard: Any, out: Any, frames: int, *more: Any) -> None:
        if ring.hear(np.array(heard[:, 0], np.float32)):  # a copy: the card uses its own again
            _ = say("heard you")
        out[:] = ring.play(frames)
        played.put(out.copy())

    def kept() -> None:
        for _ in range(played.qsize()):
            _ = keep(played.get())

    try:
        stream = card.Stream(
            samplerate=room.rate,
            blocksize=BLOCK,
            device=device,
            channels=(1, room.channels),
            dtype="float32",
            callback=serve,
        )
    except (card.PortAudioError, ValueError) as error:
        raise AudioError(
            f"the sound card does not do that: {error}; name another --sound-card, or fewer --channels"
        ) from None
    until = time.monotonic() + seconds
    try:
        with stream:
            while time.monotonic() < until:
                kept()
                if not stream.active:
                    raise AudioError("the sound card stopped; is it still there, and is the machine fast enough?")
                if not handed_on(pipeline, ring, seed, prompt):
                    time.sleep(WAIT)
                    continue
                seed += 1
                turn = f", your turn in {ring.waiting}" if ring.waiting else ", your turn"
                _ = say(f"channel {ring.current + 1}{turn}")
    except KeyboardInterrupt:
        _ = say("over")
    kept()
