"""How the published VampNet prepares sound: its resampler, its loudness, and the onset detector that it asks.

Source: Kaiser-free sinc resampling after J. O. Smith, as in julius; ITU-R BS.1770-4; librosa's onset detection
(McFee et al., "librosa", SciPy 2015).
"""

import math
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..dsp import hann, mel_filters
from ..types import Audio, Grid

ZEROS, ROLLOFF = 24, 0.945
LOUDNESS, QUIETEST, PEAK, SHORTEST = -24.0, -70.0, 1.0, 0.5
SIZE, MELS, FLOOR, RANGE = 2048, 128, 1e-10, 80.0
BEFORE, AROUND, ABOVE = 0.03, 0.10, 0.07


def prepared(audio: Audio, grid: Grid) -> Audio:
    """One channel at the grid's rate, at -24 LUFS but with no peak above 1, filled up with silence to whole frames."""
    wave = resampled(audio.wave[0], audio.sample_rate, grid.sample_rate).mean(0, keepdim=True)
    wave = wave * 10 ** ((LOUDNESS - measured(wave, grid.sample_rate)) / 20)
    wave = wave / max(1.0, float(wave.abs().max()) / PEAK)
    return Audio(torch.nn.functional.pad(wave, (0, -wave.shape[-1] % grid.hop))[None], grid.sample_rate)


def measured(wave: Float[Tensor, "channel sample"], sample_rate: int) -> float:
    """Loudness in LUFS, at least -70; a sound under half a second is followed by silence."""
    import pyloudnorm  # takes half a second: not before it is needed

    missing = max(0, int(SHORTEST * sample_rate) - wave.shape[-1])
    rows = torch.nn.functional.pad(wave, (0, missing)).T.double().numpy()
    return max(QUIETEST, float(pyloudnorm.Meter(sample_rate).integrated_loudness(rows))) if rows.any() else QUIETEST


def resampled(wave: Float[Tensor, "channel sample"], rate: int, new_rate: int) -> Float[Tensor, "channel new"]:
    """A wave at a new rate, by a windowed sinc of 24 zero crossings a side; beyond its ends it holds its value."""
    shared = math.gcd(rate, new_rate)
    old, new = rate // shared, new_rate // shared
    if old == new:
        return wave
    kernels, reach = _kernels(old, new)
    padded = torch.nn.functional.pad(wave[:, None], (reach, reach + old), mode="replicate")
    made = torch.nn.functional.conv1d(padded, kernels[:, None], stride=old).transpose(1, 2).flatten(1)
    return made[:, : new * wave.shape[-1] // old]


@cache
def _kernels(old: int, new: int) -> tuple[Float[Tensor, "phase tap"], int]:
    rate = min(old, new) * ROLLOFF
    reach = math.ceil(ZEROS * old / rate)
    taps = torch.arange(-reach, reach + old).float()
    phase = torch.arange(new)[:, None]
    place = ((-phase / new + taps / old) * rate).clamp(-ZEROS, ZEROS) * math.pi
    kernels = torch.where(place == 0, 1.0, place.sin() / place) * (place / ZEROS / 2).cos().square()
    return kernels / kernels.sum(-1, keepdim=True), reach


def onset_frames(signal: Float[Tensor, " sample"], sample_rate: int, hop: int) -> Int[Tensor, " onset"]:
    """Frames, `hop` samples apart, in which notes begin: peaks of the rise in level, moved back to where it began."""
    rise = _rise(signal, sample_rate, hop)
    rise = rise - rise.min()
    if not bool(rise.any()):
        return torch.zeros(0, dtype=torch.long)
    rise = rise / (rise.max() + torch.finfo(rise.dtype).tiny)
    before, around = math.ceil(BEFORE * sample_rate // hop), math.ceil(AROUND * sample_rate // hop)
    peaks, frame = [], 0
    while frame < len(rise):
        near = rise[max(0, frame - before) : frame + 1]
        mean = rise[max(0, frame - around) : frame + around + 1].mean()
        peak = bool((rise[frame] == near.max()) & (rise[frame] >= mean + ABOVE))
        peaks += [frame] * peak
        frame += before + 1 if peak else 1
    dips = (rise[1:-1] <= rise[:-2]) & (rise[1:-1] < rise[2:])
    starts = torch.cat([torch.zeros(1, dtype=torch.long), dips.nonzero()[:, 0] + 1]).unique()
    return starts[torch.searchsorted(starts, torch.tensor(peaks, dtype=torch.long), right=True) - 1]


def _rise(signal: Float[Tensor, " sample"], sample_rate: int, hop: int) -> Float[Tensor, " frame"]:
    """How much the level of mel bands (dB) rises from frame to frame, on average; frames are centred."""
    pieces = torch.nn.functional.pad(signal, (SIZE // 2, SIZE // 2)).unfold(0, SIZE, hop)
    power = torch.fft.rfft(pieces * hann(SIZE), dim=-1).abs().square() @ mel_filters(sample_rate, SIZE, MELS)
    level = 10 * power.clamp_min(FLOOR).log10()
    level = level.clamp_min(float(level.max()) - RANGE)
    rise = (level[1:] - level[:-1]).clamp_min(0).mean(-1)
    return torch.nn.functional.pad(rise, (1 + SIZE // (2 * hop), 0))[: len(level)]
