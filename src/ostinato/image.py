"""The stereo image in a few bits: how far the side follows the mid in bands of frequency, and how wide it is beyond.

Source: parametric stereo, as in Breebaart, van de Par, Kohlrausch and Schuijers, "Parametric Coding of Stereo Audio"
(EURASIP Journal on Applied Signal Processing, 2005), told in mid and side instead of left and right.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from .types import Audio
from .windows import windows

EDGES = (0, 300, 600, 1200, 2400, 4800, 9600)
BANDS = len(EDGES)
PANS, WIDTHS = 15, 8
MIDDLE = PANS // 2
WIDTH_STEP = 3.0
DELAY = 0.011
SIZE, HOP, CORE = 4096, 2048, 1 << 16
SILENT = 1e-9

Image = Int[np.ndarray, "2 band"]
Spectra = Complex[Tensor, "2 frame bin"]
Sums = Float[Tensor, "3 frame band"]


def measure(sides: Float[Tensor, "2 sample"], sample_rate: int) -> Image:
    """The image of a stretch of mid and side: a pan of 0 to 14 (7 is the middle) and a width of 0 to 7 for each band.

    A pan is the share of the mid that is found in the side, in sevenths; a width how loud the rest of the side is
    beside the mid, in steps of 3 dB up to 0 dB, with 0 for none.
    """
    window = torch.hann_window(sides.shape[1], dtype=torch.float64)
    spectra = torch.fft.rfft(sides.double() * window)[:, None]
    power, cross, other = band_sums(spectra, sides.shape[1], sample_rate)[:, 0]
    share = (cross / power.clamp_min(SILENT)).clamp(-1, 1)
    pans = pans_of(share)
    pan = shares_of(pans).to(share)
    rest = (other - 2 * pan * cross + pan.square() * power).clamp_min(0) / power.clamp_min(SILENT)
    level = 10 * rest.clamp_min(1e-12).log10() / WIDTH_STEP + WIDTHS - 1
    heard = power > SILENT
    widths = level.round().clamp(0, WIDTHS - 1).long()
    return torch.stack([torch.where(heard, pans, MIDDLE), torch.where(heard, widths, 0)]).numpy()


def pans_of(share: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Shares of the mid that are in the side, -1 to 1, as pans: in sevenths, 7 for none."""
    return (share * MIDDLE).round().long() + MIDDLE


def shares_of(pans: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The shares that pans stand for."""
    return (pans - MIDDLE) / MIDDLE


def spread(pieces: Iterable[Audio], image_of: Callable[[float], Image | None]) -> Iterator[Audio]:
    """A mono sound in pieces, spread to stereo by the image that holds at each time (in seconds), or none.

    What is beyond the pan is the mid again, 11 ms late and with its sign turned in every second band. The length stays.
    """
    rate = 0

    def waves() -> Iterator[Float[Tensor, "1 _"]]:
        nonlocal rate
        for piece in pieces:
            rate = piece.sample_rate
            yield piece.wave[0]

    for number, (window, real) in enumerate(windows(waves(), CORE, SIZE)):
        start = number * CORE - SIZE
        spectra = spectra_of(window[0])
        centres = [(start + n * HOP + SIZE / 2) / rate for n in range(len(spectra))]
        gains = torch.stack([_gains(image_of(time), rate) for time in centres])
        side = joined(spectra * gains)[SIZE : SIZE + real]
        mid = window[0, SIZE : SIZE + real]
        yield Audio(torch.stack([mid + side, mid - side])[None], rate)


def band_sums(spectra: Spectra, size: int, sample_rate: int) -> Sums:
    """In bands: energy of the mid, what mid and side have in common, energy of the side. A frame has `size` samples."""
    mid, side = spectra
    each = torch.stack([mid.abs().square(), (side * mid.conj()).real, side.abs().square()])
    band = band_of(each.shape[-1], size, sample_rate)
    return each.new_zeros(*each.shape[:2], BANDS).index_add_(2, band, each)


def spectra_of(wave: Float[Tensor, " sample"]) -> Complex[Tensor, "frame bin"]:
    """Spectra of frames that overlap by half."""
    return torch.fft.rfft(wave.unfold(0, SIZE, HOP) * torch.hann_window(SIZE).sqrt())


def joined(spectra: Complex[Tensor, "frame bin"]) -> Float[Tensor, " sample"]:
    """The wave of such spectra: windows there and back add to one, but for the first and the last half frame."""
    made = torch.fft.irfft(spectra, n=SIZE) * torch.hann_window(SIZE).sqrt()
    whole = torch.zeros(len(made) + 1, HOP)
    whole[:-1] += made[:, :HOP]
    whole[1:] += made[:, HOP:]
    return whole.flatten()


def _gains(image: Image | None, sample_rate: int) -> Complex[Tensor, " bin"]:
    """From mid to side, for each bin of a frame."""
    bins = SIZE // 2 + 1
    if image is None:
        return torch.zeros(bins, dtype=torch.complex64)
    band = band_of(bins, SIZE, sample_rate)
    pan = shares_of(torch.from_numpy(image[0]))
    steps = torch.from_numpy(image[1]).float()
    width = 10 ** ((steps - WIDTHS + 1) * WIDTH_STEP / 20) * (steps > 0) * (-1.0) ** torch.arange(BANDS)
    turn = torch.arange(bins) * (-2 * math.pi * DELAY * sample_rate / SIZE)
    return pan[band] + width[band] * torch.polar(torch.ones(bins), turn)


def band_of(bins: int, size: int, sample_rate: int) -> Int[Tensor, " bin"]:
    """The band of each bin of a spectrum of `size` samples."""
    return torch.bucketize(torch.arange(bins) * (sample_rate / size), torch.tensor(EDGES[1:]).float(), right=True)
