"""The masked model: hidden cells are hidden, items are apart, circles are round."""

import pytest
import torch

from ostinato.errors import ConfigError
from ostinato.lm import LMConfig, MaskedModel
from ostinato.nn.attend import buckets, distances
from tests import tiny


@pytest.fixture(scope="module", params=[tiny.COARSE, tiny.FINE], ids=["coarse", "fine"])
def model(request: pytest.FixtureRequest) -> MaskedModel:
    return tiny.model(request.param)


def grid(model: MaskedModel, batch: int = 2, frames: int = 14) -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(5)
    shape = (batch, model.config.codebooks, frames)
    mask = torch.rand(shape, generator=chance) < 0.5
    mask[:, : model.config.given] = False
    return torch.randint(32, shape, generator=chance), mask


def test_logits_are_for_the_predicted_codebooks(model: MaskedModel):
    logits = model(*grid(model))
    assert logits.shape == (2, model.config.predicted, 14, 32)


@pytest.mark.parametrize("circular", [False, True])
def test_logits_of_hidden_cells_alone_are_the_same(model: MaskedModel, circular: bool):
    codes, mask = grid(model)
    hidden = mask[:, model.config.given :]
    hidden[:, 0] = False
    found = model.hidden_logits(codes, mask, model.bias(14, circular=circular))
    assert torch.allclose(found, model(codes, mask, circular=circular)[hidden], atol=1e-5)


def test_what_lies_under_the_mask_does_not_matter(model: MaskedModel):
    codes, mask = grid(model)
    other = torch.where(mask, (codes + 11) % 32, codes)
    assert torch.equal(model(codes, mask), model(other, mask))


def test_what_is_visible_does_matter(model: MaskedModel):
    codes, mask = grid(model)
    other = torch.where(mask, codes, (codes + 11) % 32)
    assert not torch.allclose(model(codes, mask), model(other, mask))


def test_being_hidden_is_not_the_same_as_any_token(model: MaskedModel):
    codes, mask = grid(model)
    assert not torch.allclose(model(codes, mask), model(codes, torch.zeros_like(mask)))


def test_an_item_is_the_same_alone_and_in_a_batch(model: MaskedModel):
    codes, mask = grid(model, batch=3)
    assert torch.allclose(model(codes, mask)[1:2], model(codes[1:2], mask[1:2]), atol=1e-5)


def test_a_circle_has_no_first_frame(model: MaskedModel):
    codes, mask = grid(model)
    turned = model(codes.roll(5, -1), mask.roll(5, -1), circular=True)
    assert torch.allclose(turned, model(codes, mask, circular=True).roll(5, 2), atol=1e-4)


def test_a_line_has_a_first_frame(model: MaskedModel):
    codes, mask = grid(model)
    turned = model(codes.roll(5, -1), mask.roll(5, -1))
    assert not torch.allclose(turned, model(codes, mask).roll(5, 2), atol=1e-2)


def test_distances_go_from_query_to_key_and_the_shorter_way_round_a_circle():
    assert distances(4)[1].tolist() == [-1, 0, 1, 2]
    assert distances(6, circular=True)[0].tolist() == [0, 1, 2, -3, -2, -1]


def test_buckets_tell_near_frames_apart_and_far_ones_not():
    near = buckets(torch.arange(-7, 8), 32, 128)
    assert len(near.unique()) == 15
    assert buckets(torch.tensor([128]), 32, 128).equal(buckets(torch.tensor([5000]), 32, 128))
    assert not buckets(torch.tensor([50]), 32, 128).equal(buckets(torch.tensor([-50]), 32, 128))


def test_buckets_are_those_of_t5():
    ahead = torch.tensor([-200, -128, -91, -64, -16, -8, -1, 0, 1, 8, 16, 64, 91, 127])
    assert buckets(ahead, 32, 128).tolist() == [15, 15, 15, 14, 10, 8, 1, 0, 17, 24, 26, 30, 31, 31]


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"heads must divide width \(320\), got 7"):
        LMConfig(heads=7)
    with pytest.raises(ConfigError, match=r"given must be below codebooks \(4\), got 4"):
        LMConfig(given=4)
