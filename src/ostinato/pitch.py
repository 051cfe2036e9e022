"""Transposing: the same sound, as long as it was, some semitones higher or lower."""

from importlib.util import find_spec

import numpy as np
import torch

from .errors import AudioError, ConfigError, MissingPartError
from .types import Audio
from .windows import around

FURTHEST = 24.0
LONGEST = 600
CONTEXT, FADE = 1.0, 0.02


def transposed(audio: Audio, semitones: float, *, circular: bool = False) -> Audio:
    """A sound of the same length, rate and rhythm, `semitones` higher, or lower where they are below 0.

    The same sound gives the same samples. With `circular` the sound goes round: it is transposed with its end before
    it and its start after it, and what would follow its end fades into its start, over 20 ms.

    Raises:
        ConfigError: the semitones are not within two octaves.
        AudioError: the sound is a batch, or lasts more than 10 minutes.
        MissingPartError: python-stretch is not installed.

    Source: Signalsmith Stretch, a phase vocoder, by way of python-stretch.
    """
    if check_semitones(semitones) == 0:
        return audio
    if audio.wave.shape[0] != 1 or audio.seconds > LONGEST:
        raise AudioError(f"pitch is shifted of one sound of at most {LONGEST} s, got {audio.seconds:.1f} s")
    if not circular:
        return Audio(_shifted(audio.wave[0], audio.sample_rate, semitones)[None], audio.sample_rate)
    context, fade = round(CONTEXT * audio.sample_rate), min(round(FADE * audio.sample_rate), audio.samples)
    going_round = _shifted(around(audio.wave[0], context), audio.sample_rate, semitones)
    lap, after = going_round[:, context:].split([audio.samples, context], dim=-1)
    rise = torch.linspace(0, 1, fade + 2)[1:-1] if fade else torch.ones(0)
    start = lap[:, :fade] * rise + after[:, :fade] * (1 - rise)
    return Audio(torch.cat([start, lap[:, fade:]], dim=-1)[None], audio.sample_rate)


def check_semitones(semitones: float) -> float:
    """`semitones`, once it is sure that a sound can be transposed by them here.

    Raises:
        ConfigError: they are not within two octaves.
        MissingPartError: python-stretch is not installed.
    """
    if not abs(semitones) <= FURTHEST:
        raise ConfigError(f"pitch must be shifted by -{FURTHEST:g} to {FURTHEST:g} semitones, got {semitones}")
    if semitones and find_spec("python_stretch") is None:
        raise MissingPartError("shifting pitch needs python-stretch: pip install python-stretch")
    return semitones


def _shifted(wave: torch.Tensor, sample_rate: int, semitones: float) -> torch.Tensor:
    """(channel, sample), transposed."""
    from python_stretch import Signalsmith

    stretcher = Signalsmith.Stretch(0)
    stretcher.preset(wave.shape[0], float(sample_rate))
    stretcher.setTransposeSemitones(float(semitones))
    return torch.from_numpy(np.array(stretcher.process(wave.float().contiguous().numpy()), dtype=np.float32))
