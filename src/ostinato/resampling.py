"""Sample rates: a sound at another rate, in one piece or block by block, the same to the bit."""

import math
from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import soxr
import torch
from jaxtyping import Float
from torch import Tensor

from .errors import AudioError
from .types import Audio


def resample(audio: Audio, rate: int) -> Audio:
    """`audio` at `rate` Hz, in exactly `samples_at(audio.samples, audio.sample_rate, rate)` samples.

    Raises:
        AudioError: `rate` is not positive.
    """
    if rate == audio.sample_rate:
        return audio
    rows = audio.wave.flatten(0, 1)[None]
    wave = join(resampled([Audio(rows, audio.sample_rate)], rate)).wave[0]
    return Audio(wave.unflatten(0, audio.wave.shape[:2]).to(audio.wave), rate)


def resampled(pieces: Iterable[Audio], rate: int) -> Iterator[Audio]:
    """Pieces of one sound (one batch item), at `rate` Hz; the same to the bit however they were cut.

    Raises:
        AudioError: `rate` is not positive, or the pieces differ in sample rate or channels.

    Source: the SoX resampler (soxr), quality VHQ.
    """
    if rate < 1:
        raise AudioError(f"a sample rate must be at least 1 Hz, got {rate}")
    rest = iter(pieces)
    first = next(rest, None)
    if first is None:
        return
    stream = soxr.ResampleStream(first.sample_rate, rate, first.channels, dtype="float32", quality="VHQ")
    taken = given = 0
    for piece in chain([first], rest):
        if (piece.sample_rate, piece.channels) != (first.sample_rate, first.channels):
            raise AudioError("pieces of one sound need one sample rate and one number of channels")
        rows = stream.resample_chunk(np.ascontiguousarray(piece.wave[0].T.float().cpu().numpy()))
        taken += piece.samples
        given += len(rows)
        if len(rows):
            yield _from_rows(rows, rate)
    left = samples_at(taken, first.sample_rate, rate) - given
    tail = stream.resample_chunk(np.zeros((0, first.channels), np.float32), last=True)[:left]
    if left:
        yield _from_rows(np.pad(tail, ((0, left - len(tail)), (0, 0))), rate)


def circular(wave: Float[Tensor, "*row _"], samples: int) -> Float[Tensor, "*row _"]:
    """A wave that goes round in a circle, at as many samples a round as wanted; nothing begins or ends.

    Turning the wave turns the result. Where samples become fewer, the top twentieth of what they can hold fades out.

    Raises:
        AudioError: `samples` is not positive.

    Source: a periodic signal is the sum of its harmonics; fewer or more samples carry fewer or more of them.
    """
    if samples < 1:
        raise AudioError(f"a circle needs at least 1 sample, got {samples}")
    length = wave.shape[-1]
    if samples == length:
        return wave
    harmonics = torch.fft.rfft(wave.double())[..., : samples // 2 + 1] * (samples / length)
    if samples < length:
        top = torch.arange(harmonics.shape[-1], device=wave.device) / (samples / 2)
        harmonics = harmonics * (math.pi / 2 * ((top - 0.95) / 0.05).clamp(0, 1)).cos().square()
    elif length % 2 == 0:
        harmonics[..., length // 2] /= 2
    return torch.fft.irfft(harmonics, n=samples).to(wave)


def samples_at(samples: int, sample_rate: int, rate: int) -> int:
    """How many samples at `rate` Hz last as long as `samples` at `sample_rate`: the nearest, at least 1."""
    return max(1, (2 * samples * rate + sample_rate) // (2 * sample_rate))


def fit(audio: Audio, samples: int) -> Audio:
    """`audio` cut, or filled with silence, at its end to exactly `samples` samples."""
    wave = torch.nn.functional.pad(audio.wave[..., :samples], (0, max(0, samples - audio.samples)))
    return Audio(wave, audio.sample_rate)


def join(pieces: Iterable[Audio]) -> Audio:
    """Pieces of one sound, one after the other.

    Raises:
        AudioError: there are no pieces, or they differ in sample rate.
    """
    found = list(pieces)
    rates = sorted({piece.sample_rate for piece in found})
    if len(rates) != 1:
        raise AudioError(f"pieces of one sound need one sample rate, got {rates or 'no pieces'}")
    return Audio(torch.cat([piece.wave for piece in found], dim=-1), rates[0])


def _from_rows(rows: np.ndarray, rate: int) -> Audio:
    return Audio(torch.from_numpy(np.ascontiguousarray(rows.T))[None], rate)
