"""What each sampler promises beyond the laws: which cells go first, how steps are shared out, what is taken back."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ostinato.masks import drawing
from ostinato.sampling import Confidence, Halton, Levels, Noise, One, Remask, Sampler, ranks, samplers
from ostinato.sampling.halton import halton_number
from ostinato.sampling.passes import Canvas
from ostinato.types import Mask, Predict

GridOf = Callable[..., tuple[Tensor, Tensor]]


def hidden_after(sampler: Sampler, predict: Predict, codes: Tensor, mask: Tensor, noise: Noise) -> list[Mask]:
    """The mask after each pass."""
    seen: list[Mask] = []
    _ = sampler(predict, codes, mask, noise, lambda step, now, hidden: seen.append(hidden))
    return seen


def blank(codebooks: int, frames: int, batch: int = 1) -> tuple[Tensor, Tensor]:
    shape = (batch, codebooks, frames)
    return torch.zeros(shape, dtype=torch.long), torch.ones(shape, dtype=torch.bool)


def shrug(codes: Tensor, mask: Tensor) -> Tensor:
    """A model that finds every token as likely as any other."""
    return torch.zeros(int(mask.sum()), 2)


# Ranks


@given(st.integers(0, 999))
@settings(max_examples=20)
def test_cells_are_ranked_by_the_first_key_then_the_next_then_their_place(seed: int):
    chance = torch.Generator().manual_seed(seed)
    first, second = torch.randint(3, (2, 2, 2, 5), generator=chance)
    for item, found in enumerate(ranks(first, second).flatten(1)):
        keys = list(zip(first[item].flatten().tolist(), second[item].flatten().tolist(), range(10), strict=True))
        assert found.tolist() == [sorted(keys).index(key) for key in keys]


# Halton


def halton_point(number: int, base: int) -> float:
    """A coordinate of the Halton sequence, from its definition."""
    value, share = 0.0, 1.0
    while number:
        share /= base
        value += share * (number % base)
        number //= base
    return value


def test_the_number_of_a_cell_is_that_of_a_halton_point_in_it():
    for codebook, frame in [(0, 0), (1, 0), (2, 3), (0, 2**31), (5, 123456789), (8, 2**32 - 1)]:
        number = int(halton_number(torch.tensor(codebook), torch.tensor(frame), 9))
        assert math.floor(halton_point(number, 2) * 2**32) == frame
        assert math.floor(halton_point(number, 3) * 9 + 1e-9) == codebook
        assert number < 9 * 2**32


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("codebooks", [1, 4])
def test_what_halton_keeps_is_spread_evenly_over_time_and_codebooks(seed: int, codebooks: int):
    codes, mask = blank(codebooks, 128)
    for hidden in hidden_after(Halton(steps=12), shrug, codes, mask, Noise([seed]))[:-1]:
        kept = ~hidden[0]
        count = int(kept.sum())
        times = kept.any(0).nonzero().flatten().tolist()
        gaps = [after - before for before, after in itertools.pairwise([-1, *times, 128])]
        assert max(gaps) <= 4 * 128 / min(count, 128) + 1
        shares = kept.sum(1) / count
        assert bool(((shares - 1 / codebooks).abs() <= 2 / count).all())


def test_the_order_of_halton_is_the_same_whatever_the_model_says(grid_of: GridOf, listener: Callable[..., Predict]):
    codes, mask = grid_of(batch=2)
    quiet = hidden_after(Halton(steps=5), shrug, codes, mask, Noise([1, 2]))
    heard = hidden_after(Halton(steps=5), listener(), codes, mask, Noise([1, 2]))
    assert all(torch.equal(a, b) for a, b in zip(quiet, heard, strict=True))
    other = hidden_after(Halton(steps=5), shrug, codes, mask, Noise([3, 2]))
    assert not torch.equal(other[0][0], quiet[0][0])
    assert torch.equal(other[0][1], quiet[0][1])


def turns(sampler: Halton | One, codebooks: int, frames: int, noise: Noise) -> Tensor:
    """The order in which the cells of a blank grid go, one number a cell."""
    _, mask = blank(codebooks, frames)
    return sampler.trust(0, torch.zeros(codebooks * frames), mask, noise).view(codebooks, frames)


@pytest.mark.parametrize("sampler", [Halton(), Halton(tilt=0.3), One()])
def test_a_window_has_the_order_of_the_whole(sampler: Halton | One):
    whole = turns(sampler, 3, 60, Noise([5]))[:, 20:45]
    part = turns(sampler, 3, 25, Noise([5], first_frame=20))
    if sampler == Halton(tilt=0.3):
        whole, part = whole[1], part[1]
    assert torch.equal(whole.flatten().argsort(), part.flatten().argsort())


def test_tilt_lets_coarser_codebooks_go_first():
    def mean_turns(tilt: float) -> list[float]:
        return (-turns(Halton(tilt=tilt), 4, 64, Noise([5]))).mean(1).tolist()

    flat, leaning, steep = (mean_turns(tilt) for tilt in (0.0, 0.2, 1.0))
    assert max(flat) - min(flat) < 8
    assert leaning == sorted(leaning)
    assert leaning[3] - leaning[0] > 60
    assert steep == [31.5, 95.5, 159.5, 223.5]


# Levels


@pytest.mark.parametrize(
    ("steps", "ratio", "ends"),
    [
        (12, 0.5, [6, 10, 11, 12]),
        (24, 0.5, [13, 19, 22, 24]),
        (8, 1.0, [2, 4, 6, 8]),
        (3, 0.5, [2, 2, 3, 3]),
        (1, 0.5, [1, 1, 1, 1]),
    ],
)
def test_the_lowest_codebook_gets_most_of_the_steps(steps: int, ratio: float, ends: list[int]):
    codes, mask = blank(4, 40)
    assert Levels(steps=steps, ratio=ratio).ends(mask.sum(2)).tolist() == [ends]
    after = hidden_after(Levels(steps=steps, ratio=ratio), shrug, codes, mask, Noise([1]))
    assert len(after) == steps
    for codebook, end in enumerate(ends):
        assert [bool(hidden[0, codebook].any()) for hidden in after].count(True) == end - 1


def test_a_codebook_that_hides_nothing_gets_no_steps():
    hidden = torch.tensor([[0, 30, 0, 30], [30, 0, 0, 0], [0, 0, 0, 0]])
    assert Levels(steps=10, ratio=0.5).ends(hidden)[:, 3].tolist() == [10, 10, 0]
    assert Levels(steps=10, ratio=0.5).ends(hidden)[:, 1].tolist() == [8, 10, 0]


@pytest.mark.parametrize("sampler", [Levels(steps=9), Halton(steps=9, tilt=1.0)])
def test_no_codebook_is_begun_before_the_one_below_is_filled(
    sampler: Sampler, grid_of: GridOf, listener: Callable[..., Predict]
):
    codes, mask = grid_of(batch=2, codebooks=3, frames=30)
    before = mask
    for hidden in hidden_after(sampler, listener(), codes, mask, Noise([1, 2])):
        begun = (hidden != mask).any(2)
        unfilled = before.any(2) & hidden.any(2)
        assert not bool((begun[:, 1:] & unfilled[:, :-1]).any())
        before = hidden


# One


def test_one_goes_frame_by_frame_from_the_coarsest_codebook_up():
    codes, mask = blank(2, 3)
    mask[0, 0, 1] = False
    after = hidden_after(One(), shrug, codes, mask, Noise([1]))
    assert [drawing(hidden) for hidden in after] == [
        ["..#", "###"], ["..#", ".##"], ["..#", "..#"], ["...", "..#"], ["...", "..."],
    ]  # fmt: skip


# Remask


def test_taking_nothing_back_is_confidence(grid_of: GridOf, listener: Callable[..., Predict]):
    codes, mask = grid_of(frames=30)
    usual = Confidence(steps=7)(listener(), codes, mask, Noise([1, 2]))
    assert torch.equal(Remask(steps=7, again=0.0)(listener(), codes, mask, Noise([1, 2])), usual)


@pytest.mark.parametrize("again", [0.1, 0.4, 1.0])
def test_a_share_of_what_was_filled_is_hidden_again(again: float, grid_of: GridOf, listener: Callable[..., Predict]):
    codes, mask = grid_of(batch=3, frames=40)
    after = [mask, *hidden_after(Remask(steps=8, again=again), listener(), codes, mask, Noise([1, 2, 3]))]
    for before, now in itertools.pairwise(after):
        back = (now & ~before).flatten(1).sum(1)
        filled = (mask & ~before).flatten(1).sum(1)
        left = now.flatten(1).sum(1)
        assert torch.equal(back, (again * filled.double()).floor().long().minimum(left))


def test_what_goes_back_is_drawn_with_weight_by_doubt():
    codes, first = blank(2, 1000, batch=4)
    mask = first & (torch.arange(1000) >= 900)
    likely = torch.tensor([0.99, 0.01]).log()[:, None].expand(4, 2, 1000)
    left, logits = torch.full((4,), 150), torch.zeros(int(mask.sum()), 2)
    canvas = Remask(steps=9, again=0.05).step(3, logits, Canvas(codes, mask, first, likely), left, Noise(range(4)))
    sure, unsure = (canvas.mask & ~mask).sum((0, 2)).tolist()
    assert sure + unsure == 4 * 0.05 * 1800
    assert sure / unsure == pytest.approx(math.exp(0.01 - 0.99), rel=0.3)


def test_a_token_that_goes_back_may_change(grid_of: GridOf, listener: Callable[..., Predict]):
    codes, mask = grid_of(batch=1, frames=60)
    seen: list[tuple[Tensor, Tensor]] = []
    _ = Remask(steps=10, again=0.3)(
        listener(), codes, mask, Noise([4]), lambda step, now, hidden: seen.append((now, hidden))
    )
    then, hidden = seen[4]
    assert bool((then != seen[-1][0])[~hidden].any())


def test_every_sampler_takes_as_many_passes_as_it_says():
    codes, mask = blank(2, 3)
    for name in samplers:
        sampler = samplers[name]()
        assert len(hidden_after(sampler, shrug, codes, mask, Noise([1]))) == sampler.passes(mask) == 6
