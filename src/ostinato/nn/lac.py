"""The layers of VampNet's codec: snake activations, dilated residual units, and a decoder of several kernel widths."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

Channels = Float[Tensor, "batch channel step"]
Made = Float[Tensor, "batch outs longer"]

ENCODER_KERNEL, ENCODER_DILATIONS = 7, (1, 3, 9)
DECODER_KERNELS, DECODER_DILATIONS = (3, 7, 11), (1, 3, 5)
EDGE_KERNEL, LATENT_KERNEL = 7, 3
ENCODER_REACH = sum(ENCODER_KERNEL // 2 * dilation for dilation in ENCODER_DILATIONS)
DECODER_REACH = sum(max(DECODER_KERNELS) // 2 * (dilation + 1) for dilation in DECODER_DILATIONS)
"""Steps on either side that the residual units of a block see."""
CACHED = 2**19
"""Numbers that a layer is given at once: as many as stay in a processor's cache from layer to layer."""
WORTH = 32
"""How many times its context a piece may be, where that is more than the cache holds: little is computed twice then."""


class Snake(nn.Module):
    """`x + sin(a x)^2 / a` with a learnt `a` for each channel (arXiv:2006.08195)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x: Channels) -> Channels:
        return torch.addcmul(x, (self.alpha * x).sin_().square_(), (self.alpha + 1e-9).reciprocal())


def conv(ins: int, outs: int, kernel: int, dilation: int = 1) -> nn.Conv1d:
    """A convolution that keeps the length; beyond the ends it sees zeros."""
    return nn.Conv1d(ins, outs, kernel, dilation=dilation, padding=(kernel - 1) * dilation // 2)


class ResidualUnit(nn.Module):
    """Snake and convolution twice, the first one dilated, added to the input."""

    def __init__(self, channels: int, kernel: int, dilation: int, second_kernel: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            Snake(channels),
            conv(channels, channels, kernel, dilation),
            Snake(channels),
            conv(channels, channels, second_kernel),
        )

    def forward(self, x: Channels) -> Channels:
        return self.layer(x).add_(x)


class EncoderBlock(nn.Sequential):
    """Three residual units, then twice the channels at a rate lower by `stride`."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(
            *(ResidualUnit(channels, ENCODER_KERNEL, dilation, 1) for dilation in ENCODER_DILATIONS),
            Snake(channels),
            nn.Conv1d(channels, 2 * channels, 2 * stride, stride=stride, padding=stride // 2),
        )


class Fusion(nn.Module):
    """Residual units of three kernel widths side by side, averaged.

    Source: the multi-receptive field fusion of HiFi-GAN, arXiv:2010.05646, section 2.2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(ResidualUnit(channels, kernel, dilation, kernel) for dilation in DECODER_DILATIONS))
            for kernel in DECODER_KERNELS
        )

    def forward(self, x: Channels) -> Channels:
        total = self.branches[0](x)
        for branch in self.branches[1:]:
            total = total.add_(branch(x))
        return total.div_(len(self.branches))


class DecoderBlock(nn.Sequential):
    """Half the channels at a rate higher by `stride`, then a fusion."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(
            Snake(channels),
            nn.ConvTranspose1d(channels, channels // 2, 2 * stride, stride=stride, padding=stride // 2),
            Fusion(channels // 2),
        )


class Piece(NamedTuple):
    """A piece of work: what layers are given, which part of what they make is kept, and where it is written."""

    given: Tensor
    kept: slice
    place: Tensor


@dataclass
class Stage:
    """Layers that are worked through piece by piece, so that what they hand on stays in the processor's cache.

    `part` turns each unit of `down` steps into `up` steps of `outs` channels, and sees `context` units beyond on either
    side; `channels` are those at its higher rate. Beyond the ends of a sound it sees zeros, as over the whole sound.
    `run`, if given, does in another runtime what `part` does, on `at_once` pieces at a time.
    """

    part: nn.Sequential
    outs: int
    channels: int
    context: int
    down: int = 1
    up: int = 1
    run: Callable[[Iterable[Piece]], None] | None = None
    at_once: int = 1

    def __call__(self, x: Channels) -> Made:
        if torch.compiler.is_compiling():
            return self.part(x)
        units, most = x.shape[-1] // self.down, CACHED // (self.channels * max(self.down, self.up))
        rounds = math.ceil(units / max(most, WORTH * self.context, 1) / self.at_once)
        size = max(1, math.ceil(units / max(1, rounds * self.at_once)))
        out = x.new_empty(x.shape[0], self.outs, units * self.up)
        run = self.run or self._run
        run(self._piece(x, out, start, min(start + size, units)) for start in range(0, units, size))
        return out

    def _piece(self, x: Channels, out: Made, start: int, end: int) -> Piece:
        first = max(0, start - self.context)
        return Piece(
            x[..., first * self.down : (end + self.context) * self.down],
            slice((start - first) * self.up, (end - first) * self.up),
            out[..., start * self.up : end * self.up],
        )

    def _run(self, pieces: Iterable[Piece]) -> None:
        for given, kept, place in pieces:
            _ = place.copy_(self.part(given)[..., kept])


class Staged(nn.Sequential):
    """Layers in stages."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        super().__init__(*(layer for stage in stages for layer in stage.part))
        self.stages = list(stages)

    def forward(self, input: Channels) -> Made:
        made: Tensor = input
        for stage in self.stages:
            made = stage(made)
        return made


def encoder(width: int, strides: tuple[int, ...]) -> Staged:
    """One channel of samples to `width * 2 ** len(strides)` features a frame."""
    stages = []
    for level, stride in enumerate(strides):
        channels, block = width * 2**level, EncoderBlock(width * 2**level, stride)
        part = nn.Sequential(block) if level else nn.Sequential(conv(1, width, EDGE_KERNEL), block)
        context = -(-(ENCODER_REACH + EDGE_KERNEL // 2 + stride // 2) // stride)
        stages.append(Stage(part, 2 * channels, channels, context, down=stride))
    outs = width * 2 ** len(strides)
    last = nn.Sequential(Snake(outs), conv(outs, outs, LATENT_KERNEL))
    return Staged([*stages, Stage(last, outs, outs, LATENT_KERNEL // 2)])


def decoder(features: int, width: int, strides: tuple[int, ...]) -> Staged:
    """Features of frames to one channel of samples between -1 and 1."""
    last = width // 2 ** len(strides)
    end = (Snake(last), conv(last, 1, EDGE_KERNEL), nn.Tanh())
    stages = [Stage(nn.Sequential(conv(features, width, EDGE_KERNEL)), width, features, EDGE_KERNEL // 2)]
    for level, stride in enumerate(strides):
        channels, block = width // 2 ** (level + 1), DecoderBlock(width // 2**level, stride)
        whole = level + 1 == len(strides)
        part = nn.Sequential(block, *end) if whole else nn.Sequential(block)
        context = -(-(DECODER_REACH + EDGE_KERNEL // 2) // stride) + 1
        stages.append(Stage(part, 1 if whole else channels, channels, context, up=stride))
    return Staged(stages)


def encoder_reach(strides: tuple[int, ...]) -> tuple[int, int]:
    """First and last sample, counted from the start of a frame, that its features depend on."""
    first, last = -(LATENT_KERNEL // 2), LATENT_KERNEL // 2
    for stride in reversed(strides):
        first, last = first * stride - stride // 2, last * stride - stride // 2 + 2 * stride - 1
        first, last = first - ENCODER_REACH, last + ENCODER_REACH
    return first - EDGE_KERNEL // 2, last + EDGE_KERNEL // 2


def decoder_reach(strides: tuple[int, ...]) -> tuple[int, int]:
    """First and last frame, counted from a frame, that the samples of that frame depend on."""
    first, last = -(EDGE_KERNEL // 2), torch.Size(strides).numel() - 1 + EDGE_KERNEL // 2
    for stride in reversed(strides):
        first, last = first - DECODER_REACH, last + DECODER_REACH
        first, last = -((2 * stride - 1 - stride // 2 - first) // stride), (last + stride // 2) // stride
    return first - EDGE_KERNEL // 2, last + EDGE_KERNEL // 2
