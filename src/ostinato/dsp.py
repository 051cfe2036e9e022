"""Spectra: framing, short-time Fourier transforms and mel bands, as pure functions of tensors."""

import functools
import math
from typing import Any, cast

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from .types import Signal


def frames(signal: Signal, size: int, hop: int) -> Float[Tensor, "batch frame size"]:
    """Cut `signal` into overlapping frames of `size` samples, `hop` apart; a rest that fills no frame is dropped.

    `size` must be a multiple of `hop`: frames are then joined from whole hops, which is far cheaper to
    differentiate than a strided view.
    """
    pieces = size // hop
    count = signal.shape[-1] // hop - pieces + 1
    hops = signal[..., : (count + pieces - 1) * hop].unflatten(-1, (-1, hop))
    return torch.cat([hops[..., i : i + count, :] for i in range(pieces)], dim=-1)


def mid_side(wave: Float[Tensor, "channel sample"]) -> Float[Tensor, "side sample"]:
    """Mid and side of a stereo wave, scaled so that `left_right` gives it back; mono is its own mid."""
    if wave.shape[0] == 1:
        return wave
    return torch.stack([(wave[0] + wave[1]) / 2, (wave[0] - wave[1]) / 2])


def left_right(sides: Float[Tensor, "side sample"]) -> Float[Tensor, "channel sample"]:
    """The stereo wave of mid and side; a mid alone is mono."""
    if sides.shape[0] == 1:
        return sides
    return torch.stack([sides[0] + sides[1], sides[0] - sides[1]])


def overlap_add(pieces: Float[Tensor, "batch frame size"], hop: int) -> Signal:
    """Add frames up, `hop` samples apart: the adjoint of `frames`, of length `(frame - 1) * hop + size`."""
    count, size = pieces.shape[-2:]
    parts = pieces.unflatten(-1, (size // hop, hop))
    total = pieces.new_zeros(*pieces.shape[:-2], count + size // hop - 1, hop)
    for i in range(size // hop):
        total[..., i : i + count, :] += parts[..., i, :]
    return total.flatten(-2)


def spectrum(signal: Signal, size: int, hop: int) -> Complex[Tensor, "batch frame bin"]:
    """Hann-windowed Fourier transform of every frame, scaled so that a full-scale sine peaks near 1."""
    window = hann(size, signal.device)
    return transform(frames(signal, size, hop) * (window * (4 / size)))


class _Transform(torch.autograd.Function):
    """`torch.fft.rfft` with a gradient by one real transform; torch's own is a complex one of full length."""

    @staticmethod
    def forward(ctx: Any, pieces: Tensor) -> Tensor:
        ctx.size = pieces.shape[-1]
        return torch.fft.rfft(pieces)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        half = grads[0] / 2
        half[..., 0] *= 2
        if ctx.size % 2 == 0:
            half[..., -1] *= 2
        return torch.fft.irfft(half, n=ctx.size, norm="forward")


def transform(pieces: Float[Tensor, "*batch size"]) -> Complex[Tensor, "*batch bin"]:
    """Fourier transform of real pieces, bins from 0 up to half the sample rate; cheap to differentiate (once)."""
    return cast(Tensor, _Transform.apply(pieces))


def synthesis(spectra: Complex[Tensor, "batch frame bin"], hop: int) -> Signal:
    """Windowed overlap-add of inverse transforms, the left inverse of `spectrum` away from both ends."""
    size = 2 * (spectra.shape[-1] - 1)
    window = hann(size, spectra.device)
    envelope = _envelope(size, hop, spectra.device)
    pieces = torch.fft.irfft(spectra, n=size, dim=-1) * (window * (size / 4))
    total = overlap_add(pieces, hop)
    return (total.unflatten(-1, (-1, hop)) / envelope).flatten(-2)


def covered(there: Bool[Tensor, "batch frame"], size: int, hop: int) -> Signal:
    """The share of what overlaps at each sample of a synthesis that comes from frames that are there.

    Divided by it, a sound that is made of these frames alone is whole up to its ends; at least 0.5, which is at an end.
    """
    weight = there[..., None] * hann(size, there.device).square()
    share = overlap_add(weight, hop).unflatten(-1, (-1, hop)) / _envelope(size, hop, there.device)
    return share.flatten(-2).clamp_min(0.5)


@functools.cache
def hann(size: int, device: torch.device | None = None) -> Float[Tensor, " size"]:
    """A periodic Hann window."""
    return torch.hann_window(size, device=device)


@functools.cache
def _envelope(size: int, hop: int, device: torch.device | None = None) -> Float[Tensor, " hop"]:
    """Sum of squared, overlapping Hann windows within one hop, where all overlap."""
    return hann(size, device).square().unflatten(-1, (-1, hop)).sum(0)


@functools.cache
def mel_filters(sample_rate: int, size: int, mels: int, device: torch.device | None = None) -> Float[Tensor, "bin mel"]:
    """Triangular mel bands of unit area over the bins of a transform of `size` samples.

    Source: Slaney's auditory toolbox (linear to 1 kHz, logarithmic above), as librosa's default.
    """
    bins = torch.linspace(0, sample_rate / 2, size // 2 + 1, dtype=torch.float64)
    top = _hz_to_mel(sample_rate / 2)
    edges = torch.tensor([_mel_to_hz(top * i / (mels + 1)) for i in range(mels + 2)], dtype=torch.float64)
    rise = (bins[:, None] - edges[None, :-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[None, 2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    area = 2 / (edges[2:] - edges[:-2])
    return (torch.minimum(rise, fall).clamp_min(0) * area).float().to(device)


def log_mel(
    signal: Signal, sample_rate: int, *, size: int, mels: int, hop: int | None = None, floor: float = 1e-5
) -> Float[Tensor, "batch frame mel"]:
    """log10 of mel magnitudes of a signal padded by half a frame at both ends; `hop` defaults to a quarter frame.

    The transform is not normalised (a sum over the window), as in DAC's mel distance (arXiv:2306.06546,
    section 3.4), where `floor` is 1e-5.
    """
    step = hop or size // 4
    padded = torch.nn.functional.pad(signal, (size // 2, size // 2))
    magnitude = transform(frames(padded, size, step) * hann(size, signal.device)).abs()
    return (magnitude @ mel_filters(sample_rate, size, mels, signal.device)).clamp_min(floor).log10()


def _hz_to_mel(hz: float) -> float:
    return hz * 3 / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def _mel_to_hz(mel: float) -> float:
    return mel * 200 / 3 if mel < 15 else 1000 * math.exp(math.log(6.4) * (mel - 15) / 27)
