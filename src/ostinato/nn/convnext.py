"""ConvNeXt blocks over time, channels last, with patch layers that change the frame rate."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

Features = Float[Tensor, "batch frame channel"]


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, normalisation and a gated-free inverted bottleneck, added to the input.

    Source: Liu et al., "A ConvNet for the 2020s", arXiv:2201.03545; over time as in Vocos, arXiv:2306.00814.
    """

    def __init__(self, channels: int, *, kernel: int, expansion: int, scale: float) -> None:
        super().__init__()
        self.mix = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, channels * expansion)
        self.narrow = nn.Linear(channels * expansion, channels)
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Features) -> Features:
        h = self.mix(x.transpose(1, 2)).transpose(1, 2)
        h = self.narrow(nn.functional.gelu(self.widen(self.norm(h)), approximate="tanh"))
        return x + self.scale * h


class Stage(nn.Sequential):
    """A run of blocks at one frame rate."""

    def __init__(self, channels: int, blocks: int, *, kernel: int, expansion: int) -> None:
        super().__init__(
            *(ConvNeXtBlock(channels, kernel=kernel, expansion=expansion, scale=1 / blocks) for _ in range(blocks))
        )


class Merge(nn.Module):
    """Join each `factor` frames into one by a linear layer."""

    def __init__(self, channels: int, out: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.join = nn.Linear(channels * factor, out)

    def forward(self, x: Features) -> Float[Tensor, "batch slow out"]:
        return self.join(x.reshape(x.shape[0], -1, x.shape[2] * self.factor))


class Split(nn.Module):
    """Turn each frame into `factor` frames by a linear layer."""

    def __init__(self, channels: int, out: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.part = nn.Linear(channels, out * factor)

    def forward(self, x: Features) -> Float[Tensor, "batch fast out"]:
        return self.part(x).reshape(x.shape[0], x.shape[1] * self.factor, -1)
