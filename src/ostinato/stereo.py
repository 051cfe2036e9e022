"""The stereo image of what a codec draws: the side turned against the mid, then leaning to where the original does.

A codec that draws phases of its own draws much the same ones for mid and side. Added and taken away as they are, these
would make the left loud and the right quiet, whatever the original was. Turned by a quarter the side is as loud on
the left as on the right: how wide the sound is stays. Which way it leans is measured in the original, band by band.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor

from .dsp import left_right, mid_side
from .errors import AudioError
from .image import (
    BANDS,
    CORE,
    HOP,
    MIDDLE,
    PANS,
    SILENT,
    SIZE,
    Spectra,
    Sums,
    band_of,
    band_sums,
    joined,
    pans_of,
    shares_of,
    spectra_of,
)
from .level import opened
from .packed import pack, unpack
from .resampling import join
from .types import Audio, Pieces, SignalStream
from .windows import windows

STEP = 0.25  # seconds from look to look
LOOKS, FRAMES = 5, 21  # that a share is taken over, about a second
CONTEXT = 8 * SIZE
PAN_BITS = 4
LOUDEST = 2.0  # times that what the mid does not explain may become louder

Lean = Float[Tensor, "time band"]
Sides = Float[Tensor, "side sample"]


def turned(waves: SignalStream) -> Iterator[Float[Tensor, "_ _"]]:
    """Mid and side in pieces, the side a quarter turn late; a mid alone is left as it is."""
    for window, real in windows(waves, CORE, SIZE):
        sides = window[:, SIZE : SIZE + real]
        if len(window) > 1:
            sides = torch.stack([sides[0], joined(-1j * spectra_of(window[1]))[SIZE : SIZE + real]])
        yield sides


def turned_circle(sides: Sides) -> Sides:
    """`turned` for a sound that goes round."""
    if len(sides) == 1:
        return sides
    return torch.stack([sides[0], torch.fft.irfft(-1j * torch.fft.rfft(sides[1]), n=sides.shape[1])])


def lean(pieces: Iterable[Audio]) -> Lean:
    """Which way a stereo sound leans in each band, four times a second: the share of the mid that is in the side.

    1 is all left, -1 all right.
    """
    rate, waves = opened(pieces)
    step = round(STEP * rate)
    looks = [
        _sums(mid_side(window.float()) * torch.hann_window(window.shape[1]), rate)
        for window, _ in windows(waves, step, step // 2)
    ]
    return _share(_smooth(torch.cat(looks, 1), LOOKS))


def lean_circle(audio: Audio) -> Lean:
    """`lean` of a sound that goes round: one for all of it, wherever it was cut open."""
    return _share(_sums(mid_side(audio.wave[0].float()), audio.sample_rate))


def leaning(pieces: Iterable[Audio], wanted: Callable[[Sequence[float]], Lean]) -> Iterator[Audio]:
    """A stereo sound that leans as is wanted and is as wide as it was, piece by piece, however it was cut.

    `wanted` tells the lean at times in seconds, some of which lie before the start or after the end.
    """
    rate, waves = opened(pieces)
    for number, (window, real) in enumerate(windows(waves, CORE, CONTEXT)):
        mid, side = mid_side(window)
        spectra = torch.stack([spectra_of(mid), spectra_of(side)])
        times = (number * CORE - CONTEXT + torch.arange(spectra.shape[1]) * HOP + SIZE / 2) / rate
        sums = _smooth(band_sums(spectra, SIZE, rate), FRAMES)
        side = joined(_placed(spectra, sums, wanted(times.tolist()), SIZE, rate))
        yield Audio(left_right(torch.stack([mid, side])[:, CONTEXT : CONTEXT + real])[None], rate)


def at_times(found: Lean, pace: float = 1.0) -> Callable[[Sequence[float]], Lean]:
    """What `lean` found, for `leaning`; `pace` is how many seconds of the original are in a second of the sound."""
    return lambda times: found[(torch.tensor(times) * pace / STEP).long().clamp(0, len(found) - 1)]


def leaning_circle(audio: Audio, wanted: Lean) -> Audio:
    """`leaning` for a sound that goes round, all of it alike."""
    sides, size, rate = mid_side(audio.wave[0]), audio.samples, audio.sample_rate
    spectra = torch.fft.rfft(sides)[:, None]
    side = torch.fft.irfft(_placed(spectra, band_sums(spectra, size, rate), wanted, size, rate)[0], n=size)
    return Audio(left_right(torch.stack([sides[0], side]))[None], rate)


def lean_of(original: Pieces, *, circular: bool) -> Lean:
    """`lean` or `lean_circle` of a sound in pieces."""
    return lean_circle(join(original())) if circular else lean(original())


def placed(made: Iterable[Audio], found: Lean, *, circular: bool = False, pace: float = 1.0) -> Iterator[Audio]:
    """What was made, leaning as `lean_of` found; a circle is one piece."""
    if circular:
        return (leaning_circle(whole, found) for whole in made)
    return leaning(made, at_times(found, pace))


def written(found: Lean) -> str:
    """A lean as text, as pans of 4 bits each, look by look; nothing for a sound that leans nowhere."""
    pans = pans_of(found)
    return pack(pans, PAN_BITS) if bool((pans != MIDDLE).any()) else ""


def unwritten(text: str, samples: int, sample_rate: int, *, circular: bool) -> Lean:
    """What `written` made the text of, for a sound of so many samples.

    Raises:
        AudioError: it is not such a text, or of a sound of another length.
    """
    looks = 1 if circular else -(-samples // max(1, round(STEP * sample_rate)))
    pans = unpack(text, (looks, BANDS), PAN_BITS)
    if int(pans.max()) >= PANS:
        raise AudioError(f"a pan goes from 0 to {PANS - 1}, got {int(pans.max())}")
    return shares_of(pans)


def _sums(sides: Sides, sample_rate: int) -> Sums:
    """Those of all samples at once, as one frame."""
    return band_sums(torch.fft.rfft(sides)[:, None], sides.shape[1], sample_rate)


def _smooth(sums: Sums, count: int) -> Sums:
    """Means over so many frames around each, as an odd number; beyond the ends there is nothing."""
    return F.avg_pool1d(sums.transpose(1, 2), count, 1, count // 2).transpose(1, 2)


def _share(sums: Sums) -> Lean:
    return (sums[1] / sums[0].clamp_min(SILENT)).clamp(-1, 1)


def _placed(spectra: Spectra, sums: Sums, wanted: Lean, size: int, sample_rate: int) -> Complex[Tensor, "frame bin"]:
    """The side's spectra with as much of the mid as is wanted; the rest of it takes what is left of its energy."""
    mid, side = spectra
    power, cross, other = sums
    found = _share(sums)
    rest = other - 2 * found * cross + found.square() * power
    left = (other - wanted.square() * power).clamp_min(0)
    loud = (left / rest.clamp_min(SILENT)).sqrt().clamp_max(LOUDEST)
    band = band_of(spectra.shape[-1], size, sample_rate)
    return wanted[:, band] * mid + loud[:, band] * (side - found[:, band] * mid)
