"""Noise: that it depends on what it should, on nothing else, and is as even as chance."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.chance import Noise, derive, shuffled
from ostinato.errors import ConfigError

EULER = 0.5772156649
GOLDEN_GUESS = [0.30561, 0.478964, 0.272092, 0.966102, 0.465162, 0.961603]
GOLDEN_CHOICE = [-0.216394, -0.352455, 1.043248, 0.357658, 0.129581, -1.42049]
GOLDEN_SEED = 3671048590361019180
GOLDEN_ORDER = [4, 2, 5, 0, 7, 1, 6, 3]


def guesses(noise: Noise, step: int, codebooks: int, frames: int) -> torch.Tensor:
    """Noise for guesses in every cell of a grid."""
    everywhere = torch.ones(len(noise.seeds), codebooks, frames, dtype=torch.bool)
    return noise.guess(step, everywhere).view(everywhere.shape)


def evenly(noise: torch.Tensor) -> torch.Tensor:
    """Gumbel values as values between 0 and 1, in double precision."""
    return (-(-noise.double()).exp()).exp()


def chi_squared(values: torch.Tensor, bins: int) -> float:
    """How unevenly values between 0 and 1 fall into bins, in standard deviations."""
    expected = values.numel() / bins
    found = ((torch.histc(values, bins=bins, min=0, max=1) - expected) ** 2 / expected).sum()
    return abs(float(found) - (bins - 1)) / math.sqrt(2 * (bins - 1))


def test_a_row_is_the_same_alone_and_in_a_batch():
    together = guesses(Noise([7, 2**64 - 1, 9]), 3, 2, 5)
    assert torch.equal(together[1:2], guesses(Noise([2**64 - 1]), 3, 2, 5))
    assert torch.equal(Noise([7, 8]).choice(3, 2, 5)[1:], Noise([8]).choice(3, 2, 5))


def test_noise_for_hidden_cells_is_the_noise_of_the_grid_there(grid_of):
    _, mask = grid_of(batch=3, frames=200)
    noise = Noise([1, 2, 3])
    assert torch.equal(noise.guess(4, mask), guesses(noise, 4, 3, 200)[mask])
    assert noise.guess(4, torch.zeros_like(mask)).shape == (0,)


@given(st.integers(0, 2**64 - 1), st.integers(-1000, 1000), st.integers(0, 9))
@settings(max_examples=20)
def test_a_window_has_the_noise_of_its_place(seed: int, first_frame: int, first_codebook: int):
    whole = Noise([seed], first_frame=first_frame - 3, first_codebook=first_codebook)
    part = Noise([seed], first_frame=first_frame, first_codebook=first_codebook + 1)
    assert torch.equal(guesses(whole, 0, 3, 9)[:, 1:, 3:], guesses(part, 0, 2, 6))
    assert torch.equal(whole.choice(0, 3, 9)[:, 1:, 3:], part.choice(0, 2, 6))


def test_rows_may_be_windows_that_begin_at_frames_of_their_own():
    together = Noise([5, 5, 6], first_frame=[0, 4, -2], period=9)
    for row, (seed, first) in enumerate([(5, 0), (5, 4), (6, -2)]):
        alone = Noise([seed], first_frame=first, period=9)
        assert torch.equal(guesses(together, 0, 2, 6)[row], guesses(alone, 0, 2, 6)[0])
        assert torch.equal(together.choice(0, 2, 6)[row], alone.choice(0, 2, 6)[0])
        assert torch.equal(together.frames(6)[row], alone.frames(6)[0])
    with pytest.raises(ConfigError, match=r"a first frame for each of 1 rows, got \[1, 2\]"):
        _ = Noise([5], first_frame=[1, 2])


@pytest.mark.parametrize("turn", [-13, -1, 0, 4, 10, 27])
def test_circular_noise_turns_with_the_clip(turn: int):
    straight = guesses(Noise([5], period=10), 1, 2, 10)
    assert torch.equal(guesses(Noise([5], period=10, first_frame=-turn), 1, 2, 10), straight.roll(turn, 2))
    assert torch.equal(guesses(Noise([5], period=10), 1, 2, 25)[:, :, 10:20], straight)
    assert torch.equal(guesses(Noise([5]), 1, 2, 10), straight)


def test_everything_that_should_matter_does():
    base = guesses(Noise([5]), 1, 2, 64)
    others = [
        guesses(Noise([6]), 1, 2, 64),
        guesses(Noise([5 + 2**32]), 1, 2, 64),
        guesses(Noise([5]), 2, 2, 64),
        guesses(Noise([5], first_frame=1), 1, 2, 64),
        guesses(Noise([5], first_codebook=1), 1, 2, 64),
        evenly(Noise([5]).choice(1, 2, 64)).float(),
    ]
    for other in others:
        assert int((base == other).sum()) < 3
    assert len(base.flatten().unique()) == base.numel()


def test_the_noise_for_guesses_is_even():
    noise = guesses(Noise(range(100)), 0, 10, 1000)
    assert abs(noise.double().mean() - 0.5) < 5 / math.sqrt(12 * noise.numel())
    assert chi_squared(noise, 1000) < 5
    assert 0 < noise.min() < noise.max() < 1


def test_the_noise_for_choosing_is_gumbel_noise():
    noise = Noise(range(100)).choice(0, 10, 1000)
    assert abs(noise.double().mean() - EULER) < 5 * math.sqrt(math.pi**2 / 6 / noise.numel())
    assert abs(noise.double().var() - math.pi**2 / 6) < 0.02
    assert chi_squared(evenly(noise), 1000) < 5


@pytest.mark.parametrize("axis", ["seed", "step", "codebook", "frame", "purpose"])
def test_neighbours_know_nothing_of_each_other(axis: str):
    seeds = Noise(range(20))
    base = guesses(seeds, 0, 20, 500).double()
    pairs = {
        "seed": (base[1:], base[:-1]),
        "step": (base, guesses(seeds, 1, 20, 500).double()),
        "codebook": (base[:, 1:], base[:, :-1]),
        "frame": (base[:, :, 1:], base[:, :, :-1]),
        "purpose": (base, evenly(seeds.choice(0, 20, 500))),
    }
    one, other = (side.flatten() for side in pairs[axis])
    assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1]) < 5 / math.sqrt(one.numel())
    assert chi_squared(((one * 16).floor() * 16 + (other * 16).floor() + 0.5) / 256, 256) < 5


def test_the_rarest_noise_is_finite_too():
    """Two cells, found by a search, whose bits are all zeros and all ones: the ends of the range."""
    least = Noise([7], first_frame=207515).choice(0, 1, 1).item()
    most = Noise([0], first_frame=3817830).choice(0, 1, 1).item()
    assert least == pytest.approx(-math.log(24 * math.log(2)), abs=1e-5)
    assert most == pytest.approx(24 * math.log(2), abs=1e-5)


def test_noise_never_changes_from_version_to_version():
    assert guesses(Noise([1]), 2, 2, 3).flatten().tolist() == pytest.approx(GOLDEN_GUESS, abs=1e-5)
    assert Noise([1]).choice(2, 2, 3).flatten().tolist() == pytest.approx(GOLDEN_CHOICE, abs=1e-5)
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
        _ = Noise([1, 2]).guess(0, mask)


def test_a_circle_has_a_length():
    with pytest.raises(ConfigError, match="the period of noise must be at least 1 frame, got 0"):
        _ = Noise([1], period=0)


def test_noise_leaves_the_global_chance_alone():
    state = torch.random.get_rng_state()
    _ = guesses(Noise([1]), 0, 1, 2), Noise([1]).choice(0, 1, 2), derive(1, 2), shuffled(5, 1)
    assert torch.equal(state, torch.random.get_rng_state())
