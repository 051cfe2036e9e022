"""What the codec sees of spectra: fine structure, envelope and loudness, and the lowest bins with their phases."""

import itertools

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from .critics import compress

FLOOR = 1e-5
SMOOTH, SPARSE = 33, 8
QUIET = 0.05


def log_magnitude(spectra: Complex[Tensor, "batch frame bin"]) -> Float[Tensor, "batch frame bin"]:
    """Natural log of magnitudes, which count as 1e-5 at least."""
    return spectra.abs().clamp_min(FLOOR).log()


def envelope(level: Float[Tensor, "batch frame bin"]) -> Float[Tensor, "batch frame bin"]:
    """Log magnitudes smoothed over 33 bins, about 950 Hz in the default codec."""
    return nn.functional.avg_pool1d(nn.functional.pad(level, (SMOOTH // 2, SMOOTH // 2), mode="replicate"), SMOOTH, 1)


def describe(
    spectra: Complex[Tensor, "batch frame bin"], level: Float[Tensor, "batch frame bin"]
) -> Float[Tensor, "batch frame input"]:
    """What the encoder sees: fine structure, envelope and loudness apart, then real and imaginary parts.

    Apart, because loudness would drown the rest: it moves all bins at once, and a network that is fed plain log
    magnitudes learns loudness and tilt and stays there.
    """
    loudness = level.mean(-1, keepdim=True)
    smooth = envelope(level - loudness)
    fine = level - loudness - smooth
    return torch.cat([fine, smooth[..., ::SPARSE], loudness / 6 + 1, compress(spectra) / 2], dim=-1)


def band_means(bins: int, steps: int = 48) -> Float[Tensor, "bin band"]:
    """Columns that average bins into bands: single bins at first, from bin `steps` on a share of 1/`steps` wide."""
    edges = [0]
    while edges[-1] < bins:
        edges.append(min(bins, edges[-1] + max(1, round(edges[-1] / steps))))
    columns = torch.zeros(bins, len(edges) - 1, device="cpu")
    for band, (low, high) in enumerate(itertools.pairwise(edges)):
        columns[low:high, band] = 1 / (high - low)
    return columns


def seen(bins: int) -> int:
    """Width of what `describe` makes of `bins` bins."""
    return bins - (-bins // SPARSE) + 1 + 2 * bins


def turning(spectra: Complex[Tensor, "batch frame bin"], bins: int, factor: int) -> Float[Tensor, "batch slow input"]:
    """Real and imaginary parts of the lowest bins, but for the lowest of all, of `factor` frames at a time.

    Each is brought to one loudness: their phases are told, and how bins stand to each other.
    """
    rows = compress(spectra[..., 1 : bins + 1]).flatten(1).unflatten(1, (-1, factor * 2 * bins))
    return rows / rows.square().mean(-1, keepdim=True).sqrt().clamp_min(QUIET)
