"""musicnn: a published tagger of music, of which only the embedding before its tags is kept.

Source: Pons and Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging",
arXiv:1909.06654.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..dsp import frames, hann, mel_filters
from ..types import Signal

SAMPLE_RATE = 16_000
SIZE, HOP, BANDS = 512, 256, 96
WINDOW = 187
FEATURES = 200


class Layer(nn.Module):
    """A convolution over time and bands that keeps the number of frames, a rectifier, and a batch norm."""

    def __init__(self, channels: int, filters: int, length: int, bands: int = 1) -> None:
        super().__init__()
        self.pad = (0, 0, (length - 1) // 2, length // 2)
        self.conv = nn.Conv2d(channels, filters, (length, bands))
        self.norm = nn.BatchNorm2d(filters, eps=1e-3)

    def forward(self, x: Float[Tensor, "batch channel frame band"]) -> Float[Tensor, "batch filter frame rest"]:
        return self.norm(F.relu(self.conv(F.pad(x, self.pad))))


class MusicNN(nn.Module):
    """The embedding of windows of 3 s: 200 numbers each. In evaluation mode it is a function of the window alone."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.BatchNorm2d(1, eps=1e-3)
        self.timbre = nn.ModuleList(Layer(1, 204, 7, bands) for bands in (38, 67))
        self.rhythm = nn.ModuleList(Layer(1, 51, length) for length in (128, 64, 32))
        self.middle = nn.ModuleList(Layer(channels, 64, 7) for channels in (561, 64, 64))
        self.pooled = nn.BatchNorm1d(2 * 753, eps=1e-3)
        self.dense = nn.Linear(2 * 753, FEATURES)
        self.leave = nn.BatchNorm1d(FEATURES, eps=1e-3)

    def forward(self, windows: Float[Tensor, "batch frame band"]) -> Float[Tensor, "batch feature"]:
        """The embedding of each window that `listen` gives."""
        x = self.enter(windows[:, None])
        low = torch.cat([layer(x).amax(-1, keepdim=True) for layer in (*self.timbre, *self.rhythm)], dim=1)
        first = self.middle[0](low)
        second = first + self.middle[1](first)
        third = second + self.middle[2](second)
        features = torch.cat([low, first, second, third], dim=1)[..., 0]
        pooled = torch.stack([features.amax(-1), features.mean(-1)], dim=-1).flatten(1)
        return self.leave(F.relu(self.dense(self.pooled(pooled))))


def listen(signal: Signal) -> Float[Tensor, "window frame band"]:
    """What the network hears of signals at 16 kHz: windows of 187 frames of 96 compressed mel bands.

    The windows of each signal follow each other without overlap; a rest that fills no window is dropped.
    """
    padded = F.pad(signal, (SIZE // 2, SIZE // 2))
    power = torch.fft.rfft(frames(padded, SIZE, HOP) * hann(SIZE, signal.device), dim=-1).abs().square()
    mel = (10_000 * (power @ mel_filters(SAMPLE_RATE, SIZE, BANDS, signal.device)) + 1).log10()
    count = mel.shape[1] // WINDOW
    return mel[:, : count * WINDOW].unflatten(1, (count, WINDOW)).flatten(0, 1)
