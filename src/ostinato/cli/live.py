"""`ostinato telephone --live`, and the ring of loudspeakers that a telephone's hops are laid out on."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import soundfile

from .. import audiofile
from ..config import knobs
from ..errors import OstinatoError
from ..pipeline import load
from ..serve.live import sounddevice, telephone
from ..serve.ring import Ring, Room, laid_out, ring_file
from .common import Within, from_flags, knob_flags, show
from .job import together

RING = "ring.wav"
LIVE = frozenset({"live", "sound_card", "minutes", "ring", *knobs(Room)})
"""The flags that say nothing about hops."""

live_options = together(
    click.option("--live", is_flag=True, help="Listen to a microphone, and play the ring; needs no SOUND."),
    click.option("--sound-card", metavar="NAME", help="The sound card.  [default: the system's]"),
    click.option("--minutes", type=Within(0, 1440, min_open=True), default=60.0, help="How long to listen."),
    click.option(
        "--ring", type=click.IntRange(2, 64), metavar="N", help=f"Write {RING}: the hops around N loudspeakers."
    ),
    knob_flags(Room),
)


def live(out: Path, flags: dict[str, Any]) -> None:
    """Run the telephone until its time is over or Ctrl-C; keep what was played as a file of as many channels.

    Raises:
        MissingPartError: there is no sounddevice. OstinatoError: the folder, the sound card or the model is not there.
    """
    _ = sounddevice()
    room = from_flags(Room, flags)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OstinatoError(f"cannot write to {out}: {error.strerror}") from None
    target, ring = out / RING, Ring(room)
    if target.exists():
        raise OstinatoError(f"{target} is there already; choose another folder")
    pipeline = load(flags["model"])
    seconds = 60 * flags["minutes"]
    with ring_file(target, room.rate, room.channels, seconds) as keep:
        how = {"device": flags["sound_card"], "seconds": seconds, "seed": flags["seed"]}
        telephone(pipeline, ring, **how, say=partial(click.echo, err=True), keep=keep)
    told = {"path": str(target), "channels": room.channels, "seconds": round(soundfile.info(target).duration, 3)}
    show(told, str(target), json_wanted=flags["as_json"])


def ring_of(out: Path, hops: Sequence[Path], channels: int) -> Path:
    """Write hops around a ring; returns the file.

    Raises:
        AudioError: a hop cannot be read, or the file not be written.
    """
    waves = [audiofile.read(hop).wave[0].mean(0).numpy().astype(np.float32) for hop in hops]
    whole, rate = laid_out(waves, channels), soundfile.info(hops[0]).samplerate
    with ring_file(out / RING, rate, channels, len(whole) / rate) as write:
        write(whole)
    return out / RING
