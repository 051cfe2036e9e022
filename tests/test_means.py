"""Means: what is hidden sounds as what the coarse model expects, and what is kept as it is."""

import pytest
import torch
from torch import Tensor

from ostinato.means import CONTEXT, CORE, TEMPERATURE, means
from ostinato.types import Codes, Mask
from tests import tiny

COARSE, CODEC = tiny.model(), tiny.codec()
VECTORS = CODEC.vectors()


def grid_of(frames: int, seed: int = 0) -> tuple[Codes, Mask]:
    """Codes, half of them hidden."""
    chance = torch.Generator().manual_seed(seed)
    shape = (2, tiny.GRID.codebooks, frames)
    return torch.randint(tiny.GRID.vocabulary, shape, generator=chance), torch.rand(shape, generator=chance) < 0.5


def blended(codes: Codes, mask: Mask, pieces: int = 1) -> Tensor:
    parts = zip(codes.chunk(pieces, -1), mask.chunk(pieces, -1), strict=True)
    return torch.cat(list(means(COARSE, VECTORS, parts)), -1)


def test_kept_cells_have_the_vectors_of_their_tokens():
    codes, mask = grid_of(30)
    found = blended(codes, mask)
    wanted = VECTORS[torch.arange(len(VECTORS))[:, None], codes].transpose(2, 3)
    told = ~mask[:, :, None].expand(-1, -1, 8, -1)
    assert torch.equal(found[:, :, :-1][told], wanted[told])
    assert (found[:, :, -1][~mask] == 1).all()


def test_hidden_cells_have_the_mean_by_likelihood_or_say_nothing():
    codes, mask = grid_of(30)
    found, known = blended(codes, mask), COARSE.config.codebooks
    likely = (COARSE(codes[:, :known], mask[:, :known]) / TEMPERATURE).softmax(-1)
    wanted = torch.einsum("rkfv,kvd->rkdf", likely, VECTORS[:known])
    hidden = mask[:, :known, None].expand(-1, -1, 8, -1)
    assert torch.allclose(found[:, :known, :-1][hidden], wanted[hidden], atol=1e-5)
    assert (found[:, known:, -1] == (~mask[:, known:]).float()).all()


def test_what_lies_under_the_mask_does_not_matter():
    codes, mask = grid_of(30)
    known = COARSE.config.codebooks
    other = blended(torch.where(mask, (codes + 1) % tiny.GRID.vocabulary, codes), mask)
    assert torch.equal(other[:, :known], blended(codes, mask)[:, :known])


@pytest.mark.parametrize("pieces", [1, 3, 16])
def test_the_cut_does_not_matter(pieces: int):
    codes, mask = grid_of(2 * CORE + CONTEXT + 5)
    assert torch.equal(blended(codes, mask, pieces), blended(codes, mask))


def test_means_of_a_grid_without_gaps_sound_as_its_codes_do():
    codes, mask = grid_of(40)
    samples = 40 * tiny.GRID.hop
    parts = means(COARSE, VECTORS, [(codes, torch.zeros_like(mask))])
    assert torch.equal(torch.cat(list(CODEC.decode_means(parts, samples)), -1), CODEC.decode(codes, samples))


def test_codebooks_that_say_nothing_are_as_if_they_were_not_there():
    codes, mask = grid_of(40)
    samples, low = 40 * tiny.GRID.hop, torch.arange(tiny.GRID.codebooks)[:, None] >= 4
    parts = means(COARSE, VECTORS, [(codes, low.expand_as(mask))])
    assert torch.equal(torch.cat(list(CODEC.decode_means(parts, samples)), -1), CODEC.decode(codes[:, :4], samples))
