"""Fewer bits: int8 and bf16 agree with fp32, row by row, and are read from the same files."""

from pathlib import Path

import pytest
import torch
from torch import nn

from ostinato.checkpoint import load_model, save
from ostinato.errors import ConfigError
from ostinato.lm import LMConfig, MaskedModel
from ostinato.nn.lower import Int8Linear, Linear, SharpLinear, lowered, rounded
from tests import tiny

WIDE = LMConfig(codebooks=4, vocabulary=32, width=128, layers=2, heads=2)


def rows(count: int = 9, width: int = 64) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(1))


def linear(bias: bool = True) -> Linear:
    with torch.random.fork_rng():
        _ = torch.manual_seed(0)
        return Linear(64, 48, bias=bias).requires_grad_(False)


def test_rounded_rows_use_all_of_eight_bits_and_are_right_to_half_a_step():
    x = rows()
    whole, scale = rounded(x)
    assert whole.abs().amax(1).tolist() == [127] * 9
    assert bool(((whole * scale - x).abs() <= 0.501 * scale).all())


def test_a_row_of_zeros_stays_zero():
    whole, scale = rounded(torch.zeros(1, 4))
    assert not bool((whole * scale).any())


@pytest.mark.parametrize("bias", [False, True])
def test_int8_is_near_the_layer_it_is_made_of(bias: bool):
    layer, x = linear(bias), rows()
    exact, found = layer(x), Int8Linear(layer)(x)
    assert float((found - exact).norm() / exact.norm()) < 0.02


def test_inputs_with_tails_lose_less_than_by_one_rounding():
    layer, x = linear(), rows() ** 3
    sharp = SharpLinear(64, 48).requires_grad_(False)
    _ = sharp.load_state_dict(layer.state_dict())
    exact, once, twice = layer(x), Int8Linear(layer)(x), Int8Linear(sharp)(x)
    assert float((twice - exact).norm()) < 0.7 * float((once - exact).norm())


@pytest.mark.parametrize("kind", [nn.Linear, SharpLinear])
def test_a_row_is_the_same_alone_and_among_others(kind: type[nn.Linear]):
    with torch.random.fork_rng():
        layer, x = Int8Linear(kind(64, 48).requires_grad_(False)), rows()
    assert torch.equal(layer(x)[3:4], layer(x[3:4]))


@pytest.mark.parametrize("bias", [False, True])
def test_a_part_of_the_outputs_is_that_part(bias: bool):
    layer, x = linear(bias), rows()
    assert torch.allclose(layer(x, slice(16, 32)), layer(x)[:, 16:32], atol=1e-6)


def test_an_unknown_precision_is_refused():
    with pytest.raises(ConfigError, match="must be one of fp32, bf16, int8, got 'int4'"):
        _ = lowered(nn.Linear(2, 2), "int4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "wide"
    save(made, WIDE, tiny.model(WIDE))
    return made


@pytest.mark.parametrize(("precision", "nearness"), [("bf16", 0.02), ("int8", 0.05)])
def test_a_model_in_fewer_bits_is_near_itself_and_the_same_from_file_and_memory(
    folder: Path, precision: str, nearness: float
):
    exact, stored, held = load_model(folder), load_model(folder, precision), tiny.model(WIDE)
    held.lower(precision)
    codes, mask = question()
    wanted, found = exact(codes, mask), stored(codes, mask)
    assert not any(part.is_meta for part in stored.state_dict().values())
    assert found.dtype == torch.float32
    assert torch.equal(found, held(codes, mask))
    assert 0 < float((found - wanted).norm() / wanted.norm()) < nearness
    assert torch.allclose(
        stored.hidden_logits(codes, mask, stored.bias(11)), found[mask], atol=0.1 if precision == "bf16" else 1e-5
    )


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_what_lies_under_the_mask_does_not_matter_in_fewer_bits(folder: Path, precision: str):
    model: MaskedModel = load_model(folder, precision)
    codes, mask = question()
    assert torch.equal(model(codes, mask), model(torch.where(mask, (codes + 11) % 32, codes), mask))


def test_int8_weights_take_a_quarter_of_the_bytes(folder: Path):
    def size(model: MaskedModel) -> int:
        return sum(value.nbytes for key, value in model.state_dict().items() if "attention.query.weight" in key)

    assert 4 * size(load_model(folder, "int8")) == size(load_model(folder))


def question() -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(5)
    codes = torch.randint(32, (2, 4, 11), generator=chance)
    return codes, torch.rand(2, 4, 11, generator=chance) < 0.6
