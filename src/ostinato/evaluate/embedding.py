"""Where sounds lie in the embedding of a music tagger: how alike two collections are, whatever the single pieces."""

import functools
from collections.abc import Iterable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ..checkpoint import restore
from ..errors import AudioError
from ..nn.musicnn import HOP, SAMPLE_RATE, WINDOW, MusicNN, listen
from ..resampling import resample
from ..types import Audio

WEIGHTS = Path(__file__).parents[1] / "assets" / "musicnn"


@functools.cache
def tagger() -> MusicNN:
    """The network with its published weights."""
    network = MusicNN().eval().requires_grad_(False)
    restore(WEIGHTS, network)
    return network


def embed(sounds: Iterable[Audio]) -> Float[Tensor, "window feature"]:
    """200 numbers for each 3 s of each sound, in order; channels are averaged, and a rest below 3 s is dropped.

    It hears what lies below 8 kHz.

    Raises:
        AudioError: no sound lasts 3 s.

    Source: musicnn, arXiv:1909.06654.
    """
    found = []
    for sound in sounds:
        mono = Audio(sound.wave.mean(1, keepdim=True), sound.sample_rate)
        windows = listen(resample(mono, SAMPLE_RATE).wave[:, 0])
        found += [tagger()(windows)] if len(windows) else []
    if not found:
        raise AudioError(f"the embedding needs sounds of at least {WINDOW * HOP / SAMPLE_RATE:.2f} s; there is none")
    return torch.cat(found)
