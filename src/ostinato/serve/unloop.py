"""What unloop's patch asks for: its eighteen arguments, the file that they name, and the two files that it gets."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from .. import audiofile
from ..errors import AudioError, ConfigError
from ..types import Audio
from . import published_api

RATE = 48000
LONGEST = 600.0
LARGEST_ID = 2**31 - 1
ARGUMENTS: tuple[tuple[str, type], ...] = (
    ("query_id", int),
    ("program", str),
    ("path", str),
    ("model_choice", str),
    ("periodic_p", int),
    ("dropout", float),
    ("seed", int),
    ("looplength_ms", float),
    ("typical_filtering", int),
    ("typical_mass", float),
    ("typical_min_tokens", int),
    ("n_mask_codebooks", int),
    ("onset_mask_width", int),
    ("sampling_steps", int),
    ("sampletemp", float),
    ("top_p", float),
    ("beat_mask_ms", float),
    ("num_feedback_steps", int),
)
"""The arguments of `/process`, in order; numbers of either kind are taken for either."""


@dataclass(frozen=True)
class Query:
    """One request: who asks, the sound's path as it was sent, the loop's length, and the published parameters."""

    number: int
    path: str
    seconds: float
    sent: dict[str, Any]


def query_of(sent: Sequence[Any]) -> Query:
    """The request that the arguments of a `/process` mean.

    Raises:
        ConfigError: they are not eighteen of the right kinds, or ask for another program.
    """
    if len(sent) != len(ARGUMENTS):
        raise ConfigError(f"/process takes {len(ARGUMENTS)} arguments, got {len(sent)}")
    found = {name: _read(name, kind, value) for (name, kind), value in zip(ARGUMENTS, sent, strict=True)}
    if found["program"] != "vampnet":
        raise ConfigError(f"the second argument must be 'vampnet', got '{found['program'][:40]}'")
    seconds = found["looplength_ms"] / 1000
    if not 0 < seconds <= LONGEST:
        raise ConfigError(f"looplength_ms must be above 0 and at most {LONGEST * 1000:.0f}, got {1000 * seconds:g}")
    known = {name: found[name] for name in published_api.DEFAULTS if name in found}
    known["typical_filtering"] = bool(known["typical_filtering"])
    return Query(found["query_id"], found["path"], seconds, {**published_api.DEFAULTS, **known})


def number_of(sent: Sequence[Any]) -> int:
    """The id of a request that may be damaged; 0 where it has none."""
    try:
        return _read("query_id", int, sent[0])
    except (IndexError, ConfigError):
        return 0


def inside(path: str, folders: Sequence[Path]) -> Path:
    """A sound file in one of the folders or below, links followed.

    Raises:
        AudioError: the path is not absolute, leads elsewhere, or there is no file.
    """
    shown = "".join(letter if letter.isprintable() else "?" for letter in path)[:200]
    try:
        real = Path(os.path.realpath(path))
        allowed = os.path.isabs(path) and any(real.is_relative_to(os.path.realpath(each)) for each in folders)
        there = allowed and real.is_file()
    except (OSError, ValueError):
        raise AudioError(f"'{shown}' is no path") from None
    if not allowed:
        raise AudioError(f"{shown} is outside the folders that may be read; name its folder when starting ostinato")
    if not there:
        raise AudioError(f"File {shown} does not exist")
    return real


def split(sound: Path, seconds: float) -> tuple[Audio, Audio | None]:
    """The loop at the start of a file and what follows it, in mono, its samples taken as 48000 a second.

    The patch's files have the rate of its session; what it calls a millisecond is 48 samples.

    Raises:
        AudioError: the file cannot be read, or is too long.
    """
    facts = audiofile.info(sound)
    if facts.samples > LONGEST * RATE:
        raise AudioError(f"{sound.name} has {facts.samples} samples; at most {LONGEST:g} s are taken, cut it")
    wave = audiofile.read(sound).wave.mean(1, keepdim=True)
    end = max(1, math.floor(seconds * RATE + 1e-6))
    rest = wave[..., end:]
    return Audio(wave[..., :end], RATE), Audio(rest, RATE) if rest.shape[-1] else None


def joined(take: Path, loop: Audio, rest: Audio | None) -> Audio:
    """A take of the loop, exactly as long as it, in mono at its rate, and the rest of the file after it.

    Raises:
        AudioError: the take cannot be read.
    """
    made = audiofile.resample(audiofile.read(take), RATE).wave.mean(1, keepdim=True)[..., : loop.samples]
    whole = F.pad(made, (0, loop.samples - made.shape[-1]))
    return Audio(whole if rest is None else torch.cat([whole, rest.wave], dim=-1), RATE)


def _read(name: str, kind: type, value: Any) -> Any:
    """A value as a kind, where it means one."""
    if kind is str:
        if isinstance(value, str):
            return value
        raise ConfigError(f"{name} must be text, got {str(value)[:40]}")
    if not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > LARGEST_ID:
        raise ConfigError(f"{name} must be a number, got {str(value)[:40]}")
    return round(value) if kind is int else float(value)
