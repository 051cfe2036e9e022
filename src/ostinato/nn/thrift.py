"""The blocks of VampNet's encoder in fewer multiplications: convolutions over 7 steps take 26 for 8 outputs, not 56.

Channels lie side by side, so that all is products of matrices and sums of long rows.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .lac import Channels, EncoderBlock, Made, ResidualUnit

Steps = Float[Tensor, "step channel"]
Factors = Float[Tensor, "factor ins outs"]
TAPS = 8


def factors(taps: Float[Tensor, "tap ins outs"]) -> Factors:
    """What `add_products` multiplies by, for a power of two of taps: 3 for 2 taps, 9 for 4."""
    if len(taps) == 1:
        return taps
    first, second = taps.chunk(2)
    return torch.cat([factors(first), factors(first + second), factors(second)])


def add_products(out: Float[Tensor, "tap *row outs"], x: Float[Tensor, "phase *row ins"], by: Factors) -> None:
    """Add to each `out[i]` the sum over taps of `x[i + tap]` times that tap; there are as many taps as outputs.

    Two taps a and b make ax + by and ay + bz of x, y and z: both are (a + b)y and a(x - y) or b(z - y) in its turn.
    Halves of many taps are taken for a and b. A last factor that is not there is zero.

    Source: Karatsuba's product, in the fast filters of Parker and Parhi, 1997.
    """
    if len(out) == 1:
        if len(by):
            _ = out.flatten(0, -2).addmm_(x.flatten(0, -2), by[0])
        return
    half, third = len(out) // 2, (len(by) + 1) // 3
    middle, both = x[half : 3 * half - 1], torch.zeros_like(out[:half])
    add_products(both, middle, by[third : 2 * third])
    _ = out.unflatten(0, (2, half)).add_(both)
    add_products(out[:half], x[: 2 * half - 1] - middle, by[:third])
    add_products(out[half:], x[2 * half :] - middle, by[2 * third :])


class ThriftyConv:
    """A convolution of 7 steps; beyond the ends it sees zeros."""

    def __init__(self, source: nn.Module) -> None:
        assert isinstance(source, nn.Conv1d)
        assert source.bias is not None
        self.factors = factors(F.pad(source.weight.detach().permute(2, 1, 0), (0, 0, 0, 0, 0, 1)))[:-1]
        self.bias, self.apart, self.before = source.bias.detach(), source.dilation[0], int(source.padding[0])

    def __call__(self, x: Steps) -> Steps:
        length, channels = x.shape
        block = TAPS * self.apart
        count = -(-length // block)
        padded = F.pad(x, (0, 0, self.before, (count + 1) * block - self.before - length))
        row = self.apart * channels
        phases = padded.as_strided((2 * TAPS - 1, count, row), (row, TAPS * row, 1)).contiguous()
        out = self.bias.repeat(TAPS, count, self.apart, 1)
        add_products(out, phases.view(-1, count, self.apart, channels), self.factors)
        return out.transpose(0, 1).reshape(-1, channels)[:length]


class ThriftyUnit:
    """A residual unit of the encoder."""

    def __init__(self, source: nn.Module) -> None:
        assert isinstance(source, ResidualUnit)
        self.first, wide, self.second, narrow = source.layer
        self.wide = ThriftyConv(wide)
        assert isinstance(narrow, nn.Conv1d)
        assert narrow.bias is not None
        self.narrow, self.bias = narrow.weight.detach()[..., 0].T, narrow.bias.detach()

    def __call__(self, x: Steps) -> Steps:
        return x.add(self.bias).addmm_(_bent(self.second, self.wide(_bent(self.first, x))), self.narrow)


class ThriftyBlock:
    """A stage of the encoder that ends in a stride, as a function of channels; a first convolution may come before."""

    def __init__(self, part: nn.Sequential) -> None:
        *self.before, block = part
        assert isinstance(block, EncoderBlock)
        *units, self.snake, down = block
        self.units = [ThriftyUnit(unit) for unit in units]
        assert isinstance(down, nn.Conv1d)
        assert down.bias is not None
        self.stride, self.bias = down.stride[0], down.bias.detach()
        self.halves = [half.flatten(0, 1) for half in down.weight.detach().permute(2, 1, 0).chunk(2)]

    def __call__(self, x: Channels) -> Made:
        for conv in self.before:
            x = conv(x)
        return torch.stack([self._row(row.T.contiguous()).T for row in x])

    def _row(self, x: Steps) -> Steps:
        for unit in self.units:
            x = unit(x)
        margin = self.stride // 2
        rows = F.pad(_bent(self.snake, x), (0, 0, margin, margin)).view(-1, self.stride * x.shape[1])
        first, second = self.halves
        return torch.addmm(self.bias, rows[:-1], first).addmm_(rows[1:], second)


def _bent(snake: nn.Module, x: Steps) -> Steps:
    return snake(x.T[None])[0].T
