"""Takes that are there in time: as many steps as fit, cut short when they must, and made again without a clock."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ostinato.budget import Budget, remembered
from ostinato.config import knobs, plain
from ostinato.errors import ConfigError
from ostinato.pipeline import COARSE, Pipeline, load
from ostinato.prompts import Prompt
from ostinato.sampling import Confidence, Halton, Noise, One, Sampler, samplers
from ostinato.types import Audio, Take

SEVENTH = Prompt.of(keep=["periodic:period=7"])
SOUND = Audio(torch.randn(1, 2, 40 * 768, generator=torch.Generator().manual_seed(0)) * 0.1, 44100)


class Clock:
    """A clock that stands still but for the passes of the models: `cost` seconds each."""

    def __init__(self, cost: float = 0.1) -> None:
        self.now, self.cost, self.passes = 100.0, cost, 0

    def __call__(self) -> float:
        return self.now

    def tick(self, *_: object) -> None:
        self.now += self.cost
        self.passes += 1


@pytest.fixture(scope="module")
def pipeline(tiny_model: Path) -> Pipeline:
    return load(tiny_model)


@pytest.fixture
def clock(pipeline: Pipeline) -> Iterator[Clock]:
    """A clock that both models of the pipeline move on."""
    clock = Clock()
    hooks = [model.transformer.register_forward_hook(clock.tick) for model in (pipeline.coarse, pipeline.fine)]
    yield clock
    for hook in hooks:
        hook.remove()


def again(pipeline: Pipeline, take: Take) -> Take:
    """The take made from what it tells of itself, without a clock."""
    told = take.settings
    how: dict[str, Any] = {}
    for name, stage in (("sampler", "coarse"), ("finisher", "fine")):
        knobs = dict(told[stage])
        how[name] = samplers[knobs.pop("name")](**knobs)
    return pipeline.vary(SOUND, Prompt.load(told["prompt"]), seed=take.seed, budget=Budget(cut=told.get("cut")), **how)


def same(one: Take, other: Take) -> bool:
    return torch.equal(one.audio.wave, other.audio.wave) and one.settings == other.settings


def test_without_limits_nothing_changes(pipeline: Pipeline):
    plain, spent = (pipeline.vary(SOUND, SEVENTH, seed=3, budget=budget) for budget in (None, Budget()))
    assert same(plain, spent)
    assert "cut" not in plain.settings


def test_as_many_steps_as_fit_are_planned():
    clock = Clock(0.1)
    budget = Budget(2.0, clock=clock)
    planned = budget.plan("coarse", Halton(steps=3, tilt=0.5), clock.tick, stretches=1)
    assert planned == Halton(steps=19, tilt=0.5)
    assert budget.plan("fine", Halton(), clock.tick, stretches=3, later=1.0).steps == 2  # type: ignore[attr-defined]
    assert budget.chosen["coarse"] == planned


def test_the_least_is_one_step_and_the_most_what_the_sampler_can():
    clock = Clock(0.1)
    assert Budget(0.01, clock=clock).plan("a", Confidence(), clock.tick, stretches=1) == Confidence(steps=1)
    assert Budget(1e6, clock=clock).plan("a", Confidence(), clock.tick, stretches=1) == Confidence(steps=512)
    assert Budget(1.0, clock=clock).plan("a", One(), clock.tick, stretches=1) == One()


def test_a_capped_budget_gives_no_sampler_more_steps_than_it_has_but_fewer_where_they_do_not_fit():
    clock = Clock(0.1)
    roomy, tight = (Budget(seconds, capped=True, clock=clock) for seconds in (60.0, 1.0))
    assert roomy.plan("a", Confidence(steps=36), clock.tick, stretches=1) == Confidence(steps=36)
    assert tight.plan("a", Confidence(steps=36), clock.tick, stretches=1) == Confidence(steps=8)


def test_what_is_reserved_is_not_spent():
    clock = Clock(0.1)
    budget = Budget(2.0, clock=clock)
    budget.reserve(0.5)
    assert budget.left == pytest.approx(1.5)
    assert Budget(clock=clock).left == float("inf")


@pytest.mark.parametrize("seconds", [0.8, 1.8, 3.0, 7.7])
@pytest.mark.parametrize("sampler", [Confidence(), Halton(steps=5), One()])
def test_a_take_is_there_at_the_deadline_and_uses_the_time(
    pipeline: Pipeline, clock: Clock, seconds: float, sampler: Sampler
):
    start = clock()
    take = pipeline.vary(SOUND, SEVENTH, sampler=sampler, budget=Budget(seconds, clock=clock))
    took = clock() - start
    assert took <= seconds + 1e-6
    assert took > 0.9 * seconds - 0.45
    assert same(take, again(pipeline, take))


def test_coarse_and_fine_share_the_time_as_their_steps_tell(pipeline: Pipeline, clock: Clock):
    take = pipeline.vary(
        SOUND, SEVENTH, sampler=Confidence(steps=24), finisher=Halton(steps=8), budget=Budget(12, clock=clock)
    )
    coarse, fine = take.settings["coarse"]["steps"], take.settings["fine"]["steps"]
    assert take.settings["fine"]["name"] == "halton"
    assert 110 <= coarse + fine <= 120
    assert coarse > 1.5 * fine


def test_the_first_pass_is_not_wasted(pipeline: Pipeline, clock: Clock):
    take = pipeline.vary(SOUND, SEVENTH, budget=Budget(3, clock=clock))
    assert clock.passes == take.settings["coarse"]["steps"] + 1


def test_too_short_a_deadline_still_gives_a_take(pipeline: Pipeline, clock: Clock):
    take = pipeline.vary(SOUND, SEVENTH, budget=Budget(1e-6, clock=clock))
    assert take.settings["coarse"]["steps"] == 1
    assert clock.passes == 2


def test_a_machine_that_slows_down_is_cut_short(pipeline: Pipeline, clock: Clock):
    start = clock()

    def watch(stage: str, done: int, total: int) -> None:
        if done == 4:
            clock.cost = 1.0

    take = pipeline.vary(SOUND, SEVENTH, seed=5, budget=Budget(2.0, clock=clock), watch=watch)
    assert take.settings["cut"] <= 7
    assert clock() - start < 2.0 + 2.5
    assert same(take, again(pipeline, take))


@pytest.mark.parametrize(("stage", "step"), [("coarse", 1), ("coarse", 10), ("coarse", 12), ("fine", 3)])
def test_a_take_that_is_stopped_is_filled_in_one_more_pass_of_each_model(
    pipeline: Pipeline, clock: Clock, stage: str, step: int
):
    budget = Budget()

    def watch(name: str, done: int, total: int) -> None:
        if (name, done) == (stage, step):
            budget.stop()

    how = {"sampler": Confidence(steps=12), "finisher": Confidence(steps=8)}
    take = pipeline.vary(SOUND, SEVENTH, budget=budget, watch=watch, **how)
    passes = (12 if stage == "fine" else 0) + step
    assert clock.passes == passes + (1 if stage == "fine" or step == 12 else 2)
    assert take.settings["cut"] == passes + 1
    assert torch.equal(take.codes[~take.mask], pipeline.encode(SOUND)[0][~take.mask])
    assert same(take, again(pipeline, take))


def test_a_take_that_is_stopped_at_once_has_one_pass_of_each_model(pipeline: Pipeline, clock: Clock):
    budget = Budget()
    budget.stop()
    take = pipeline.vary(SOUND, SEVENTH, budget=budget)
    assert clock.passes == 2
    one = pipeline.vary(SOUND, SEVENTH, sampler=dataclasses.replace(COARSE, steps=1))
    assert torch.equal(take.codes, one.codes)
    assert take.settings["cut"] == 1


def test_a_long_sound_is_there_in_time_too(pipeline: Pipeline, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ostinato.filling.SPAN", 16)
    monkeypatch.setattr("ostinato.filling.OVERLAP", 4)
    monkeypatch.setattr("ostinato.filling.FINE_SPAN", 12)
    monkeypatch.setattr("ostinato.filling.FINE_OVERLAP", 3)
    start = clock()
    take = pipeline.vary(SOUND, SEVENTH, budget=Budget(4.0, clock=clock))
    assert 3.0 < clock() - start <= 4.0
    assert same(take, again(pipeline, take))
    budget = Budget()

    def watch(name: str, done: int, total: int) -> None:
        if done == 30:
            budget.stop()

    clock.passes = 0
    take = pipeline.vary(SOUND, SEVENTH, budget=budget, watch=watch)
    assert clock.passes <= 30 + 3 + 3
    assert same(take, again(pipeline, take))


def test_what_is_kept_whole_needs_no_time(pipeline: Pipeline, clock: Clock):
    take = pipeline.vary(SOUND, Prompt.of(keep=["all"]), budget=Budget(1.0, clock=clock))
    assert clock.passes == 0
    assert take.settings["coarse"] == {"name": "confidence", **plain(COARSE)}
    assert torch.equal(take.codes, pipeline.encode(SOUND)[0])


def test_a_remembered_answer_is_given_again_and_only_to_the_same_question(
    grid_of: Callable[..., tuple[Tensor, Tensor]], listener: Callable[..., Callable[[Tensor, Tensor], Tensor]]
):
    codes, mask = grid_of()
    asked: list[Tensor] = []
    predict = listener()

    def counting(now: Tensor, hidden: Tensor) -> Tensor:
        asked.append(now)
        return predict(now, hidden)

    ask = remembered(counting)
    assert torch.equal(ask(codes, mask), predict(codes, mask))
    assert torch.equal(ask(codes.clone(), mask.clone()), predict(codes, mask))
    assert len(asked) == 1
    assert torch.equal(ask(codes, ~mask), predict(codes, ~mask))
    assert torch.equal(ask(codes[..., :5], mask[..., :5]), predict(codes[..., :5], mask[..., :5]))
    assert len(asked) == 3
    whole = Confidence(steps=4)(predict, codes, mask, Noise([1, 2]))
    assert torch.equal(Confidence(steps=4)(ask, codes, mask, Noise([1, 2])), whole)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"seconds": 0}, "a deadline must be more than 0 s, got 0 s"),
        ({"seconds": -1.5}, "a deadline must be more than 0 s, got -1.5 s"),
        ({"seconds": float("nan")}, "a deadline must be more than 0 s, got nan s"),
        ({"cut": 0}, "a cut must be at pass 1 or later, got 0"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, Any], message: str):
    with pytest.raises(ConfigError) as refusal:
        _ = Budget(**limits)
    assert str(refusal.value) == message


def test_every_sampler_can_be_cut(pipeline: Pipeline):
    quick = {"finisher": Confidence(steps=2)}
    for name in set(samplers) - {"mean"}:
        usual: Any = samplers[name]()
        how = dataclasses.replace(usual, steps=6) if "steps" in knobs(type(usual)) else usual
        cut = pipeline.vary(SOUND, SEVENTH, sampler=how, budget=Budget(cut=3), **quick)
        whole = pipeline.vary(SOUND, SEVENTH, sampler=how, budget=Budget(cut=10_000), **quick)
        assert not torch.equal(cut.codes, whole.codes)
