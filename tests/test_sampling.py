"""One guess, filters, the schedule, one reveal, and parallel decoding."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from ostinato.config import unparse
from ostinato.errors import ConfigError
from ostinato.masks import drawing
from ostinato.sampling import Confidence, Noise, Sampler, cosine_left, derive, drawn, reveal, samplers, top_p, typical
from ostinato.sampling.passes import ROWS

FILTERS = [top_p, typical]


def kept(logits: Tensor) -> list[list[int]]:
    return [row.isfinite().nonzero()[:, 0].tolist() for row in logits]


def random_logits(cells: int, vocab: int, spread: float = 2.0, seed: int = 0) -> Tensor:
    return torch.randn(cells, vocab, generator=torch.Generator().manual_seed(seed)) * spread


def always(logits: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """A model that says the same of every cell, whatever it sees."""
    return lambda codes, mask: logits.expand(*codes.shape, -1)[mask]


# One guess


@pytest.mark.parametrize("vocab", [3, 40, 1000])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_tokens_are_drawn_as_often_as_they_are_likely(vocab: int, temperature: float):
    """By a chi-squared test over tokens that are expected at least ten times, with all the rarer ones as one."""
    logits, cells = random_logits(1, vocab, spread=3.0), 200_000
    found = drawn(logits.expand(cells, -1), temperature, Noise([5]).guess(0, torch.ones(1, 1, cells).bool()))
    expected = (logits[0].double() / temperature).softmax(-1) * cells
    counts, often = torch.bincount(found, minlength=vocab), expected >= 10
    pairs = [*zip(counts[often].tolist(), expected[often].tolist(), strict=True)]
    pairs.append((int(counts[~often].sum()), float(expected[~often].sum())))
    chi_squared = sum((count - wanted) ** 2 / max(wanted, 1.0) for count, wanted in pairs)
    assert abs(chi_squared - len(pairs)) < 5 * math.sqrt(2 * len(pairs)) + 5


@given(st.integers(0, 999), st.floats(1e-6, 1 - 1e-6))
@settings(max_examples=30)
def test_colder_and_colder_nothing_but_the_likeliest_is_drawn(seed: int, chance: float):
    logits = random_logits(5, 9, seed=seed)
    for temperature in (1e-4, 1e-20, 1e-300, 0.0):
        assert torch.equal(drawn(logits * 10, temperature, torch.full((5,), chance)), logits.argmax(-1))


@pytest.mark.parametrize("temperature", [0.0, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("noise", [2**-24, 0.5, 1 - 2**-24])
def test_what_is_ruled_out_is_not_drawn_at_the_ends_of_the_noise(temperature: float, noise: float):
    logits = torch.full((3, 1024), -torch.inf)
    logits[0, 7], logits[1, 3:1000], logits[2, 1:-1] = -50.0, 2.0, random_logits(1, 1022, 9.0)[0]
    found = drawn(logits, temperature, torch.full((3,), noise))
    assert bool(logits.gather(-1, found[:, None]).isfinite().all())


def test_cells_are_drawn_the_same_alone_and_together():
    logits, chance = random_logits(2 * ROWS + 3, 40), Noise([3]).guess(0, torch.ones(1, 1, 2 * ROWS + 3).bool())
    one_by_one = [drawn(row[None], 1.0, noise[None]) for row, noise in zip(logits, chance, strict=True)]
    assert torch.equal(drawn(logits, 1.0, chance), torch.cat(one_by_one))


# Filters


def test_top_p_keeps_the_likeliest():
    logits = torch.tensor([[0.1, 0.5, 0.15, 0.25]]).log()
    assert [kept(top_p(logits, mass)) for mass in (0, 0.4, 0.6, 0.8, 0.95, 1)] == [
        [[1]],
        [[1]],
        [[1, 3]],
        [[1, 2, 3]],
        [[0, 1, 2, 3]],
        [[0, 1, 2, 3]],
    ]


def test_typical_prefers_the_usual_surprise_to_the_likeliest_token():
    # The entropy is 1.33 nats; the surprises are 0.80 (token 0), 1.39 (token 3), 1.90 (tokens 1, 2).
    logits = torch.tensor([[0.45, 0.15, 0.15, 0.25]]).log()
    assert kept(typical(logits, 0.2)) == [[3]]
    assert kept(typical(logits, 0.6)) == [[0, 3]]
    assert kept(typical(logits, 0.9)) == [[0, 1, 2, 3]]
    assert kept(top_p(logits, 0.2)) == [[0]]


def test_typical_leaves_as_many_tokens_as_it_is_asked_to():
    logits = torch.tensor([[0.45, 0.15, 0.15, 0.25]]).log()
    assert kept(typical(logits, 0.2, 2)) == [[0, 3]]
    assert kept(typical(logits, 0.6, 2)) == [[0, 3]]
    assert kept(typical(logits, 0.2, 99)) == [[0, 1, 2, 3]]


@pytest.mark.parametrize("keep", FILTERS)
def test_a_filter_does_the_same_with_many_cells_as_with_one(keep):
    logits = random_logits(2 * ROWS + 3, 40)
    assert torch.equal(keep(logits, 0.5), torch.cat([keep(row[None], 0.5) for row in logits]))
    assert torch.equal(keep(logits.view(-1, 1, 1, 40), 0.5).flatten(0, -2), keep(logits, 0.5))
    assert keep(logits[:0], 0.5).shape == (0, 40)


def reference(name: str, logits: Tensor, mass: float) -> list[int]:
    """What a filter keeps of one cell, from its definition, token by token."""
    likely = logits.double().softmax(-1).tolist()
    entropy = -sum(p * math.log(p) for p in likely)
    rank = {"top_p": lambda p: -p, "typical": lambda p: abs(-math.log(p) - entropy)}[name]
    order = sorted(range(len(likely)), key=lambda token: rank(likely[token]))
    count = next(n for n in range(1, len(order) + 1) if sum(likely[t] for t in order[:n]) >= mass or n == len(order))
    return sorted(order[:count])


@pytest.mark.parametrize("keep", FILTERS)
@given(st.integers(0, 9999), st.integers(1, 12), st.floats(0.01, 0.99), st.floats(0.1, 5))
def test_a_filter_keeps_what_its_definition_says(keep, seed: int, vocab: int, mass: float, spread: float):
    logits = random_logits(3, vocab, spread, seed)
    assert kept(keep(logits, mass)) == [reference(keep.__name__, row, mass) for row in logits]


@pytest.mark.parametrize("keep", FILTERS)
@given(st.integers(0, 9999), st.floats(0, 1))
def test_a_filter_takes_no_more_than_it_needs_and_changes_nothing_that_stays(keep, seed: int, mass: float):
    logits = random_logits(5, 20, seed=seed)
    before = logits.clone()
    result = keep(logits, mass)
    stays = result.isfinite()
    held = (logits.softmax(-1) * stays).sum(-1)
    assert torch.equal(logits, before)
    assert torch.equal(result[stays], logits[stays])
    assert bool((result[~stays] == -torch.inf).all())
    assert bool((held >= mass - 1e-5).all())
    assert bool((stays.sum(-1) >= 1).all())


@pytest.mark.parametrize("keep", FILTERS)
def test_a_mass_of_one_changes_nothing(keep):
    logits = random_logits(4, 9, spread=30)
    assert torch.equal(keep(logits, 1.0), logits)


@pytest.mark.parametrize("keep", FILTERS)
def test_a_mass_of_nothing_leaves_one_token(keep):
    assert [len(cell) for cell in kept(keep(random_logits(50, 9), 0.0))] == [1] * 50


@pytest.mark.parametrize("keep", FILTERS)
def test_a_filter_follows_its_tokens(keep):
    logits = random_logits(6, 15)
    order = torch.randperm(15, generator=torch.Generator().manual_seed(1))
    assert torch.equal(keep(logits, 0.5)[:, order], keep(logits[:, order], 0.5))


@pytest.mark.parametrize("keep", FILTERS)
def test_tokens_that_tie_stay_together(keep):
    assert kept(keep(torch.zeros(1, 8), 0.3)) == [list(range(8))]


@pytest.mark.parametrize("keep", FILTERS)
def test_filters_work_on_what_another_filter_left(keep):
    for first in FILTERS:
        once = first(random_logits(20, 16), 0.8)
        twice = keep(once, 0.6)
        assert not twice.isnan().any()
        assert bool((twice.isfinite() <= once.isfinite()).all())
        assert bool(twice.isfinite().any(-1).all())


# The schedule


def lefts(total: int, steps: int) -> list[int]:
    return [int(cosine_left(step, steps, torch.tensor([total]))) for step in range(steps)]


def test_the_schedule_is_a_quarter_of_a_cosine():
    assert lefts(100, 6) == [96, 86, 70, 50, 25, 0]
    assert lefts(1000, 8) == [980, 923, 831, 707, 555, 382, 195, 0]


def test_each_step_reveals_at_least_one_cell():
    assert lefts(5, 8) == [4, 3, 2, 1, 0, 0, 0, 0]
    assert lefts(10, 12) == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0]
    assert lefts(0, 3) == [0, 0, 0]


@given(st.integers(0, 5000), st.integers(1, 512))
@example(2911, 3)  # single precision would round up here
@settings(max_examples=30)
def test_the_schedule_falls_to_nothing(total: int, steps: int):
    counts = [total, *lefts(total, steps)]
    assert counts[-1] == 0
    assert all(after < before or before == 0 for before, after in itertools.pairwise(counts))
    assert all(left <= total * math.cos(math.pi / 2 * step / steps) + 1e-9 for step, left in enumerate(counts))


def test_every_item_has_its_own_count():
    assert cosine_left(2, 6, torch.tensor([100, 0, 1, 1000])).tolist() == [70, 0, 0, 707]


# One reveal


def test_reveal_fills_all_and_hides_the_least_sure_again():
    codes = torch.tensor([[[1, 1, 1, 1], [1, 1, 1, 1]]])
    mask = torch.tensor([[[True, True, False, True], [False, True, True, False]]])
    guess, sure = torch.tensor([2, 3, 4, 5, 6]), torch.tensor([-0.5, -3.0, -1.0, -2.0, -9.0])
    filled, hidden = reveal(codes, mask, guess, sure, torch.tensor([3]))
    assert filled.tolist() == [[[2, 3, 1, 4], [1, 5, 6, 1]]]
    assert drawing(hidden) == [".#..", ".##."]


def test_reveal_counts_for_each_item():
    mask = torch.tensor([[[True, True, True]], [[True, False, True]], [[False, False, False]]])
    sure = torch.tensor([-1.0, -2.0, -3.0, -5.0, -4.0])
    _, hidden = reveal(torch.zeros(3, 1, 3).long(), mask, torch.arange(5), sure, torch.tensor([2, 1, 0]))
    assert [drawing(item) for item in hidden] == [[".##"], ["#.."], ["..."]]


def test_ties_do_not_miscount():
    mask = torch.ones(1, 2, 50, dtype=torch.bool)
    _, hidden = reveal(
        torch.zeros(1, 2, 50).long(), mask, torch.zeros(100).long(), torch.zeros(100), torch.tensor([37])
    )
    assert int(hidden.sum()) == 37


def test_reveal_returns_new_tensors_of_the_kind_it_got(grid_of):
    codes, mask = grid_of(batch=1)
    codes = codes.int()
    before = codes.clone(), mask.clone()
    count = int(mask.sum())
    filled, _ = reveal(codes, mask, torch.full((count,), 6), torch.zeros(count), torch.tensor([0]))
    assert filled.dtype == torch.int32
    assert torch.equal(codes, before[0])
    assert torch.equal(mask, before[1])


# Confidence decoding


def test_it_passes_through_the_model_once_a_step(grid_of, listener):
    codes, mask = grid_of(frames=40)
    seen: list[int] = []
    predict = listener()

    def counting(now: Tensor, hidden: Tensor) -> Tensor:
        seen.append(int(hidden[0].sum()))
        return predict(now, hidden)

    _ = Confidence(steps=6)(counting, codes, mask, Noise([1, 2]))
    assert seen == [int(mask[0].sum()), *lefts(int(mask[0].sum()), 6)[:-1]]


def test_more_steps_than_cells_end_early(grid_of, listener):
    codes, mask = grid_of(batch=1, codebooks=1, frames=5, share=1.1)
    steps: list[int] = []
    predict = listener(codebooks=1)
    result = Confidence(steps=100)(predict, codes, mask, Noise([1]), watch=lambda step, *_: steps.append(step))
    assert steps == [0, 1, 2, 3, 4]
    assert result.shape == codes.shape


def test_nothing_hidden_asks_nothing(grid_of):
    codes, mask = grid_of(share=0.0)

    def never(*_: Tensor) -> Tensor:
        raise AssertionError("the model was asked")

    assert torch.equal(Confidence()(never, codes, mask, Noise([1, 2])), codes)


def test_watch_sees_every_step_and_the_grid_as_it_grows(grid_of, listener):
    codes, mask = grid_of(frames=30)
    pictures: list[tuple[int, Tensor, Tensor]] = []
    result = Confidence(steps=5)(
        listener(), codes, mask, Noise([3, 4]), watch=lambda step, now, hidden: pictures.append((step, now, hidden))
    )
    assert [step for step, _, _ in pictures] == [0, 1, 2, 3, 4]
    assert torch.equal(pictures[-1][1], result)
    for (_, before, was_hidden), (_, after, is_hidden) in itertools.pairwise(pictures):
        assert torch.equal(before[~was_hidden], after[~was_hidden])
        assert bool((is_hidden <= was_hidden).all())


def test_what_watch_raises_reaches_the_caller(grid_of, listener):
    class Enough(Exception):
        pass

    calls: list[int] = []

    def watch(step: int, *_: Tensor) -> None:
        calls.append(step)
        if step == 2:
            raise Enough

    codes, mask = grid_of(frames=30)
    with pytest.raises(Enough):
        _ = Confidence(steps=9)(listener(), codes, mask, Noise([3, 4]), watch=watch)
    assert calls == [0, 1, 2]


def test_no_freedom_fills_the_surest_cells_first():
    likely = torch.tensor([0.9, 0.3, 0.8, 0.4, 0.99, 0.6])  # how sure the model is of token 1 in each frame
    logits = torch.stack([1 - likely, likely, torch.zeros(6)], dim=-1).clamp(min=1e-9).log()[None, None]
    pictures: list[str] = []
    result = Confidence(steps=3, temperature=0.0, choice=0.0)(
        lambda codes, mask: logits[mask],
        torch.zeros(1, 1, 6).long(),
        torch.ones(1, 1, 6, dtype=torch.bool),
        Noise([0]),
        watch=lambda step, codes, mask: pictures.append(drawing(mask)[0]),
    )
    assert pictures == ["####.#", ".#.#.#", "......"]
    assert result.flatten().tolist() == [1, 0, 1, 0, 1, 1]


@pytest.mark.parametrize(
    "how",
    [
        Confidence(steps=6),
        Confidence(steps=9, temperature=0.7, choice=1.5),
        Confidence(steps=4, top_p=0.7, typical=0.8, choice=3.0),
        Confidence(steps=5, temperature=0.0, choice=0.4),
        Confidence(steps=5, cutoff=0.4, choice=0.0, typical=0.3, typical_least=3),
    ],
    ids=unparse,
)
def test_decoding_is_what_its_definition_says(how: Confidence, grid_of, listener):
    codes, mask = grid_of(batch=2, frames=20, share=0.8)
    predict, noise = listener(), Noise([3, 4])
    seen: list[tuple[Tensor, Tensor]] = []
    _ = how(predict, codes, mask, noise, watch=lambda step, now, hidden: seen.append((now, hidden)))
    assert len(seen) == how.steps
    for step, ((before, was_hidden), (now, hidden)) in enumerate(itertools.pairwise([(codes, mask), *seen])):
        logits = torch.zeros(2, 3, 20, 7).masked_scatter(was_hidden[..., None], predict(before, was_hidden))
        chance = torch.zeros(2, 3, 20).masked_scatter(was_hidden, noise.guess(step, was_hidden))
        fade = (how.steps - step - 1) / how.steps
        for item in range(2):
            sure: dict[tuple[int, int], float] = {}
            for c, t in was_hidden[item].nonzero().tolist():
                cell = logits[item, c, t]
                filtered = top_p(typical(cell, how.typical, how.typical_least), how.top_p)
                warmth = how.temperature if step / how.steps <= how.cutoff else 0.0
                shares = (filtered.double() / max(warmth, 1e-9)).softmax(-1).tolist()
                token = next(n for n in range(7) if sum(shares[: n + 1]) > chance[item, c, t])
                assert now[item, c, t] == token
                sure[c, t] = float(cell.log_softmax(-1)[token])
                sure[c, t] += how.choice * fade * float(noise.choice(step, 3, 20)[item, c, t])
            left = int(cosine_left(step, how.steps, mask[item].sum()[None]))
            least = sorted(sure, key=lambda cell: sure[cell])[:left]
            assert sorted(least) == [tuple(cell) for cell in hidden[item].nonzero().tolist()]


def test_freedom_of_choice_shuffles_the_order_and_fades():
    logits = torch.zeros(1, 1, 64, 2)
    logits[..., 0] = torch.linspace(1, 6, 64)
    firsts: list[float] = []
    for choice in (0.0, 1.0, 100.0):
        seen: list[Tensor] = []
        _ = Confidence(steps=3, choice=choice)(
            lambda codes, mask: logits[mask],
            torch.zeros(1, 1, 64).long(),
            torch.ones(1, 1, 64, dtype=torch.bool),
            Noise([5]),
            watch=lambda step, codes, mask, seen=seen: seen.append(mask),
        )
        revealed = ~seen[1].flatten()
        firsts.append(float(torch.arange(64)[revealed].double().mean()))
    assert firsts[0] > firsts[1] + 2 > firsts[2] + 4
    assert abs(firsts[2] - 31.5) < 8


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_one_step_draws_from_the_softmax(temperature: float):
    logits = torch.tensor([1.5, 0.5, 0.0, -1.0])
    mask = torch.ones(4, 4, 500, dtype=torch.bool)
    result = Confidence(steps=1, temperature=temperature)(
        always(logits), torch.zeros(4, 4, 500).long(), mask, Noise(range(4))
    )
    shares = torch.bincount(result.flatten(), minlength=4) / result.numel()
    likely = (logits / temperature).softmax(-1)
    assert ((shares - likely).abs() < 5 * (likely * (1 - likely) / result.numel()).sqrt()).all()


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [({"typical": 0.2}, {3}), ({"top_p": 0.6}, {0, 3}), ({"top_p": 0.0}, {0}), ({}, {0, 1, 2, 3})],
)
def test_what_a_filter_removes_is_never_drawn(settings: dict[str, float], allowed: set[int]):
    logits = torch.tensor([0.45, 0.15, 0.15, 0.25]).log()
    mask = torch.ones(2, 3, 50, dtype=torch.bool)
    result = Confidence(steps=4, temperature=2.0, **settings)(
        always(logits), torch.ones(2, 3, 50).long(), mask, Noise([1, 2])
    )
    assert set(result.flatten().tolist()) == allowed


def test_half_precision_will_do(grid_of, listener):
    codes, mask = grid_of()
    predict = listener()
    half = Confidence(steps=3)(lambda c, m: predict(c, m).to(torch.bfloat16), codes, mask, Noise([1, 2]))
    rounded = Confidence(steps=3)(lambda c, m: predict(c, m).to(torch.bfloat16).float(), codes, mask, Noise([1, 2]))
    assert torch.equal(half, rounded)


def test_decoding_needs_no_gradients(grid_of, listener):
    codes, mask = grid_of()
    predict, wanted = listener(), []

    def watched(c: Tensor, m: Tensor) -> Tensor:
        wanted.append(torch.is_grad_enabled())
        return predict(c, m)

    _ = Confidence(steps=3)(watched, codes, mask, Noise([1, 2]))
    assert wanted == [False] * 3
    assert torch.is_grad_enabled()


def test_decoding_leaves_its_input_alone(grid_of, listener):
    codes, mask = grid_of()
    before = codes.clone(), mask.clone()
    _ = Confidence(steps=4)(listener(), codes, mask, Noise([1, 2]))
    assert torch.equal(codes, before[0])
    assert torch.equal(mask, before[1])


def test_a_window_that_is_decoded_alone_in_its_place(listener):
    """In one step nothing is heard, so a window of a grid gets what the whole grid gets there."""
    predict, codes = listener(), torch.zeros(1, 3, 40).long()
    mask = torch.ones(1, 3, 40, dtype=torch.bool)
    whole = Confidence(steps=1)(predict, codes, mask, Noise([9]))
    part = Confidence(steps=1)(predict, codes[..., 10:25], mask[..., 10:25], Noise([9], first_frame=10))
    assert torch.equal(whole[..., 10:25], part)


def test_one_seed_for_each_item_is_asked_for(grid_of, listener):
    codes, mask = grid_of(batch=2)
    with pytest.raises(ConfigError, match="noise needs one seed for each of 2 rows, got 1 seeds"):
        _ = Confidence()(listener(), codes, mask, Noise([1]))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"steps": 0}, "Confidence.steps must be between 1 and 512, got 0"),
        ({"temperature": -0.1}, "Confidence.temperature must be between 0 and 10, got -0.1"),
        ({"top_p": 1.1}, "Confidence.top_p must be between 0 and 1, got 1.1"),
        ({"typical": math.nan}, "Confidence.typical must be between 0 and 1, got nan"),
        ({"choice": -1}, "Confidence.choice must be between 0 and 100, got -1.0"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, float], message: str):
    with pytest.raises(ConfigError) as refusal:
        _ = Confidence(**setting)
    assert str(refusal.value) == message


@given(st.integers(0, 99), st.integers(1, 9), st.integers(1, 20), st.floats(0, 1))
@settings(max_examples=25)
def test_whatever_is_hidden_is_filled_with_tokens(seed: int, steps: int, frames: int, share: float):
    chance = torch.Generator().manual_seed(seed)
    codes = torch.randint(5, (2, 2, frames), generator=chance)
    mask = torch.rand(2, 2, frames, generator=chance) < share
    marked = codes.masked_fill(mask, 99)
    logits = torch.randn(2, 2, frames, 5, generator=chance)
    result = Confidence(steps=steps)(always(logits), marked, mask, Noise([seed, derive(seed, 1)]))
    assert bool(((result >= 0) & (result < 5)).all())
    assert torch.equal(result[~mask], codes[~mask])


def test_samplers_are_registered():
    assert list(samplers) == ["confidence", "halton", "levels", "mean", "one", "remask"]
    assert samplers["confidence"] is Confidence
    assert all(isinstance(samplers[name](), Sampler) for name in samplers)
