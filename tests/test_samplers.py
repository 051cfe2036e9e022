"""What each sampler promises beyond the laws: which cells go first, how steps are shared out, what is taken back."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ostinato.errors import ConfigError
from ostinato.masks import drawing
from ostinato.nn.quantize import ResidualQuantizer
from ostinato.sampling import Confidence, Halton, Levels, Mean, Noise, One, Remask, Sampler, ranks, samplers
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
    for name in set(samplers) - {"mean"}:
        sampler = samplers[name]()
        assert len(hidden_after(sampler, shrug, codes, mask, Noise([1]))) == sampler.passes(mask) == 6


# Mean


def quantizer() -> ResidualQuantizer:
    """Six levels that fit each other: each looks at all features, and is finer than the one before."""
    made = ResidualQuantizer(8, 6, 32, 8).requires_grad_(False)
    chance = torch.Generator().manual_seed(0)
    for number, level in enumerate(made.levels):
        turn = torch.linalg.qr(torch.randn(8, 8, generator=chance)).Q
        level.codebook.data = torch.randn(32, 8, generator=chance) * 0.7**number
        level.up.weight.data, level.down.weight.data = turn, turn.T.contiguous()
        level.up.bias.data = torch.randn(8, generator=chance)
        level.down.bias.data = -turn.T @ level.up.bias
    return made


QUANTIZER = quantizer()


@pytest.fixture
def fine(grid_of: GridOf, listener: Callable[..., Predict]) -> tuple[Predict, Tensor, Tensor]:
    """A model of the upper 4 of 6 codebooks, and two items that hide some of their cells."""
    return listener(codebooks=4, vocab=32), *grid_of(batch=2, codebooks=4, frames=14, vocab=32)


def coded(codes: Tensor, mask: Tensor, likely: Tensor) -> Tensor:
    return QUANTIZER.coded_mean(codes, mask, likely, first=2)


def upper(vectors: Tensor) -> Tensor:
    """The features that vectors of the upper 4 codebooks sum up to."""
    return sum(
        (level.up(each) for level, each in zip(QUANTIZER.levels[2:], vectors.unbind(1), strict=True)), Tensor([0])
    )


def mean_of(predict: Predict, codes: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """The features that the upper 4 codebooks sum up to on average."""
    books = torch.stack([level.codebook for level in QUANTIZER.levels[2:]])
    vectors = books[torch.arange(4)[:, None], codes]
    vectors[mask] = torch.einsum(
        "nv,nvd->nd", (predict(codes, mask) / temperature).softmax(-1), books[mask.nonzero()[:, 1]]
    )
    return upper(vectors)


def features(codes: Tensor) -> Tensor:
    return upper(torch.stack([level.codebook[codes[:, n]] for n, level in enumerate(QUANTIZER.levels[2:])], 1))


@pytest.mark.parametrize("sampler", [Mean(), Mean(draw=0.0), Mean(temperature=0.0), Mean(draw=1.0)])
def test_the_mean_fills_all_hidden_cells_in_one_pass(sampler: Mean, fine: tuple[Predict, Tensor, Tensor]):
    predict, codes, mask = fine
    seen: list[Mask] = []
    filled = sampler(predict, codes, mask, Noise([1, 2]), lambda step, now, hidden: seen.append(hidden), coded=coded)
    assert [bool(hidden.any()) for hidden in seen] == [False]
    assert torch.equal(filled[~mask], codes[~mask])
    assert not torch.equal(filled[mask], codes[mask])
    other = torch.where(mask, (codes + 5) % 32, codes)
    assert torch.equal(sampler(predict, other, mask, Noise([1, 2]), coded=coded), filled)
    assert torch.equal(sampler(predict, codes[1:], mask[1:], Noise([2]), coded=coded), filled[1:])
    asked = sampler(lambda c, m: predict(c, m) + 3, codes, mask, Noise([1, 2]), coded=coded)
    assert torch.equal(asked, filled)


@pytest.mark.parametrize("turn", [1, 5, -3])
def test_the_mean_of_a_loop_turns_with_it(fine: tuple[Predict, Tensor, Tensor], turn: int):
    predict, codes, mask = fine
    take = Mean()(predict, codes, mask, Noise([1, 2], period=14), coded=coded)
    turned = Mean()(predict, codes.roll(turn, -1), mask.roll(turn, -1), Noise([1, 2], -turn, period=14), coded=coded)
    assert torch.equal(turned, take.roll(turn, -1))


def test_another_seed_is_another_draw_and_the_mean_itself_has_no_chance(fine: tuple[Predict, Tensor, Tensor]):
    predict, codes, mask = fine
    for draw, alike in ((0.6, False), (0.0, True)):
        one, other = (Mean(draw=draw)(predict, codes, mask, Noise(seeds), coded=coded) for seeds in ([1, 2], [8, 2]))
        assert torch.equal(one[0], other[0]) == alike
        assert torch.equal(one[1], other[1])


def test_the_mean_has_nothing_to_do_where_nothing_is_hidden(fine: tuple[Predict, Tensor, Tensor]):
    _, codes, mask = fine
    nothing = torch.zeros_like(mask)
    assert Mean().passes(nothing) == 0
    assert torch.equal(Mean()(lambda *_: pytest.fail("asked"), codes, nothing, Noise([1, 2]), coded=coded), codes)


@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_the_codes_of_a_mean_are_nearer_to_it_than_the_likeliest_ones_or_any_drawn(
    fine: tuple[Predict, Tensor, Tensor], temperature: float
):
    _, codes, mask = fine
    logits = 0.3 * torch.randn(int(mask.sum()), 32, generator=torch.Generator().manual_seed(3))

    def predict(codes: Tensor, mask: Tensor) -> Tensor:
        return logits

    mean = mean_of(predict, codes, mask, temperature)

    def away(filled: Tensor) -> float:
        return float((features(filled) - mean).square().mean())

    shares = [1.0, 0.6, 0.3, 0.0]
    found = [
        away(Mean(temperature=temperature, draw=draw)(predict, codes, mask, Noise([1, 2]), coded=coded))
        for draw in shares
    ]
    assert found == sorted(found, reverse=True)
    for warmth in (0.0, temperature):
        drawn = Confidence(steps=1, temperature=warmth)(predict, codes, mask, Noise([1, 2]))
        assert found[-1] < 0.75 * away(drawn)


def test_a_lone_hidden_codebook_gets_the_code_nearest_to_its_own_mean(fine: tuple[Predict, Tensor, Tensor]):
    predict, codes, mask = fine
    mask = torch.zeros_like(mask)
    mask[:, 3] = True
    filled = Mean(temperature=1.0, draw=0.0)(predict, codes, mask, Noise([1, 2]), coded=coded)
    level = QUANTIZER.levels[5]
    mean = predict(codes, mask).softmax(-1) @ level.codebook
    assert torch.equal(filled[:, 3], level.nearest(mean.unflatten(0, (2, 14))))


def test_without_a_codec_there_is_no_mean(fine: tuple[Predict, Tensor, Tensor]):
    predict, codes, mask = fine
    with pytest.raises(ConfigError, match="the sampler 'mean' needs the codec"):
        _ = Mean()(predict, codes, mask, Noise([1, 2]))
