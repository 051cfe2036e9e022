"""Takes that go on from takes: by their tokens, with locks, in blends and from hop to hop."""

from pathlib import Path
from typing import Any

import pytest
import torch

from ostinato import audiofile, takes
from ostinato.draft import Draft
from ostinato.errors import AudioError, CheckpointError, ConfigError, PromptError
from ostinato.hints import Coarsest, Everything, Finer, Inpaint, Periodic, Prefix, Random
from ostinato.level import loudness_of
from ostinato.longplay import vary_file
from ostinato.pipeline import Pipeline, load
from ostinato.prompts import Prompt
from ostinato.resampling import join
from ostinato.sampling import Confidence
from ostinato.types import Audio, Take
from tests.tiny import write_model

RATE = 44100
QUICK: dict[str, Any] = {"sampler": Confidence(steps=2), "finisher": Confidence(steps=1)}
NEW = Prompt.of(["periodic:period=7"], ["finer:first=2"])
MIDDLE = Inpaint(start=0.4, end=0.6)


@pytest.fixture(scope="module")
def pipeline(tiny_model: Path) -> Pipeline:
    return load(tiny_model)


@pytest.fixture(scope="module")
def sound() -> Audio:
    return Audio(torch.rand(1, 2, RATE, generator=torch.Generator().manual_seed(0)).sub(0.5) / 2, RATE)


@pytest.fixture(scope="module")
def take(pipeline: Pipeline, sound: Audio) -> Take:
    return pipeline.vary(sound, NEW, seed=1, **QUICK)


def draft(take: Take, pipeline: Pipeline) -> Draft:
    return Draft(take.codes, take.mask, pipeline.origin(take), take.seed, take.settings, take.model, take.locked)


def write(path: Path, pipeline: Pipeline, source: Path, prompt: Prompt = NEW, **how: Any) -> Draft:
    """A take as a file that carries its tokens."""

    def about(draft: Draft) -> dict[str, Any]:
        source_of = {"name": source.name, "sha256": audiofile.sha256(source)}
        made = {"ostinato": "0", "model": "tiny", "hash": draft.model, "seed": draft.seed, "input": source_of}
        return {**made, **draft.settings, **takes.tokens(draft)}

    return vary_file(pipeline, source, path, prompt, about=about, **{**QUICK, **how})[0]


@pytest.fixture
def folder(tmp_path: Path, sound: Audio) -> Path:
    _ = audiofile.write(tmp_path / "loop.wav", sound)
    return tmp_path


def test_a_region_made_again_changes_tokens_and_samples_there_alone(pipeline: Pipeline, take: Take):
    again = pipeline.vary(take, Prompt.of(hide=[MIDDLE]), seed=2, **QUICK)
    hidden = MIDDLE(pipeline.clip(RATE, RATE))
    changed = again.codes != take.codes
    assert torch.equal(again.mask, hidden.expand_as(take.mask))
    assert changed.any()
    assert not changed[~again.mask].any()
    first, last = (int(edge) for edge in hidden.any(0).nonzero().flatten()[[0, -1]])
    outside = torch.ones(RATE, dtype=torch.bool)
    outside[first * 768 : (last + 1) * 768] = False
    assert torch.equal(again.audio.wave[..., outside], take.audio.wave[..., outside])
    assert not torch.equal(again.audio.wave, take.audio.wave)


def test_nothing_hidden_is_the_take_again(pipeline: Pipeline, take: Take):
    again = pipeline.vary(take, Prompt.of(["all"]), **QUICK)
    assert torch.equal(again.codes, take.codes)
    assert torch.equal(again.audio.wave, take.audio.wave)
    drawn = pipeline.vary(take, Prompt.of(["all"]), redraw=True, **QUICK)
    level = take.audio.wave.abs().max()
    torch.testing.assert_close(drawn.audio.wave / level, take.audio.wave / level, rtol=0, atol=3e-3)  # lean, anew


def test_a_take_of_a_loop_is_a_loop(pipeline: Pipeline, sound: Audio):
    first = pipeline.vary(sound, NEW, loop=True, **QUICK)
    assert pipeline.vary(first, NEW, **QUICK).settings["loop"]
    assert not pipeline.vary(pipeline.vary(sound, NEW, **QUICK), NEW, **QUICK).settings["loop"]


def test_locks_hold_in_all_descendants_until_they_are_taken_off(pipeline: Pipeline, sound: Audio):
    lock = Prefix(seconds=0.3)
    held = lock(pipeline.clip(RATE, RATE))
    child = pipeline.vary(sound, Prompt(), seed=1, lock=[lock], **QUICK)
    grandchild = pipeline.vary(child, Prompt(), seed=2, lock=[Coarsest(codebooks=1)], **QUICK)
    both = held | Coarsest(codebooks=1)(pipeline.clip(RATE, RATE))
    great = pipeline.vary(grandchild, Prompt(), seed=3, **QUICK)
    codes, _ = pipeline.encode(sound)
    for take, fixed in ((child, held), (grandchild, both), (great, both)):
        assert torch.equal(take.mask[0], ~fixed)
        assert torch.equal(take.locked, fixed)
        assert torch.equal(take.codes[:, held], codes[:, held])
    assert torch.equal(great.codes[great.mask.logical_not()], grandchild.codes[great.mask.logical_not()])
    assert pipeline.vary(great, Prompt(), unlock=True, **QUICK).mask.all()
    with pytest.raises(PromptError, match="all that the prompt hides is locked"):
        _ = pipeline.vary(child, Prompt.of(hide=["inpaint:end=0.2"]), **QUICK)


@pytest.mark.parametrize("how", [{}, {"loop": True}, {"lock": [MIDDLE]}])
@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_file_carries_all_of_its_take(pipeline: Pipeline, folder: Path, name: str, how: dict[str, Any]):
    made = write(folder / name, pipeline, folder / "loop.wav", **how)
    found = takes.read_draft(folder / name)
    assert found is not None
    assert torch.equal(found.codes, made.codes)
    assert torch.equal(found.mask, made.mask)
    assert (found.origin, found.seed, found.settings, found.model) == (
        made.origin, made.seed, made.settings, made.model,
    )  # fmt: skip
    assert (found.locked is None) == (made.locked is None)
    assert found.locked is None or torch.equal(found.locked, MIDDLE(pipeline.clip(RATE, RATE)))
    take = takes.read_take(folder / name)
    assert take.parent == audiofile.sha256(folder / "loop.wav")
    assert torch.equal(take.audio.wave, audiofile.read(folder / name).wave)


def test_going_on_from_a_file_is_going_on_from_its_take(pipeline: Pipeline, folder: Path):
    _ = write(folder / "a.wav", pipeline, folder / "loop.wav", lock=[MIDDLE])
    take = pipeline.vary(takes.read_take(folder / "a.wav"), NEW, seed=5, **QUICK)
    before, encoded = takes.draft_of(pipeline, folder / "a.wav")
    assert not encoded
    tokens = (before.codes, before.origin)
    after = write(folder / "b.wav", pipeline, folder / "a.wav", seed=5, tokens=tokens, locked=before.locked)
    assert torch.equal(after.codes.long(), take.codes)
    torch.testing.assert_close(audiofile.read(folder / "b.wav").wave, take.audio.wave, atol=2**-23, rtol=0)


def test_what_was_turned_down_goes_on_at_the_level_of_its_file(pipeline: Pipeline, folder: Path, sound: Audio):
    _ = audiofile.write(folder / "loud.wav", Audio(sound.wave * 8, RATE), subtype="FLOAT")
    made = write(folder / "a.wav", pipeline, folder / "loud.wav", Prompt.of(hide=[MIDDLE]))
    told = audiofile.about(folder / "a.wav") or {}
    assert told["gain_db"] == pytest.approx(-6, abs=0.1)
    found = takes.read_draft(folder / "a.wav")
    assert found is not None
    assert found.origin.gain == pytest.approx(made.origin.gain * 2, rel=0.02)


def test_without_tokens_that_fit_the_sound_is_encoded_again(
    pipeline: Pipeline, folder: Path, sound: Audio, monkeypatch: pytest.MonkeyPatch
):
    _ = write(folder / "a.wav", pipeline, folder / "loop.wav")
    told = audiofile.about(folder / "a.wav") or {}
    shorter = Audio(sound.wave[..., :-1], RATE)
    damaged = {**told, takes.TOKENS: {**told[takes.TOKENS], "codes": "abc="}}
    for name, audio, about in (("cut", shorter, told), ("damaged", sound, damaged), ("bare", sound, None)):
        _ = audiofile.write(folder / f"{name}.wav", audio, about=about)
        assert takes.read_draft(folder / f"{name}.wav") is None
        draft, encoded = takes.draft_of(pipeline, folder / f"{name}.wav")
        assert encoded
        assert torch.equal(draft.codes.long(), pipeline.encode(audiofile.read(folder / f"{name}.wav"))[0])
        with pytest.raises(AudioError, match="carries no tokens that fit its sound"):
            _ = takes.read_take(folder / f"{name}.wav")
    monkeypatch.setattr(takes, "LONGEST", 100)
    assert takes.tokens(write(folder / "long.wav", pipeline, folder / "loop.wav")) == {}


def test_a_take_with_two_ends_cannot_be_made_a_loop(pipeline: Pipeline, folder: Path):
    _ = write(folder / "a.wav", pipeline, folder / "loop.wav")
    with pytest.raises(ConfigError, match="have two ends"):
        _ = takes.draft_of(pipeline, folder / "a.wav", loop=True)
    _ = write(folder / "b.wav", pipeline, folder / "loop.wav", loop=True)
    assert takes.draft_of(pipeline, folder / "b.wav")[0].origin.circular


@pytest.fixture
def pair(pipeline: Pipeline, sound: Audio, take: Take) -> tuple[Take, Take]:
    return take, pipeline.vary(sound, Prompt(), seed=9, **QUICK)


def blended(pipeline: Pipeline, pair: tuple[Take, Take], *mix: Any) -> tuple[Draft, Audio]:
    made = takes.blend(pipeline, draft(pair[0], pipeline), draft(pair[1], pipeline), mix)
    return made, join(pipeline.sound(made, lambda: [pair[0].audio], lambda: [pair[1].audio]))


@pytest.mark.parametrize(("mix", "whose"), [((), 0), ((Random(share=0.0),), 0), ((Everything(),), 1)])
def test_a_blend_by_nothing_is_the_first_take_and_by_all_the_second(
    pipeline: Pipeline, pair: tuple[Take, Take], mix: tuple[Any, ...], whose: int
):
    made, audio = blended(pipeline, pair, *mix)
    assert torch.equal(made.codes, pair[whose].codes)
    assert torch.equal(audio.wave, pair[whose].audio.wave)


def test_a_blend_has_the_tokens_and_samples_of_whose_turn_it_is(pipeline: Pipeline, pair: tuple[Take, Take]):
    one, other = pair
    made, audio = blended(pipeline, pair, MIDDLE)
    chosen = MIDDLE(pipeline.clip(RATE, RATE)).expand_as(one.codes)
    assert torch.equal(made.codes, torch.where(chosen, other.codes, one.codes))
    first, last = (int(edge) for edge in chosen[0].any(0).nonzero().flatten()[[0, -1]])
    start, end, fade = first * 768, (last + 1) * 768, 384
    assert torch.equal(audio.wave[..., :start], one.audio.wave[..., :start])
    assert torch.equal(audio.wave[..., end:], one.audio.wave[..., end:])
    inner = slice(start + fade, end - fade)
    assert torch.equal(audio.wave[..., inner], other.audio.wave[..., inner])


def test_a_blend_may_go_by_codebook_and_by_chance(pipeline: Pipeline, pair: tuple[Take, Take]):
    made, audio = blended(pipeline, pair, Finer(first=3), Random(share=0.5, seed=2))
    clip = pipeline.clip(RATE, RATE)
    chosen = Finer(first=3)(clip) | Random(share=0.5, seed=2)(clip)
    assert torch.equal(made.mask, chosen.expand_as(made.mask))
    assert torch.equal(made.codes[made.mask], pair[1].codes[made.mask])
    assert torch.equal(made.codes[~made.mask], pair[0].codes[~made.mask])
    assert audio.wave.shape == pair[0].audio.wave.shape


def test_what_is_locked_in_the_first_take_stays_in_a_blend(pipeline: Pipeline, sound: Audio):
    locks = (Prefix(seconds=0.3), Inpaint(start=0.2, end=0.5))
    pair = [pipeline.vary(sound, Prompt(), seed=n, lock=[lock], **QUICK) for n, lock in enumerate(locks)]
    made, _ = blended(pipeline, (pair[0], pair[1]), Everything())
    first, second = (lock(pipeline.clip(RATE, RATE)) for lock in locks)
    assert torch.equal(made.codes[:, first], pair[0].codes[:, first])
    assert torch.equal(made.locked, first | second)


def test_takes_that_do_not_go_together_are_refused_by_name(
    pipeline: Pipeline, take: Take, sound: Audio, tmp_path: Path
):
    short = pipeline.vary(Audio(sound.wave[..., :-1], RATE), NEW, **QUICK)
    around = pipeline.vary(sound, NEW, loop=True, **QUICK)
    mono = pipeline.vary(Audio(sound.wave[:, :1], RATE), NEW, **QUICK)
    slow = pipeline.vary(Audio(sound.wave, RATE // 2), NEW, **QUICK)
    for other, name in ((short, "samples"), (around, "circular"), (mono, "channels"), (slow, "sample_rate")):
        with pytest.raises(PromptError, match=f"must agree in their {name}, got"):
            _ = blended(pipeline, (take, other), MIDDLE)
    stranger = load(write_model(tmp_path / "stranger", seed=1))
    theirs = stranger.vary(sound, NEW, **QUICK)
    with pytest.raises(CheckpointError, match="the second take has tokens of another codec"):
        _ = takes.blend(pipeline, draft(take, pipeline), draft(theirs, stranger), [MIDDLE])
    with pytest.raises(CheckpointError, match="the take has tokens of another codec"):
        _ = pipeline.vary(theirs, NEW, **QUICK)


def test_each_hop_starts_from_the_tokens_of_the_one_before(pipeline: Pipeline, sound: Audio):
    hops = list(takes.telephone(pipeline, sound, NEW, hops=3, seed=4, **QUICK))
    assert [hop.seed for hop in hops] == [4, 5, 6]
    kept = ~hops[0].mask
    for hop in hops[1:]:
        assert torch.equal(hop.codes[kept], hops[0].codes[kept])
    at_once = pipeline.vary(sound, NEW, seed=4, feedback=3, **QUICK)
    assert torch.equal(at_once.codes, hops[-1].codes)
    assert not torch.equal(at_once.codes, hops[0].codes)
    assert at_once.settings["feedback"] == 3


@pytest.mark.parametrize("gain", [0.125, 0.5])
def test_eight_hops_are_as_loud_as_what_they_came_from(pipeline: Pipeline, sound: Audio, gain: float):
    quiet = Audio(sound.wave[:, :1, : RATE // 2] * gain, RATE)
    heard = loudness_of([quiet])
    hops = list(takes.telephone(pipeline, quiet, NEW, hops=8, **QUICK))
    assert all(abs(loudness_of([hop.audio]) - heard) < 0.5 for hop in hops)
    assert all(float(hop.audio.wave.abs().max()) < 1 for hop in hops)
    plain = pipeline.vary(quiet, NEW, **QUICK)
    assert abs(loudness_of([plain.audio]) - heard) > 0.5
    assert torch.equal(plain.codes, hops[0].codes)


def test_no_loudness_takes_a_sound_past_full_scale(pipeline: Pipeline, sound: Audio):
    for loop in (False, True):
        loud = pipeline.vary(sound, NEW, loudness=0.0, loop=loop, **QUICK)
        assert 0.9 < float(loud.audio.wave.abs().max()) <= 1


def test_silence_stays_silent_from_hop_to_hop(pipeline: Pipeline):
    silence = Audio(torch.zeros(1, 1, RATE // 2), RATE)
    assert takes.usual_loudness([silence]) is None
    assert len(list(takes.telephone(pipeline, silence, Prompt.of(["periodic"]), hops=2, **QUICK))) == 2


def test_feedback_takes_steps_and_not_a_deadline(pipeline: Pipeline, sound: Audio):
    from ostinato.budget import Budget

    for how in ({"feedback": 0}, {"feedback": 2, "budget": Budget(10.0)}):
        with pytest.raises(ConfigError, match="feedback must be 1 or more, and 1 with a deadline"):
            _ = pipeline.vary(sound, NEW, **QUICK, **how)


def test_a_periodic_prompt_may_hide_what_it_kept(pipeline: Pipeline, take: Take):
    other = pipeline.vary(take, Prompt(hide=(Periodic(period=2),), keep=(Everything(),)), seed=8, **QUICK)
    assert torch.equal(other.codes[~other.mask], take.codes[~other.mask])
