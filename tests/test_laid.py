"""Layers that lay their weights out say what the layers say that they are made of."""

import pytest
import torch
from torch import nn

from ostinato.nn import laid
from ostinato.nn.laid import LaidLinear
from ostinato.runtime import hand_over
from tests import tiny


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 3, 48), (2, 200, 48), (7, 48)])
def test_it_says_the_same_for_any_number_of_rows(shape: tuple[int, ...], bias: bool):
    source = nn.Linear(48, 80, bias=bias).requires_grad_(False)
    layer = LaidLinear(source)
    assert layer.weight is source.weight
    for x in (noise(*shape), noise(5, 48, seed=1)):
        assert torch.allclose(layer(x), source(x), atol=1e-5)


def test_large_layers_are_laid_out_once_and_small_ones_never(monkeypatch: pytest.MonkeyPatch):
    codes = torch.randint(32, (2, 4, 20), generator=torch.Generator().manual_seed(0))
    mask = torch.rand(codes.shape, generator=torch.Generator().manual_seed(1)) < 0.6
    plain, small = tiny.model(), tiny.model()
    hand_over("torch", tiny.codec(), small)
    assert not any(isinstance(each, LaidLinear) for each in small.modules())
    monkeypatch.setattr(laid, "LARGE", 32 * 32)
    large = tiny.model()
    hand_over("torch", tiny.codec(), large)
    layers = [each for each in large.transformer.modules() if isinstance(each, LaidLinear)]
    assert len(layers) == 6 * tiny.COARSE.layers
    assert torch.allclose(large(codes, mask), plain(codes, mask), atol=1e-5)
    first = [each.laid for each in layers]
    assert torch.allclose(large(codes[:1], mask[:1]), plain(codes, mask)[:1], atol=1e-5)
    assert all(each.laid is one for each, one in zip(layers, first, strict=True))


def test_a_torch_without_its_layouts_keeps_its_layers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(laid, "LARGE", 1)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    model = tiny.model()
    hand_over("torch", tiny.codec(), model)
    assert not any(isinstance(each, LaidLinear) for each in model.modules())


def test_a_model_whose_layers_are_laid_out_can_be_exported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(laid, "LARGE", 1)
    model = tiny.model()
    hand_over("torch", tiny.codec(), model)
    codes, mask = torch.zeros(1, 4, 12, dtype=torch.long), torch.ones(1, 4, 12, dtype=torch.bool)
    found = torch.export.export(model, (codes, mask))
    assert "mkldnn" not in str(found.graph)
    assert torch.allclose(found.module()(codes, mask), model(codes, mask), atol=1e-5)
