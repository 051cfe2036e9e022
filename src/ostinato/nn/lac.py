"""The layers of VampNet's codec: snake activations, dilated residual units, and a decoder of several kernel widths."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

Channels = Float[Tensor, "batch channel step"]

ENCODER_KERNEL, ENCODER_DILATIONS = 7, (1, 3, 9)
DECODER_KERNELS, DECODER_DILATIONS = (3, 7, 11), (1, 3, 5)
EDGE_KERNEL, LATENT_KERNEL = 7, 3


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


def encoder(width: int, strides: tuple[int, ...]) -> nn.Sequential:
    """One channel of samples to `width * 2 ** len(strides)` features a frame."""
    outs = width * 2 ** len(strides)
    return nn.Sequential(
        conv(1, width, EDGE_KERNEL),
        *(EncoderBlock(width * 2**level, stride) for level, stride in enumerate(strides)),
        Snake(outs),
        conv(outs, outs, LATENT_KERNEL),
    )


def decoder(features: int, width: int, strides: tuple[int, ...]) -> nn.Sequential:
    """Features of frames to one channel of samples between -1 and 1."""
    last = width // 2 ** len(strides)
    return nn.Sequential(
        conv(features, width, EDGE_KERNEL),
        *(DecoderBlock(width // 2**level, stride) for level, stride in enumerate(strides)),
        Snake(last),
        conv(last, 1, EDGE_KERNEL),
        nn.Tanh(),
    )


def encoder_reach(strides: tuple[int, ...]) -> tuple[int, int]:
    """First and last sample, counted from the start of a frame, that its features depend on."""
    units = sum(ENCODER_KERNEL // 2 * dilation for dilation in ENCODER_DILATIONS)
    first, last = -(LATENT_KERNEL // 2), LATENT_KERNEL // 2
    for stride in reversed(strides):
        first, last = first * stride - stride // 2, last * stride - stride // 2 + 2 * stride - 1
        first, last = first - units, last + units
    return first - EDGE_KERNEL // 2, last + EDGE_KERNEL // 2


def decoder_reach(strides: tuple[int, ...]) -> tuple[int, int]:
    """First and last frame, counted from a frame, that the samples of that frame depend on."""
    half = max(DECODER_KERNELS) // 2
    units = sum(half * dilation + half for dilation in DECODER_DILATIONS)
    first, last = -(EDGE_KERNEL // 2), torch.Size(strides).numel() - 1 + EDGE_KERNEL // 2
    for stride in reversed(strides):
        first, last = first - units, last + units
        first, last = -((2 * stride - 1 - stride // 2 - first) // stride), (last + stride // 2) // stride
    return first - EDGE_KERNEL // 2, last + EDGE_KERNEL // 2
