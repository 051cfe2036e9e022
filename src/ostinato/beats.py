"""Beats and downbeats of a sound: a small network over mel frames says how likely each is one, `pick` chooses."""

import math
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .config import config, knob
from .dsp import frames, hann, mel_filters
from .errors import AudioError, ConfigError
from .pulse import Picking, bars, follow, near
from .resampling import resample
from .types import Audio, Beats

FLOOR = 1e-4
CENTRE = 2.0
POOL = 3
WINDOW = 3000
TOLERANCE = 0.07

Mel = Float[Tensor, "batch frame mel"]
Features = Float[Tensor, "batch frame channel"]


@runtime_checkable
class Tracker(Protocol):
    """What finds the beats of a sound."""

    def __call__(self, audio: Audio) -> Beats:
        """The beats of one sound, in seconds from its start."""
        ...


@config
class BeatConfig:
    """Sizes of the beat network and of the mel frames that it sees."""

    sample_rate: int = knob("rate that sounds are brought to", default=22050, unit="Hz", low=1000)
    hop: int = knob("samples in a frame", default=441, low=1)
    overlap: int = knob("hops that a mel frame is made from", default=4, low=1)
    mels: int = knob("mel bands", default=81, low=1)
    front: tuple[int, ...] = knob("channels of the layers that see neighbouring bands", default=(12, 16, 24))
    width: int = knob("channels of a frame after them", default=64, low=1)
    taps: int = knob("frames that a layer over time joins; odd", default=5, low=1)
    layers: int = knob("layers over time; each sees twice as far as the one before", default=9, low=1, high=16)

    def __post_init__(self) -> None:
        if self.taps % 2 == 0:
            raise ConfigError(f"BeatConfig.taps must be odd, got {self.taps}")
        if self.mels < POOL ** len(self.front):
            raise ConfigError(f"BeatConfig.mels must be at least {POOL ** len(self.front)}, got {self.mels}")

    @property
    def rate(self) -> float:
        """Frames in a second, in Hz."""
        return self.sample_rate / self.hop

    @property
    def size(self) -> int:
        """Samples in a mel frame."""
        return self.overlap * self.hop

    @property
    def reach(self) -> int:
        """Frames to either side that a frame's answer depends on."""
        return len(self.front) + (self.taps // 2) * (2**self.layers - 1)


class Dilated(nn.Module):
    """A layer over time that joins frames `dilation` apart, added to its input; silence lies beyond both ends."""

    def __init__(self, width: int, taps: int, dilation: int) -> None:
        super().__init__()
        self.taps, self.dilation = taps, dilation
        self.norm = nn.LayerNorm(width)
        self.join = nn.Linear(taps * width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Features) -> Features:
        side = self.taps // 2 * self.dilation
        padded = F.pad(self.norm(x).to(x.dtype), (0, 0, side, side))
        seen = [padded[:, k * self.dilation : k * self.dilation + x.shape[1]] for k in range(self.taps)]
        return x + self.out(F.gelu(self.join(torch.cat(seen, dim=-1))))


class BeatNet(nn.Module):
    """Log mel frames in, two logits a frame out: a beat, and a downbeat.

    Convolutions over neighbouring bands and frames, each followed by a maximum over three bands, then residual
    layers over time with doubling dilation.

    Source: temporal convolutional beat tracking (MatthewDavies, Böck, EUSIPCO 2019; Böck, Davies, ISMIR 2020).
    """

    def __init__(self, settings: BeatConfig) -> None:
        super().__init__()
        self.config = c = settings
        sizes = (1, *c.front)
        self.front = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(sizes, c.front, strict=False))
        bands = c.mels // POOL ** len(c.front)
        self.into = nn.Linear(sizes[-1] * bands, c.width)
        self.layers = nn.ModuleList(Dilated(c.width, c.taps, 2**n) for n in range(c.layers))
        self.norm = nn.LayerNorm(c.width)
        self.out = nn.Linear(c.width, 2)

    def forward(self, mel: Mel) -> Float[Tensor, "batch frame 2"]:
        x = (mel + CENTRE)[:, None].to(memory_format=torch.channels_last)
        for layer in self.front:
            x = F.gelu(F.max_pool2d(layer(x), (1, POOL)))
        x = self.into(x.permute(0, 2, 1, 3).flatten(2))
        for layer in self.layers:
            x = layer(x)
        return self.out(self.norm(x))


def mel_frames(signal: Float[Tensor, "batch sample"], settings: BeatConfig) -> Mel:
    """log10 of mel magnitudes, not below 1e-4, of frames that lie wholly inside `signal`."""
    cut = frames(signal, settings.size, settings.hop) * hann(settings.size, signal.device)
    bands = mel_filters(settings.sample_rate, settings.size, settings.mels, signal.device)
    return (torch.fft.rfft(cut, dim=-1).abs() @ bands).clamp_min(FLOOR).log10()


def heard(audio: Audio, settings: BeatConfig) -> Float[Tensor, " sample"]:
    """A sound as the network hears it: mono, at its rate, with half a mel frame of silence on either side.

    Mel frame `n` is then centred on the time `n / rate`.

    Raises:
        AudioError: it is a batch of several sounds.
    """
    if audio.wave.shape[0] != 1:
        raise AudioError(f"beats are tracked in one sound at a time, got a batch of {audio.wave.shape[0]}")
    mono = Audio(audio.wave.mean(1, keepdim=True), audio.sample_rate)
    half = settings.size // 2
    tail = settings.size - half + settings.hop - 1
    return F.pad(resample(mono, settings.sample_rate).wave[0, 0], (half, tail))


@torch.no_grad()
def activation(net: BeatNet, audio: Audio, *, window: int = WINDOW) -> Float[Tensor, "frame 2"]:
    """How likely each frame is a beat, and a downbeat, 0 to 1; the same at any `window`. Nothing is in a silent frame.

    The network hears `window` frames at a time and what they depend on, so memory does not grow with the length
    beyond that of the sound itself.

    Raises:
        AudioError: it is a batch of several sounds.
    """
    c = net.config
    signal = heard(audio, c)
    count = (len(signal) - c.size) // c.hop + 1
    found = []
    for start in range(0, count, window):
        low, high = max(0, start - c.reach), min(count, start + window + c.reach)
        mel = mel_frames(signal[None, low * c.hop : (high - 1) * c.hop + c.size], c)
        sounds = mel.amax(-1, keepdim=True) > math.log10(FLOOR)
        found.append((net(mel).float().sigmoid() * sounds)[0, start - low : min(count, start + window) - low])
    return torch.cat(found)


def pick(likely: Float[Tensor, "frame 2"], rate: float, how: Picking | None = None) -> Beats:
    """Beats and downbeats from how likely each frame is one.

    Args:
        likely: probabilities of a beat and of a downbeat; frame `n` stands for the time `n / rate`.
        rate: frames in a second, in Hz.
        how: bounds and costs; see `Picking`.

    Returns:
        Beats whose confidence is the mean probability of the beats chosen; none, with confidence 0, in silence.
    """
    how = how or Picking()
    curve, downs = likely.double().cpu().numpy().T
    times, sure = follow(curve, rate, how)
    if len(times) == 0:
        return Beats(times=(), downbeats=(), confidence=0.0)
    first = bars(near(downs, rate, times), how)
    return Beats(
        times=tuple(times.tolist()),
        downbeats=tuple(times[first].tolist()),
        confidence=float(np.clip(sure.mean(), 0, 1)),
    )


def track(net: BeatNet, audio: Audio, how: Picking | None = None) -> Beats:
    """The beats of one sound of any length, rate and number of channels.

    Raises:
        AudioError: it is a batch of several sounds.
    """
    return pick(activation(net, audio), net.config.rate, how)


def agreement(found: Beats, wanted: Beats, *, within: float = TOLERANCE) -> float:
    """F-measure of two lists of beats, 0 to 1: how many meet one to one, at most `within` seconds apart.

    Two empty lists agree. 70 ms is the usual window (Davies et al., "Evaluation methods for musical audio beat
    tracking algorithms", 2009).
    """
    if not found.times or not wanted.times:
        return float(found.times == wanted.times)
    met = a = b = 0
    while a < len(found.times) and b < len(wanted.times):
        apart = found.times[a] - wanted.times[b]
        close = abs(apart) <= within
        met += close
        a, b = a + (close or apart < 0), b + (close or apart > 0)
    return 2 * met / (len(found.times) + len(wanted.times))
