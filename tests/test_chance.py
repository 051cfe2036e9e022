"""Noise: that it depends on what it should, on nothing else, and is as even as chance."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.chance import Noise, derive, shuffled
from ostinato.errors import ConfigError

EULER = 0.5772156649
GOLDEN_NOISE = [2.74493, 1.29261, 0.841067, 2.332036, 1.687568, 0.776259]
GOLDEN_SEED = 3671048590361019180
GOLDEN_ORDER = [4, 2, 5, 0, 7, 1, 6, 3]


def evenly(noise: torch.Tensor) -> torch.Tensor:
    """Gumbel values as values between 0 and 1, in double precision."""
    return (-(-noise.double()).exp()).exp()


def test_a_row_is_the_same_alone_and_in_a_batch():
    together = Noise([7, 2**64 - 1, 9]).guess(3, 2, 5, 11)
    alone = Noise([2**64 - 1]).guess(3, 2, 5, 11)
    assert torch.equal(together[1:2], alone)
    assert torch.equal(Noise([7, 8]).choice(3, 2, 5)[1:], Noise([8]).choice(3, 2, 5))


def test_noise_for_hidden_cells_is_the_noise_of_the_grid_there(grid_of):
    _, mask = grid_of(batch=3, frames=200)
    noise = Noise([1, 2, 3])
    assert torch.equal(noise.guess_at(4, mask, 1000), noise.guess(4, 3, 200, 1000)[mask])
    assert noise.guess_at(4, torch.zeros_like(mask), 9).shape == (0, 9)


@given(st.integers(0, 2**64 - 1), st.integers(-1000, 1000), st.integers(0, 9))
@settings(max_examples=20)
def test_a_window_has_the_noise_of_its_place(seed: int, first_frame: int, first_codebook: int):
    whole = Noise([seed], first_frame=first_frame - 3, first_codebook=first_codebook)
    part = Noise([seed], first_frame=first_frame, first_codebook=first_codebook + 1)
    assert torch.equal(whole.guess(0, 3, 9, 5)[:, 1:, 3:], part.guess(0, 2, 6, 5))
    assert torch.equal(whole.choice(0, 3, 9)[:, 1:, 3:], part.choice(0, 2, 6))


def test_rows_may_be_windows_that_begin_at_frames_of_their_own():
    together = Noise([5, 5, 6], first_frame=[0, 4, -2], period=9)
    for row, (seed, first) in enumerate([(5, 0), (5, 4), (6, -2)]):
        alone = Noise([seed], first_frame=first, period=9)
        assert torch.equal(together.guess(0, 2, 6, 5)[row], alone.guess(0, 2, 6, 5)[0])
        assert torch.equal(together.choice(0, 2, 6)[row], alone.choice(0, 2, 6)[0])
        assert torch.equal(together.frames(6)[row], alone.frames(6)[0])
    with pytest.raises(ConfigError, match=r"a first frame for each of 1 rows, got \[1, 2\]"):
        _ = Noise([5], first_frame=[1, 2])


@pytest.mark.parametrize("turn", [-13, -1, 0, 4, 10, 27])
def test_circular_noise_turns_with_the_clip(turn: int):
    straight = Noise([5], period=10).guess(1, 2, 10, 4)
    assert torch.equal(Noise([5], period=10, first_frame=-turn).guess(1, 2, 10, 4), straight.roll(turn, 2))
    assert torch.equal(Noise([5], period=10).guess(1, 2, 25, 4)[:, :, 10:20], straight)
    assert torch.equal(Noise([5]).guess(1, 2, 10, 4), straight)


def test_everything_that_should_matter_does():
    base = Noise([5]).guess(1, 2, 8, 16)
    others = [
        Noise([6]).guess(1, 2, 8, 16),
        Noise([5 + 2**32]).guess(1, 2, 8, 16),
        Noise([5]).guess(2, 2, 8, 16),
        Noise([5], first_frame=1).guess(1, 2, 8, 16),
        Noise([5], first_codebook=1).guess(1, 2, 8, 16),
        Noise([5]).choice(1, 2, 8)[..., None].expand_as(base),
    ]
    for other in others:
        assert int((base == other).sum()) < 3
    assert len(base.flatten().unique()) == base.numel()


def test_noise_is_gumbel_noise():
    noise = Noise([11]).guess(0, 4, 500, 500)
    n = noise.numel()
    assert abs(noise.double().mean() - EULER) < 5 * math.sqrt(math.pi**2 / 6 / n)
    assert abs(noise.double().var() - math.pi**2 / 6) < 0.02
    counts = torch.histc(evenly(noise), bins=1000, min=0, max=1)
    chi_squared = float(((counts - n / 1000) ** 2 / (n / 1000)).sum())
    assert abs(chi_squared - 999) < 5 * math.sqrt(2 * 999)


def test_the_noise_for_choosing_is_gumbel_noise_too():
    noise = Noise(range(100)).choice(0, 10, 1000)
    assert abs(noise.double().mean() - EULER) < 5 * math.sqrt(math.pi**2 / 6 / noise.numel())
    counts = torch.histc(evenly(noise), bins=100, min=0, max=1)
    chi_squared = float(((counts - 10_000) ** 2 / 10_000).sum())
    assert abs(chi_squared - 99) < 5 * math.sqrt(2 * 99)


@pytest.mark.parametrize("axis", ["seed", "step", "codebook", "frame", "token", "purpose"])
def test_neighbours_know_nothing_of_each_other(axis: str):
    seeds = Noise(range(20))
    base = evenly(seeds.guess(0, 5, 50, 40))
    pairs = {
        "seed": (base[1:], base[:-1]),
        "step": (base, evenly(seeds.guess(1, 5, 50, 40))),
        "codebook": (base[:, 1:], base[:, :-1]),
        "frame": (base[:, :, 1:], base[:, :, :-1]),
        "token": (base[..., 1:], base[..., :-1]),
        "purpose": (base[..., 0], evenly(seeds.choice(0, 5, 50))),
    }
    one, other = (side.flatten() for side in pairs[axis])
    n = one.numel()
    assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1]) < 5 / math.sqrt(n)
    cells = torch.histc((one * 16).floor() * 16 + (other * 16).floor(), bins=256, min=0, max=256)
    chi_squared = float(((cells - n / 256) ** 2 / (n / 256)).sum())
    assert abs(chi_squared - 255) < 5 * math.sqrt(2 * 255)


def test_no_two_cells_have_the_same_tokens_in_another_order():
    noise = evenly(Noise([3]).guess(0, 2, 40, 256)).flatten(0, 2)
    likeness = torch.corrcoef(noise) - torch.eye(len(noise))
    assert likeness.abs().max() < 6 / math.sqrt(256)
    in_order = torch.corrcoef(noise.T) - torch.eye(256)
    assert in_order.abs().max() < 6 / math.sqrt(len(noise))


def test_the_loudest_token_of_all_is_as_likely_as_its_softmax():
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0, -4.0])
    winners = (logits + Noise(range(40)).guess(0, 4, 500, 5)).argmax(-1).flatten()
    counts, likely = torch.bincount(winners, minlength=5), logits.softmax(-1)
    assert ((counts / len(winners) - likely).abs() < 5 * (likely * (1 - likely) / len(winners)).sqrt()).all()


def test_noise_is_finite_so_that_none_of_it_is_nothing():
    noise = Noise([0]).guess(0, 4, 600, 1024)
    assert noise.min() > -2.9
    assert 10 < noise.max() < 16.7


def test_the_rarest_noise_is_finite_too():
    """Two cells, found by a search, whose bits are all zeros and all ones: the ends of the range."""
    least = Noise([7], first_frame=430184).choice(0, 1, 1).item()
    most = Noise([0], first_frame=445612).choice(0, 1, 1).item()
    assert least == pytest.approx(-math.log(24 * math.log(2)), abs=1e-5)
    assert most == pytest.approx(24 * math.log(2), abs=1e-5)


def test_noise_never_changes_from_version_to_version():
    noise = Noise([1]).guess(2, 1, 2, 3).flatten().tolist()
    assert noise == pytest.approx(GOLDEN_NOISE, abs=1e-5)
    assert derive(1, 2, 3) == GOLDEN_SEED
    assert shuffled(8, 1).tolist() == GOLDEN_ORDER


def test_a_derived_seed_depends_on_the_whole_path():
    seeds = {derive(seed, a, b) for seed in range(10) for a in range(10) for b in range(-5, 5)}
    seeds |= {derive(seed, a) for seed in range(10) for a in range(10)} | {derive(seed) for seed in range(10)}
    assert len(seeds) == 1110
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive(3, 1, 2) != derive(3, 2, 1)
    assert derive(2**64 - 1, -1) != derive(0, 0) != 0


@given(st.integers(0, 100), st.integers(0, 2**64 - 1))
def test_shuffled_gives_every_number_once(count: int, seed: int):
    assert sorted(shuffled(count, seed).tolist()) == list(range(count))


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int):
    for ask in (lambda: Noise([1, seed]), lambda: derive(seed, 1), lambda: shuffled(3, seed)):
        with pytest.raises(ConfigError, match=f"a seed must be a whole number between 0 and .*, got {seed}"):
            _ = ask()


def test_noise_for_other_rows_than_there_are_is_refused(grid_of):
    _, mask = grid_of(batch=3)
    with pytest.raises(ConfigError, match="noise needs one seed for each of 3 rows, got 2 seeds"):
        _ = Noise([1, 2]).guess_at(0, mask, 5)


def test_a_circle_has_a_length():
    with pytest.raises(ConfigError, match="the period of noise must be at least 1 frame, got 0"):
        _ = Noise([1], period=0)


def test_noise_leaves_the_global_chance_alone():
    state = torch.random.get_rng_state()
    _ = Noise([1]).guess(0, 1, 2, 3), Noise([1]).choice(0, 1, 2), derive(1, 2), shuffled(5, 1)
    assert torch.equal(state, torch.random.get_rng_state())
