"""The laws that every plug-in keeps, whoever wrote it; a new hint, sampler or config is held to them by being there."""

import dataclasses
import importlib
import itertools
import json
import math
import pkgutil
import random
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import ostinato
from ostinato import metrics
from ostinato.clip import Clip
from ostinato.config import Knob, defaults, knobs, load, parse, plain, unparse
from ostinato.errors import AudioError, ConfigError, PromptError
from ostinato.hints import Hint, describe, hints, needs, parse_hint
from ostinato.masks import drawing
from ostinato.prompts import Prompt, presets
from ostinato.sampling import Mean, Noise, Sampler, samplers
from ostinato.types import Beats, Grid
from tests import tiny

Predict = Callable[[Tensor, Tensor], Tensor]
drawers = [name for name in samplers if samplers[name] is not Mean]
GRID = Grid(sample_rate=1000, hop=100, codebooks=5, vocabulary=7)
VOCABULARY = 32


def heard_clip(grid: Grid, samples: int, around: int | None = None) -> Clip:
    """A clip in which all has been heard that a hint may need, whatever its length."""
    seconds = samples / grid.sample_rate
    times = tuple(seconds * (number + 0.25) / 16 for number in range(16))
    clip = Clip(grid, samples, around, beats=Beats(times, times[1::4]), onsets=times[::3])
    return dataclasses.replace(clip, surprise=torch.arange(clip.frames) * 7 % 5.0)


CLIP = heard_clip(GRID, 2950)


def in_words(settings: Any) -> str:
    return f"{type(settings).__name__}({unparse(settings)})"


def every_sampler() -> Iterator[Sampler]:
    """Each registered sampler that draws: as it comes, and with few passes and its filters on, where it has them."""
    for name in drawers:
        usual: Any = samplers[name]()
        yield usual
        wishes = {"steps": 5, "top_p": 0.9, "typical": 0.8}
        yield dataclasses.replace(
            usual, **{knob: set_to for knob, set_to in wishes.items() if knob in knobs(type(usual))}
        )


def every_hint() -> Iterator[Hint]:
    """Each registered hint: as it comes, with each of its numbers a little larger, and with words that it knows."""
    yield from map(parse_hint, ["bars:which=2-3", "bars:which=0", "bars:beats=1+3", "bars:which=1,beats=2"])
    for name in hints:
        usual: Any = hints[name]()
        yield usual
        for knob, number in plain(usual).items():
            if isinstance(number, int | float):
                yield dataclasses.replace(
                    usual, **{knob: number + 1 if isinstance(number, int) else min(1.0, number + 0.3)}
                )


@pytest.fixture(params=list(every_sampler()), ids=in_words)
def sampler(request: pytest.FixtureRequest) -> Sampler:
    return request.param


@pytest.fixture(params=list(every_hint()), ids=in_words)
def hint(request: pytest.FixtureRequest) -> Hint:
    return request.param


@pytest.fixture(params=["listener", "network"])
def predict(request: pytest.FixtureRequest, listener: Callable[..., Predict]) -> Predict:
    """Two models of 4 codebooks and 32 tokens: one made by hand, and a tiny network."""
    if request.param == "listener":
        return listener(codebooks=4, vocab=VOCABULARY)
    network = tiny.model(tiny.COARSE)
    return lambda codes, mask: network.hidden_logits(codes, mask, network.bias(codes.shape[-1]))


@pytest.fixture
def job(grid_of: Callable[..., tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Noise]:
    """Three items that hide different numbers of cells."""
    codes, mask = grid_of(batch=3, codebooks=4, frames=14, vocab=VOCABULARY)
    mask[1, :, 4:] = False
    mask[2] = True
    return codes, mask, Noise([7, 8, 9])


def test_law_1_visible_cells_never_change(sampler: Sampler, predict: Predict, job: tuple[Tensor, Tensor, Noise]):
    codes, mask, noise = job
    seen: list[Tensor] = []
    result = sampler(predict, codes, mask, noise, watch=lambda step, now, hidden: seen.append(now))
    assert len(seen) > 1
    for now in [result, *seen]:
        assert torch.equal(now[~mask], codes[~mask])


def test_law_2_what_lies_under_the_mask_does_not_matter(
    sampler: Sampler, predict: Predict, job: tuple[Tensor, Tensor, Noise]
):
    codes, mask, noise = job
    other = torch.where(mask, (codes + 5) % VOCABULARY, codes)
    assert torch.equal(predict(codes, mask), predict(other, mask))
    assert torch.equal(sampler(predict, codes, mask, noise), sampler(predict, other, mask, noise))


def test_law_3_an_item_is_the_same_alone_and_in_a_batch(
    sampler: Sampler, listener: Callable[..., Predict], job: tuple[Tensor, Tensor, Noise]
):
    codes, mask, _ = job
    predict = listener(codebooks=4, vocab=VOCABULARY)
    together = sampler(predict, codes, mask, Noise([7, 8, 9], first_frame=[0, 5, 100]))
    for item, (seed, first) in enumerate([(7, 0), (8, 5), (9, 100)]):
        one = slice(item, item + 1)
        assert torch.equal(sampler(predict, codes[one], mask[one], Noise([seed], first)), together[one])


def test_law_4_same_seed_same_music_another_seed_other_music(
    sampler: Sampler, predict: Predict, job: tuple[Tensor, Tensor, Noise]
):
    codes, mask, noise = job
    first = sampler(predict, codes, mask, noise)
    _ = torch.rand(3)
    assert torch.equal(sampler(predict, codes, mask, Noise([7, 8, 9])), first)
    other = sampler(predict, codes, mask, Noise([17, 8, 9]))
    assert not torch.equal(other[0], first[0])


def test_law_5_each_step_hides_exactly_what_the_schedule_says(
    sampler: Any, predict: Predict, job: tuple[Tensor, Tensor, Noise]
):
    codes, mask, noise = job
    counts = [mask.flatten(1).sum(1)]
    _ = sampler(predict, codes, mask, noise, watch=lambda step, now, hidden: counts.append(hidden.flatten(1).sum(1)))
    for step, (before, count) in enumerate(itertools.pairwise(counts)):
        assert torch.equal(count, sampler.left(step, mask))
        assert bool(((count < before) | (before == 0)).all())
    assert counts[-1].tolist() == [0, 0, 0]
    assert len(counts) - 1 == sampler.passes(mask)


def test_law_5_a_sampler_that_is_told_to_hurry_fills_all_in_that_pass(
    sampler: Sampler, predict: Predict, job: tuple[Tensor, Tensor, Noise]
):
    codes, mask, noise = job
    seen: list[tuple[Tensor, Tensor]] = []
    whole = sampler(predict, codes, mask, noise, watch=lambda step, *grid: seen.append(grid))
    for stop in range(min(3, len(seen) - 1)):
        hidden: list[Tensor] = []
        hurry = iter([False] * stop + [True]).__next__
        result = sampler(predict, codes, mask, noise, lambda step, now, left, to=hidden: to.append(left), hurry)
        assert len(hidden) == stop + 1
        assert not bool(hidden[-1].any())
        assert torch.equal(result, seen[stop][0])
    assert torch.equal(sampler(predict, codes, mask, noise, hurry=lambda: False), whole)


def test_law_6_temperature_0_is_the_likeliest(sampler: Any, predict: Predict, job: tuple[Tensor, Tensor, Noise]):
    codes, mask, noise = job
    cold = dataclasses.replace(sampler, temperature=0.0, typical=1.0)
    last = codes, mask

    def watch(step: int, now: Tensor, hidden: Tensor) -> None:
        nonlocal last
        was, covered = last
        assert torch.equal(now[covered], predict(was, covered).argmax(-1))
        last = now, hidden

    _ = cold(predict, codes, mask, noise, watch=watch)


def test_law_7_a_constant_added_to_the_logits_of_a_cell_changes_nothing(
    sampler: Sampler, predict: Predict, job: tuple[Tensor, Tensor, Noise]
):
    codes, mask, noise = job
    more = torch.randint(-4, 5, (3, 4, 14, 1), generator=torch.Generator().manual_seed(1))
    assert torch.equal(
        sampler(predict, codes, mask, noise), sampler(lambda c, m: predict(c, m) + more[m], codes, mask, noise)
    )


def test_law_8_an_empty_prompt_hides_all():
    assert drawing(Prompt().mask(CLIP)) == ["#" * CLIP.frames] * 5


def test_law_8_keep_only_shrinks_the_mask_and_hide_only_grows_it(hint: Hint):
    for prompt in [Prompt(), *presets.values(), Prompt.of(["prefix:seconds=0.5"], ["finer:first=1"])]:
        mask = prompt.mask(CLIP)
        kept = dataclasses.replace(prompt, keep=(*prompt.keep, hint)).mask(CLIP)
        hidden = dataclasses.replace(prompt, hide=(hint, *prompt.hide)).mask(CLIP)
        assert bool((kept <= mask).all())
        assert bool((hidden >= mask).all())
        assert torch.equal(hidden, mask | hint(CLIP))


@pytest.mark.parametrize("samples", [700, 1000, 2950, 44100])
@pytest.mark.parametrize("codebooks", [4, 12])
@pytest.mark.parametrize("around", [None, 30])
def test_law_9_a_hint_answers_at_the_length_of_the_clip(hint: Hint, samples: int, codebooks: int, around: int | None):
    clip = heard_clip(Grid(sample_rate=1000, hop=100, codebooks=codebooks), samples, around)
    try:
        answer = hint(clip)
    except PromptError:
        assert samples == 700 or codebooks == 4 or (around and describe(hint) == "bars:which=0")
        return
    assert answer.shape == (codebooks, clip.frames)
    assert answer.dtype == torch.bool
    assert torch.equal(answer, hint(clip))


def test_law_9_a_hint_says_what_it_needs_and_asks_for_nothing_else(hint: Hint):
    unheard = {name: None for name in ("beats", "onsets", "surprise") if name not in needs(hint)}
    assert torch.equal(hint(dataclasses.replace(CLIP, **unheard)), hint(CLIP))
    for name in needs(hint):
        with pytest.raises(PromptError, match=f"the prompt needs (the )?{name}"):
            _ = hint(dataclasses.replace(CLIP, **{name: None}))


@given(st.integers(8000, 192_000), st.integers(1, 4096), st.integers(0, 10**7))
def test_law_10_frames_survive_a_journey_through_seconds(sample_rate: int, hop: int, frames: int):
    grid = Grid(sample_rate=sample_rate, hop=hop)
    assert grid.frames(grid.seconds(frames)) == frames


@pytest.mark.parametrize("distance", [metrics.mel_distance, metrics.si_sdr])
def test_law_16_a_perfect_copy_scores_best_and_emptiness_is_refused_by_name(distance: Callable[..., Any]):
    sound = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    rate = (44100,) if distance is metrics.mel_distance else ()
    assert distance(sound, sound.clone(), *rate).item() == {"mel_distance": 0, "si_sdr": math.inf}[distance.__name__]
    with pytest.raises(AudioError, match=distance.__name__):
        _ = distance(sound[:, :0], sound[:, :0], *rate)


@pytest.mark.parametrize("turn", [1, 5, -3])
def test_law_18_a_circular_clip_that_is_turned_gives_the_take_turned(
    sampler: Sampler, listener: Callable[..., Predict], job: tuple[Tensor, Tensor, Noise], turn: int
):
    codes, mask, _ = job
    predict = listener(codebooks=4, vocab=VOCABULARY)
    take = sampler(predict, codes, mask, Noise([7, 8, 9], period=14))
    turned = sampler(predict, codes.roll(turn, -1), mask.roll(turn, -1), Noise([7, 8, 9], -turn, period=14))
    assert torch.equal(turned, take.roll(turn, -1))


def every_module() -> list[str]:
    """Each module of the package, by name."""
    return [module.name for module in pkgutil.walk_packages(ostinato.__path__, "ostinato.")]


def configs(module: str) -> list[type]:
    """The config classes that a module defines."""
    things = [t for t in vars(importlib.import_module(module)).values() if isinstance(t, type)]
    made = [t for t in things if getattr(getattr(t, "__post_init__", None), "__module__", "") == "ostinato.config"]
    return [t for t in made if t.__module__ == module]


def value(kind: Any, about: Knob, chance: random.Random) -> Any:
    """A value that a knob of this kind may take."""
    low, high = -99 if about.low is None else about.low, 10**6 if about.high is None else about.high
    if about.choices:
        return chance.choice(about.choices)
    if kind in (int, float, bool, str):
        picks = {
            int: lambda: chance.randint(math.ceil(low), math.floor(high)),
            float: lambda: chance.choice([low, high, chance.uniform(low, high)]),
            bool: lambda: chance.random() < 0.5,
            str: lambda: "".join(chance.choices("aø é=,:\n", k=chance.randrange(6))),
        }
        return picks[kind]()
    if dataclasses.is_dataclass(kind):
        return config_of(typing.cast(type, kind), chance)
    inner = typing.get_args(kind)
    if typing.get_origin(kind) is tuple:
        kinds = inner[:1] * chance.randrange(3) if inner[-1] is ... else inner
        return tuple(value(each, about, chance) for each in kinds)
    member = chance.choice(inner)
    return None if member is type(None) else value(member, about, chance)


def config_of(cls: type, chance: random.Random) -> Any:
    """A config with any values that its knobs allow; with its defaults, where those values do not go together."""
    kinds = typing.get_type_hints(cls)
    picked = {name: value(kinds[name], about, chance) for name, about in knobs(cls).items()}
    try:
        return cls(**picked)
    except ConfigError:
        return cls(**picked | defaults(cls))


@pytest.mark.parametrize("module", every_module())
def test_law_17_a_config_is_the_same_after_writing_and_reading(module: str):
    chance = random.Random(17)
    for cls in configs(module) * 20:
        made = config_of(cls, chance)
        assert load(cls, plain(made)) == made
        assert load(cls, json.loads(json.dumps(plain(made)))) == made
        if all(isinstance(each, bool | int | float | None) for each in plain(made).values()):
            assert parse(cls, unparse(made)) == made


def test_law_17_speaks_of_every_config():
    told = [cls for module in every_module() if module.startswith("ostinato.sampling.") for cls in configs(module)]
    assert {samplers[name] for name in samplers} <= set(told)
    spoken = {cls for module in every_module() if module.startswith("ostinato.hints.") for cls in configs(module)}
    assert spoken == {hints[name] for name in hints}
