"""Loudness: how loud a sound is, and the gain that brings it to the level models are trained at."""

import math
from collections.abc import Iterable

import torch

from .types import Audio
from .windows import windows

TARGET = -20.0
PEAK = 0.99
PIECE = 3.0
SHORTEST = 0.4


def level_gain(pieces: Iterable[Audio]) -> float:
    """The factor that brings a sound to -20 LUFS, or less where its peak would pass 0.99; 1 for silence.

    Loudness is taken over pieces of 3 s and averaged by energy, silent pieces left out, in memory that does not
    grow with the length; it does not depend on how the sound was cut.

    Source: ITU-R BS.1770-4 within a piece.
    """
    energy, heard, peak, rate = 0.0, 0, 0.0, 0

    def waves() -> Iterable[torch.Tensor]:
        nonlocal rate
        for piece in pieces:
            rate = piece.sample_rate
            yield piece.wave[0]

    stream = iter(waves())
    first = next(stream, None)
    if first is None:
        return 1.0
    for block, real in windows(_chain(first, stream), round(PIECE * rate), 0):
        part = block[:, :real]
        peak = max(peak, float(part.abs().max()))
        loudness = _loudness(part, rate)
        if math.isfinite(loudness) and loudness > -70:
            energy, heard = energy + 10 ** (loudness / 10), heard + 1
    if heard == 0 or peak == 0:
        return 1.0
    return min(10 ** ((TARGET - 10 * math.log10(energy / heard)) / 20), PEAK / peak)


def _chain(first: torch.Tensor, rest: Iterable[torch.Tensor]) -> Iterable[torch.Tensor]:
    yield first
    yield from rest


def _loudness(wave: torch.Tensor, sample_rate: int) -> float:
    """LUFS of (channel, sample), repeated where it is shorter than a measuring block."""
    if not bool(wave.any()):
        return -math.inf
    import pyloudnorm  # takes half a second: not before it is needed

    repeats = math.ceil(1.1 * SHORTEST * sample_rate / wave.shape[1])
    rows = wave.repeat(1, max(1, repeats)).T.double().numpy()
    return float(pyloudnorm.Meter(sample_rate).integrated_loudness(rows))
