"""The spectrogram of a sound under the mask of a prompt: what stays is bright, what will be made anew is veiled."""

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from ..dsp import log_mel
from ..types import Audio

SIZE, MELS, COLUMNS, RANGE = 2048, 96, 960, 8.0
CELL = 16
GLOW = torch.tensor([[18, 10, 24], [72, 22, 92], [166, 50, 106], [236, 110, 62], [252, 214, 120]], dtype=torch.float32)
VEIL = torch.tensor([38.0, 44.0, 66.0])
VEILED = 0.78


def preview(audio: Audio, hidden: Bool[Tensor, "codebook frame"]) -> UInt8[np.ndarray, "row column colour"]:
    """A picture: a band for each codebook with the coarsest lowest, low tones lowest, time from left to right."""
    loud = _columns(decibels(audio), COLUMNS)
    rows = CELL * len(hidden)
    light = (1 + (loud - loud.max()) / (10 * RANGE)).clamp(0, 1)
    light = torch.nn.functional.interpolate(light[None, None], size=(rows, light.shape[1]), mode="bilinear")[0, 0]
    colour = glow(light)
    veiled = _columns(hidden.float(), light.shape[1]).repeat_interleave(CELL, 0)[..., None] * VEILED
    shown = colour * (1 - veiled) + (0.25 * colour + 0.75 * VEIL) * veiled
    return shown.flip(0).round().clamp(0, 255).to(torch.uint8).numpy()


def decibels(audio: Audio) -> Float[Tensor, "mel column"]:
    """Mel magnitudes of a sound in dB, its channels added."""
    mono = audio.wave[:1].mean(1).float()
    pieces = mono.split(SIZE * 512, dim=-1)
    return 20 * torch.cat([log_mel(piece, audio.sample_rate, size=SIZE, mels=MELS)[0] for piece in pieces]).T


def glow(light: Float[Tensor, "*place"]) -> Float[Tensor, "*place colour"]:
    """Colours from dark to bright for light from 0 to 1."""
    at = light * (len(GLOW) - 1)
    low = at.floor().clamp(0, len(GLOW) - 2).long()
    share = (at - low)[..., None]
    return GLOW[low] * (1 - share) + GLOW[low + 1] * share


def _columns(rows: Float[Tensor, "row frame"], count: int) -> Float[Tensor, "row column"]:
    """Rows at another number of columns: means where there are fewer, repeats where there are more."""
    return torch.nn.functional.adaptive_avg_pool1d(rows[None], count)[0]
