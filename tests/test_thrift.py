"""Fewer multiplications make what the layers of VampNet's encoder make, to the token."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from ostinato import runtime
from ostinato.lac import LAC, LACConfig
from ostinato.nn import lac
from ostinato.nn.lac import Snake, encoder
from ostinato.nn.thrift import ThriftyBlock, ThriftyConv, add_products, factors
from ostinato.runtime import hand_over
from ostinato.types import Grid

CONFIG = LACConfig(
    grid=Grid(hop=16, codebooks=6, vocabulary=32), width_in=4, strides_in=(2, 8), width_out=16, strides_out=(8, 2)
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def drawn(part: nn.Module) -> None:
    """Give every weight a value of its own."""
    for number, weight in enumerate(part.parameters()):
        _ = weight.requires_grad_(False).copy_(noise(*weight.shape, seed=number) / weight[0].numel() ** 0.5)
    for number, snake in enumerate(each for each in part.modules() if isinstance(each, Snake)):
        _ = snake.alpha.copy_(1 + noise(*snake.alpha.shape, seed=number).abs())


@pytest.mark.parametrize("taps", [1, 2, 4, 8])
def test_there_are_three_products_for_every_two_taps(taps: int):
    kernel, x = noise(taps, 3, 5).double(), noise(2 * taps - 1, 7, 3, seed=1).double()
    by, out = factors(kernel), torch.ones(taps, 7, 5, dtype=torch.float64)
    assert len(by) == {1: 1, 2: 3, 4: 9, 8: 27}[taps]
    wanted = 1 + torch.stack([(x[i : i + taps] @ kernel).sum(0) for i in range(taps)])
    add_products(out, x, by)
    assert torch.allclose(out, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dilation", [1, 3, 9])
@pytest.mark.parametrize("length", [1, 8, 150])
def test_a_convolution_is_the_same_from_end_to_end(dilation: int, length: int):
    wide = lac.conv(3, 3, 7, dilation).double()
    drawn(wide)
    x = noise(length, 3).double()
    assert torch.allclose(ThriftyConv(wide)(x), wide(x.T[None])[0].T, rtol=0, atol=1e-12)


def test_a_stage_is_the_same_for_every_row():
    layers = encoder(4, (2, 6)).double()
    drawn(layers)
    x: torch.Tensor = noise(2, 1, 144).double()
    for stage in layers.stages[:2]:
        wanted = stage.part(x)
        assert torch.allclose(ThriftyBlock(stage.part)(x), wanted, rtol=0, atol=1e-11)
        x = wanted


@pytest.mark.parametrize("cached", [200, lac.CACHED])
def test_codes_are_the_same(monkeypatch: pytest.MonkeyPatch, cached: int):
    codec = LAC(CONFIG).eval()
    drawn(codec)
    monkeypatch.setattr(lac, "CACHED", cached)
    monkeypatch.setattr(runtime, "WIDE", 8)
    fast = deepcopy(codec)
    hand_over("torch", fast)
    assert [type(stage.run) for stage in fast.encoder.stages] == [type(None), ThriftyBlock, type(None)]
    signal = noise(2, 16 * 700)
    codes = codec.encode(signal)
    assert torch.equal(fast.encode(signal), codes)
    assert torch.equal(torch.cat(list(fast.encode_blocks(signal.split(1000, dim=-1))), dim=-1), codes)
