"""Judges of a reconstruction: mel distance and two models of the ear, which come as optional packages."""

import functools
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import AudioError, MissingPartError
from ..metrics import mel_distance
from ..resampling import resample
from ..types import Audio

EAR_RATE = 48_000
SHORTEST = 1.0

Judge = Callable[[Audio, Audio], float]


def mel(reference: Audio, estimate: Audio) -> float:
    """Mel distance of two mono sounds of one length and rate; 0 is a perfect copy, lower is nearer.

    Raises:
        AudioError: the lengths differ.
    """
    return float(mel_distance(reference.wave[:, 0], estimate.wave[:, 0], reference.sample_rate)[0])


def zimtohrli(reference: Audio, estimate: Audio) -> float:
    """Zimtohrli's opinion score of two mono sounds, heard at 48 kHz; 5 is a perfect copy, 1 the worst.

    Raises:
        MissingPartError: the package is not installed.
        AudioError: one of them is silent.

    Source: Alakuijala et al., "Zimtohrli: An Efficient Psychoacoustic Audio Similarity Metric", arXiv:2509.26133.
    """
    ear = optional("zimtohrli")
    return float(ear.mos_from_signals(_heard("zimtohrli", reference), _heard("zimtohrli", estimate)))


def visqol(reference: Audio, estimate: Audio) -> float:
    """ViSQOL's listening quality (audio mode) of two mono sounds, heard at 48 kHz; 4.73 is a perfect copy, 1 the worst.

    Raises:
        MissingPartError: the package is not installed.
        AudioError: one of them is silent, or they last less than 1 s.

    Source: Chinen et al., "ViSQOL v3: An Open Source Production Ready Objective Speech and Audio Metric",
    arXiv:2004.09584.
    """
    if reference.seconds < SHORTEST:
        raise AudioError(f"visqol needs passages of at least {SHORTEST:g} s, got {reference.seconds:g} s")
    pair = [_heard("visqol", sound).astype(np.float64) for sound in (reference, estimate)]
    return float(_visqol().measure_from_arrays(*pair, sample_rate=EAR_RATE).moslqo)


JUDGES: dict[str, Judge] = {"mel": mel, "zimtohrli": zimtohrli, "visqol": visqol}
BEST = {"mel": 0.0, "zimtohrli": 5.0, "visqol": 4.732}


def optional(module: str) -> ModuleType:
    """An optional module, imported now.

    Raises:
        MissingPartError: it is not installed; the message says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPartError(f"{module} is not installed; pip install 'ostinato[evaluate]'") from error


@functools.cache
def _visqol() -> Any:
    api = optional("visqol").VisqolApi()
    api.create(mode="audio")
    return api


def _heard(judge: str, sound: Audio) -> np.ndarray:
    if not bool(sound.wave.any()):
        raise AudioError(f"{judge} has nothing to say about silence; {sound.seconds:g} s of zeros given")
    return resample(sound, EAR_RATE).wave[0, 0].numpy()
