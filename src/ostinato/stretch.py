"""Stretching in time by tokens: frames are repeated, or left out, and the codec makes a longer or shorter sound."""

import dataclasses

import torch
from jaxtyping import Int
from torch import Tensor

from .clip import Heard
from .codesfile import Origin
from .errors import ConfigError
from .resampling import samples_at
from .types import Beats, Codes

LEAST, MOST = 0.125, 8.0


def stretched(
    codes: Codes, origin: Origin, ratio: float, *, period: int = 1
) -> tuple[Int[Tensor, "batch codebook later"], Origin]:
    """Codes that last `ratio` times as long, and their origin: every frame is that which was nearest in time.

    A ratio of 2 repeats every frame. Pitch stays. A loop stays a whole number of frames, a multiple of the codec's
    `period`. Let a model fill most of it, or steps will be heard.

    Raises:
        ConfigError: the ratio is not between 1/8 and 8.

    Source: the time stretch of VampNet (arXiv:2307.04686) in its published application, for any ratio.
    """
    grid, before = origin.grid, codes.shape[-1]
    samples = stretched_samples(origin.samples, ratio)
    there = samples_at(samples, origin.sample_rate, grid.sample_rate)
    frames = grid.frames_around(there, period) if origin.circular else grid.frames_of(there)
    slower = frames / before if origin.circular else ratio
    places = ((torch.arange(frames).double() + 0.5) / slower).long().clamp(max=before - 1)
    return codes[..., places], dataclasses.replace(origin, samples=samples, lean="")


def stretched_samples(samples: int, ratio: float) -> int:
    """How many samples last `ratio` times as long: the nearest, at least 1.

    Raises:
        ConfigError: the ratio is not between 1/8 and 8.
    """
    if not LEAST <= ratio <= MOST:
        raise ConfigError(f"stretch must be between {LEAST:g} and {MOST:g} times the length, got {ratio}")
    return max(1, round(samples * ratio))


def stretched_heard(heard: Heard, ratio: float) -> Heard:
    """When the beats and onsets come that were heard, in a sound that lasts `ratio` times as long.

    The surprise of frames is forgotten where there are others now.
    """
    if ratio == 1:
        return heard
    beats = heard.beats
    if beats is not None:
        times, downbeats = (tuple(ratio * time for time in part) for part in (beats.times, beats.downbeats))
        beats = Beats(times, downbeats, beats.confidence)
    onsets = None if heard.onsets is None else tuple(ratio * time for time in heard.onsets)
    return Heard(beats, onsets)
