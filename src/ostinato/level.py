"""Loudness: how loud a sound is, and the gain that brings it to the level models are trained at."""

import importlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Complex, Float
from torch import Tensor

from .errors import AudioError
from .types import Audio, Pieces
from .windows import around, windows

TARGET = -20.0
PEAK = 0.99
PIECE = 3.0
MOVED = 12.0  # dB at most by which a sound is brought to the loudness of another
LEVELLINGS, LEVEL = 6, 0.05  # tries to bring a limited sound to a loudness, and LU that are near enough
SHORTEST = 0.4
LOOKAHEAD = 0.005
LIMITED_AT_ONCE = 1 << 16
STEPS = 4  # of a measuring block
ABSOLUTE_GATE, RELATIVE_GATE, OFFSET = -70.0, -10.0, -0.691


def level_gain(pieces: Iterable[Audio]) -> float:
    """The factor that brings a sound to -20 LUFS, or less where its peak would pass 0.99; 1 for silence.

    Loudness is taken over pieces of 3 s and averaged by energy, silent pieces left out, in memory that does not
    grow with the length; it does not depend on how the sound was cut.

    Source: ITU-R BS.1770-4 within a piece.
    """
    energy, heard, peak = 0.0, 0, 0.0
    rate, waves = opened(pieces)
    for block, real in windows(waves, round(PIECE * rate), 0):
        part = block[:, :real]
        peak = max(peak, float(part.abs().max()))
        loudness = _loudness(part, rate)
        if math.isfinite(loudness) and loudness > ABSOLUTE_GATE:
            energy, heard = energy + 10 ** (loudness / 10), heard + 1
    if heard == 0 or peak == 0:
        return 1.0
    return to_target(10 * math.log10(energy / heard), peak)


def loudness_of(pieces: Iterable[Audio]) -> float:
    """Integrated loudness in LUFS, in flat memory and however the sound was cut; minus infinity for silence.

    A sound shorter than a measuring block is one block.

    Source: ITU-R BS.1770-4; blocks of 0.4 s, one every 0.1 s.
    """
    from pyloudnorm.iirfilter import IIRfilter

    rate, waves = opened(pieces)
    step = round(SHORTEST * rate / STEPS)
    energies, samples = [torch.zeros(0, dtype=torch.float64)], 0
    for window, real in windows(waves, 100 * step, 10 * step):
        weighted = window.double().numpy()
        for shape in _shapes(rate):
            weighted = IIRfilter(*shape).apply_filter(weighted)
        inner = torch.from_numpy(weighted[:, 10 * step : 110 * step].copy())
        energies.append(inner.square().sum(0).view(-1, step).sum(-1)[: -(-real // step)])
        samples += real
    steps = torch.cat(energies)
    if not samples or samples < STEPS * step:
        return _gated(steps.sum(-1, keepdim=True) / max(1, samples))
    return _gated(steps[: samples // step].unfold(0, STEPS, 1).sum(-1) / (STEPS * step))


def as_loud(made: Pieces, original: Pieces, *, held: bool) -> Callable[[], Iterator[Audio]]:
    """A sound as loud as the original, at most 12 dB up or down; `held` in memory, else made twice."""
    again = _held(made) if held else made
    change = loudness_of(original()) - loudness_of(again())
    gain = bounded(10 ** (change / 20)) if math.isfinite(change) else 1.0
    return lambda: (Audio(piece.wave * gain, piece.sample_rate) for piece in again())


def bounded(gain: float) -> float:
    """The nearest factor of at most 12 dB up or down."""
    most = 10 ** (MOVED / 20)
    return max(1 / most, min(most, gain))


def limited_gain(made: Pieces, loudness: float, *, held: bool, circular: bool = False) -> float:
    """The factor that gives a sound this loudness (LUFS) once its peaks are limited; 1 for silence.

    `held` in memory, else the sound is made once, and again for each try where peaks are in the way; `circular` is for
    one that goes round.
    """
    again, gain, peak = _held(made) if held else made, 1.0, 0.0

    def scaled() -> Iterator[Audio]:
        nonlocal peak
        for piece in again():
            peak = max(peak, float(piece.wave.abs().max()))
            yield Audio(piece.wave * gain, piece.sample_rate)

    for _ in range(LEVELLINGS):
        found = loudness_of(map(limited_circle, scaled()) if circular else limited(scaled()))
        if not math.isfinite(found - loudness) or abs(found - loudness) < LEVEL:
            break
        gain *= 10 ** ((loudness - found) / 20)
        if peak * gain <= PEAK:
            break
    return gain


def circular_gain(audio: Audio) -> float:
    """`level_gain` for a sound that goes round in a circle: the same wherever the circle was cut open.

    The weighting filters run round the circle, and the measuring block starts at every sample once.

    Raises:
        AudioError: the sound is a batch.

    Source: ITU-R BS.1770-4, with blocks that overlap as far as they can.
    """
    if audio.wave.shape[0] != 1:
        raise AudioError(f"a circle must be one sound, got shape {tuple(audio.wave.shape)}")
    wave = audio.wave[0].double()
    weighted = torch.fft.irfft(torch.fft.rfft(wave) * _weighting(audio.samples, audio.sample_rate), n=audio.samples)
    block = min(audio.samples, round(SHORTEST * audio.sample_rate))
    total = around(weighted.square().sum(0), block)[block:].cumsum(-1)
    power = (total[block:] - total[:-block]) / block
    peak = float(wave.abs().max())
    found = _gated(power)
    return to_target(found, peak) if math.isfinite(found) and peak else 1.0


def limited(pieces: Iterable[Audio]) -> Iterator[Audio]:
    """A sound whose peaks are brought down to 0.99, each with what lies within 5 ms around it, smoothly.

    Channels stay in proportion. A sound without such peaks is left as it is, and the cut does not matter.
    """
    rate, waves = opened(pieces)
    reach = round(LOOKAHEAD * rate)
    for window, real in windows(waves, LIMITED_AT_ONCE, 2 * reach):
        yield Audio(_limit(window, reach)[None, :, :real], rate)


def limited_circle(audio: Audio) -> Audio:
    """`limited` for a sound that goes round in a circle."""
    reach = round(LOOKAHEAD * audio.sample_rate)
    return Audio(_limit(around(audio.wave[0], 2 * reach), reach)[None], audio.sample_rate)


def _held(made: Pieces) -> Pieces:
    whole = list(made())
    return lambda: whole


def _limit(wave: Float[Tensor, "channel sample"], reach: int) -> Float[Tensor, "channel inner"]:
    """The wave without `2 * reach` samples on either side, which are only looked at."""
    inner = wave[:, 2 * reach : wave.shape[1] - 2 * reach]
    over = (wave.abs().amax(0) / PEAK).clamp_min(1)
    if not bool((over > 1).any()):
        return inner
    lowest = 1 / F.max_pool1d(over[None, None], 2 * reach + 1, stride=1)
    smooth = torch.hann_window(2 * reach + 3, periodic=False)[1:-1].to(wave)
    gain = F.conv1d(lowest, (smooth / smooth.sum())[None, None])[0]
    return (inner * gain).clamp(-PEAK, PEAK)  # which the rounding of a sum could pass by a millionth


def _weighting(samples: int, sample_rate: int) -> Complex[Tensor, " harmonic"]:
    """The response of the loudness filters to each harmonic of a circle."""
    from pyloudnorm.iirfilter import IIRfilter

    turn = torch.arange(samples // 2 + 1, dtype=torch.float64) * (-2 * math.pi / samples)
    delay = torch.polar(torch.ones_like(turn), turn)
    response = torch.ones_like(delay)
    for shape in _shapes(sample_rate):
        one = IIRfilter(*shape)
        over, under = (c[0] + delay * (c[1] + delay * c[2]) for c in (one.b.tolist(), one.a.tolist()))
        response = response * over / under
    return response


def _shapes(sample_rate: int) -> tuple[tuple[float, float, float, int, str], ...]:
    """The two loudness filters, as pyloudnorm describes them."""
    return (4.0, math.sqrt(0.5), 1500.0, sample_rate, "high_shelf"), (0.0, 0.5, 38.0, sample_rate, "high_pass")


def _gated(power: Float[Tensor, " block"]) -> float:
    """The loudness of blocks of this weighted power, in LUFS, quiet ones left out."""
    heard = power[power > 10 ** ((ABSOLUTE_GATE - OFFSET) / 10)]
    if len(heard) == 0:
        return -math.inf
    loud = heard[heard > heard.mean() * 10 ** (RELATIVE_GATE / 10)]
    return OFFSET + 10 * math.log10(float(loud.mean()))


def ready() -> None:
    """Load what loudness is measured with, which takes most of a second, so that nothing that is timed waits for it."""
    _ = importlib.import_module("pyloudnorm")


def to_target(loudness: float, peak: float) -> float:
    """The factor from a loudness (LUFS) to -20 LUFS, or less where a peak would pass 0.99."""
    return min(10 ** ((TARGET - loudness) / 20), PEAK / peak)


def opened(pieces: Iterable[Audio]) -> tuple[int, Iterator[Tensor]]:
    """The sample rate of a sound in pieces, 0 if there is none, and its waves one after the other."""
    rest = iter(pieces)
    first = next(rest, None)
    if first is None:
        return 0, iter(())
    return first.sample_rate, (piece.wave[0] for piece in itertools.chain([first], rest))


def _loudness(wave: torch.Tensor, sample_rate: int) -> float:
    """LUFS of (channel, sample), repeated where it is shorter than a measuring block."""
    if not bool(wave.any()):
        return -math.inf
    import pyloudnorm  # takes half a second: not before it is needed

    repeats = math.ceil(1.1 * SHORTEST * sample_rate / wave.shape[1])
    rows = wave.repeat(1, max(1, repeats)).T.double().numpy()
    return float(pyloudnorm.Meter(sample_rate).integrated_loudness(rows))
