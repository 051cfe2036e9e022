"""Hints and prompts, drawn."""

import dataclasses
import json
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato.clip import Clip
from ostinato.errors import ConfigError, OstinatoError, PromptError
from ostinato.grids import steady
from ostinato.hints import (
    Bars,
    Coarsest,
    Everything,
    Finer,
    Hint,
    Inpaint,
    OnBeats,
    OnDownbeats,
    Onsets,
    Periodic,
    Prefix,
    Random,
    Suffix,
    describe,
    hints,
    parse_hint,
)
from ostinato.masks import drawing
from ostinato.prompts import Prompt, preset, preset_help, presets
from ostinato.types import Grid

GRID = Grid(sample_rate=1000, hop=100, codebooks=3, vocabulary=16)
CLIP = Clip(GRID, samples=1000)


def draw(hint: Hint) -> list[str]:
    return drawing(hint(CLIP))


def test_a_clip_knows_its_length():
    assert (CLIP.frames, CLIP.seconds) == (10, 1.0)
    assert (Clip(GRID, 1001).frames, Clip(GRID, 1).frames) == (11, 1)


def test_a_clip_needs_a_sample():
    with pytest.raises(PromptError, match="a clip needs at least 1 sample, got 0"):
        _ = Clip(GRID, 0)


@pytest.mark.parametrize(
    ("text", "picture"),
    [
        ("all", "##########"),
        ("periodic", "#......#.."),
        ("periodic:period=4,width=2,offset=1", ".##..##..#"),
        ("prefix:seconds=0.3", "###......."),
        ("prefix:seconds=0.301", "####......"),
        ("prefix:seconds=0", ".........."),
        ("prefix:seconds=1", "##########"),
        ("suffix:seconds=0.3", ".......###"),
        ("suffix:seconds=0", ".........."),
        ("inpaint:start=0.2,end=0.5", "..###....."),
        ("inpaint:start=0.25,end=0.5", "...##....."),
        ("inpaint:end=0.5", "#####....."),
        ("inpaint:start=0.5", ".....#####"),
        ("inpaint:start=0.5,end=none", ".....#####"),
    ],
)
def test_a_hint_in_time_speaks_of_all_codebooks(text: str, picture: str):
    assert draw(parse_hint(text)) == [picture] * 3


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("coarsest", "#.."),
        ("coarsest:codebooks=2", "##."),
        ("coarsest:codebooks=3", "###"),
        ("finer:first=1", ".##"),
        ("finer:first=0", "###"),
        ("finer", "..."),
    ],
)
def test_a_hint_in_depth_speaks_of_all_frames(text: str, column: str):
    assert draw(parse_hint(text)) == [cell * 10 for cell in column]


def test_random_strews_whole_frames():
    rows = draw(Random(share=0.4, seed=3))
    assert rows[0] == rows[1] == rows[2]
    assert rows[0].count("#") == 4
    assert rows != draw(Random(share=0.4, seed=4))


def test_neighbouring_ranges_of_time_share_no_frame_and_leave_none_out():
    for cut in (0.1, 0.123, 0.55, 0.9):
        early, late = Inpaint(end=cut)(CLIP), Inpaint(start=cut)(CLIP)
        assert torch.equal(early, ~late)
        assert torch.equal(early, Prefix(seconds=cut)(CLIP))


@given(st.integers(1, 500_000), st.integers(8000, 96000), st.integers(1, 2048))
def test_the_whole_clip_is_within_the_clip(samples: int, sample_rate: int, hop: int):
    clip = Clip(Grid(sample_rate=sample_rate, hop=hop, codebooks=1), samples)
    everything = Everything()(clip)
    for hint in (Prefix(seconds=clip.seconds), Suffix(seconds=clip.seconds), Inpaint(end=clip.seconds)):
        assert torch.equal(hint(clip), everything)


def test_keeps_join_and_hides_win():
    prompt = Prompt(keep=(Prefix(seconds=0.2), Periodic(period=4)), hide=(Finer(first=2),))
    assert drawing(prompt.mask(CLIP)) == [
        "..##.###.#",
        "..##.###.#",
        "##########",
    ]


def test_dropout_hides_a_share_of_what_is_kept_another_for_each_seed():
    whole, prompt = (
        Prompt.of(["periodic:period=2"], ["finer:first=2"]),
        Prompt.of(["periodic:period=2"], ["finer:first=2"], 0.3),
    )
    masks = [prompt.mask(CLIP, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    for mask in masks:
        assert bool((mask >= whole.mask(CLIP)).all())
        assert int((~mask).sum()) == 7
    assert bool(Prompt.of(["all"], dropout=1.0).mask(CLIP).all())
    assert torch.equal(Prompt.of(["all"], dropout=0.0).mask(CLIP), Prompt.of(["all"]).mask(CLIP))


@pytest.mark.parametrize("turn", [1, -4])
def test_dropout_turns_with_a_loop(turn: int):
    circle = Clip(GRID, samples=1000, around=10)
    prompt = Prompt.of(["all"], dropout=0.4)
    assert torch.equal(prompt.mask(circle, turned=turn), prompt.mask(circle).roll(turn, -1))


@pytest.mark.parametrize("dropout", [-0.1, 1.5, math.nan])
def test_a_dropout_that_is_no_share_is_refused(dropout: float):
    with pytest.raises(ConfigError, match="dropout must be between 0 and 1"):
        _ = Prompt(dropout=dropout)
    with pytest.raises(ConfigError, match="'dropout' of a prompt must be a number, got '1'"):
        _ = Prompt.load({"dropout": "1"})


def test_hides_join():
    prompt = Prompt.of(keep=["all"], hide=["inpaint:start=0.2,end=0.4", "inpaint:start=0.6,end=0.7", "finer:first=2"])
    assert drawing(prompt.mask(CLIP)) == ["..##..#...", "..##..#...", "##########"]


def test_an_empty_prompt_hides_all():
    assert drawing(Prompt().mask(CLIP)) == drawing(Prompt.of().mask(CLIP)) == ["##########"] * 3


def test_hides_alone_hide_everything_unless_written_for_people():
    hide = (Inpaint(start=0.2, end=0.5),)
    assert drawing(Prompt(hide=hide).mask(CLIP)) == ["##########"] * 3
    assert Prompt.of(hide=hide) == Prompt(keep=(Everything(),), hide=hide)
    assert drawing(Prompt.of(hide=hide).mask(CLIP)) == ["..###....."] * 3


def test_people_may_write_hints_or_their_texts():
    written = Prompt.of(keep=["periodic:period=4", Prefix(seconds=0.2)], hide=iter(["finer:first=2"]))
    assert written == Prompt(keep=(Periodic(period=4), Prefix(seconds=0.2)), hide=(Finer(first=2),))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prefix:seconds=1.5", "prefix of 1.5 s is outside the clip; choose at most 1 s"),
        ("suffix:seconds=1.001", "suffix of 1.001 s is outside the clip; choose at most 1 s"),
        ("inpaint:start=12", "inpaint start of 12 s is outside the clip; choose at most 1 s"),
        ("inpaint:start=0.5,end=2", "inpaint end of 2 s is outside the clip; choose at most 1 s"),
        ("inpaint:start=1", "inpaint from 1 s holds no start of a frame; make it at least 100.0 ms long"),
        (
            "inpaint:start=0.31,end=0.39",
            "inpaint from 0.31 s holds no start of a frame; make it at least 100.0 ms long",
        ),
        ("coarsest:codebooks=4", "coarsest codebooks=4 is outside the grid; choose at most 3, its codebooks"),
        ("finer:first=4", "finer first=4 is outside the grid; choose at most 3, its codebooks"),
        ("periodic:period=3,width=4", "width must be between 1 and 3 frames (the period), got 4"),
    ],
)
def test_a_prompt_outside_the_clip_is_refused(text: str, message: str):
    for prompt in (Prompt.of(keep=[text]), Prompt.of(hide=[text])):
        with pytest.raises(PromptError) as refusal:
            _ = prompt.mask(CLIP)
        assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("perodic", "no hint called 'perodic'; did you mean 'periodic'?"),
        ("", "no hint called ''; there are: " + ", ".join(hints)),
        ("periodic:perod=3", "Periodic has no setting 'perod'; did you mean 'period'?"),
        ("periodic:7", "settings are written knob=value with commas between, got '7'"),
        ("periodic:period=x", "Periodic.period must be a whole number, got 'x'"),
        ("periodic:period=0", "Periodic.period must be at least 1 frames, got 0"),
        ("prefix:seconds=-1", "Prefix.seconds must be at least 0 s, got -1.0"),
        ("prefix:seconds=inf", "Prefix.seconds must be at least 0 s, got inf"),
        ("inpaint:start=2,end=1", "Inpaint.end must be after Inpaint.start (2 s), got 1"),
        ("coarsest:codebooks=0", "Coarsest.codebooks must be at least 1 codebooks, got 0"),
        ("finer:first=-1", "Finer.first must be at least 0, got -1"),
        ("random:share=1.2", "Random.share must be between 0 and 1, got 1.2"),
    ],
)
def test_a_text_that_is_no_hint_is_refused(text: str, message: str):
    with pytest.raises(ConfigError) as refusal:
        _ = parse_hint(text)
    assert str(refusal.value) == message


SECONDS = st.floats(0, 1e6, allow_nan=False)
ANY_HINT = st.one_of(
    st.builds(Everything),
    st.builds(Periodic, period=st.integers(1, 99), width=st.integers(1, 99), offset=st.integers(-99, 99)),
    st.builds(Prefix, seconds=SECONDS),
    st.builds(Suffix, seconds=SECONDS),
    st.builds(
        lambda start, more: Inpaint(start=start, end=more and start + more), SECONDS, st.none() | st.floats(1, 9)
    ),
    st.builds(Coarsest, codebooks=st.integers(1, 99)),
    st.builds(Finer, first=st.integers(0, 99)),
    st.builds(Random, share=st.floats(0, 1), seed=st.integers(0, 2**64 - 1)),
    st.builds(OnBeats, after=SECONDS, before=SECONDS, every=st.integers(1, 99), first=st.integers(1, 99)),
    st.builds(OnDownbeats, after=SECONDS, every=st.integers(1, 99)),
    st.builds(Bars, which=st.sampled_from(["all", "4", "3-4", "1+5-6"]), beats=st.sampled_from(["all", "1+3"])),
    st.builds(Onsets, before=SECONDS, after=SECONDS),
)
ANY_HINTS = st.lists(ANY_HINT, max_size=3).map(tuple)


@given(ANY_HINT)
def test_a_hint_is_the_same_after_writing_and_reading(hint: Hint):
    text = describe(hint)
    assert parse_hint(text) == hint
    assert describe(parse_hint(text)) == text


def test_a_hint_is_written_shortly():
    assert describe(Periodic()) == "periodic"
    assert describe(Periodic(period=9, offset=-1)) == "periodic:period=9,offset=-1"
    assert describe(parse_hint(" inpaint : start=1, end=2.5")) == "inpaint:start=1.0,end=2.5"


@given(ANY_HINTS, ANY_HINTS)
def test_a_prompt_is_the_same_after_a_journey_through_json(keep: tuple[Hint, ...], hide: tuple[Hint, ...]):
    prompt = Prompt(keep=keep, hide=hide)
    assert Prompt.load(json.loads(json.dumps(prompt.plain()))) == prompt
    dropping = dataclasses.replace(prompt, dropout=0.25)
    assert Prompt.load(json.loads(json.dumps(dropping.plain()))) == dropping


def test_a_prompt_writes_out_every_knob():
    assert Prompt.of(["periodic"], ["finer:first=2"]).plain() == {
        "keep": [{"hint": "periodic", "period": 7, "width": 1, "offset": 0}],
        "hide": [{"hint": "finer", "first": 2}],
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "a prompt must be a table with keep, hide and dropout, got 3"),
        ({"keeps": []}, "a prompt has no part 'keeps'; did you mean 'keep'?"),
        ({"keep": "all"}, "'keep' of a prompt must be a list of hints, got 'all'"),
        ({"keep": ["all"]}, "a hint must be a table with the name of the hint under 'hint', got 'all'"),
        ({"keep": [{"period": 7}]}, "a hint must be a table with the name of the hint under 'hint', got {'period': 7}"),
        ({"hide": [{"hint": "al"}]}, "no hint called 'al'; did you mean 'all'?"),
        ({"hide": [{"hint": "finer", "fist": 1}]}, "Finer has no setting 'fist'; did you mean 'first'?"),
        ({"hide": [{"hint": "finer", "first": "1"}]}, "Finer.first must be a whole number, got '1'"),
    ],
)
def test_a_prompt_is_read_strictly(data: Any, message: str):
    with pytest.raises(ConfigError) as refusal:
        _ = Prompt.load(data)
    assert str(refusal.value) == message


def test_parts_of_a_prompt_may_be_absent():
    assert Prompt.load({}) == Prompt()
    assert Prompt.load({"hide": [{"hint": "finer"}]}) == Prompt(hide=(Finer(),))


@pytest.mark.parametrize(
    ("name", "keep", "hide"),
    [
        ("timbre transfer", {Periodic(period=2)}, {Finer(first=1)}),
        ("small variation", {Periodic(period=5)}, {Finer(first=4)}),
        ("small variation follow beat", {Periodic(period=7), OnBeats(after=50, before=0)}, {Finer(first=4)}),
        ("medium variation follow beat", {Periodic(period=13), OnBeats(after=50, before=0)}, {Finer(first=4)}),
        ("large variation follow beat", {OnBeats(after=80, before=0)}, {Finer(first=4)}),
        ("beat driven", {OnBeats()}, set()),
        ("medium variation", {Periodic(period=7)}, {Finer(first=4)}),
        ("large variation", {Periodic(period=13)}, {Finer(first=4), Random(share=0.2)}),
        ("unconditional", set(), set()),
    ],
)
def test_presets_have_the_published_values(name: str, keep: set[Hint], hide: set[Hint]):
    assert (set(presets[name].keep), set(presets[name].hide)) == (keep, hide)


@pytest.mark.parametrize("name", presets)
def test_every_preset_fits_a_loop_of_four_seconds_and_leaves_work_to_do(name: str):
    short, long = (Clip(Grid(), seconds * 44100, beats=steady(seconds)) for seconds in (4, 8))
    mask = presets[name].mask(short)
    assert mask.any()
    assert mask.all() == (name == "unconditional")
    assert preset_help[name]
    assert math.isclose(mask.float().mean(), presets[name].mask(long).float().mean(), abs_tol=0.3)


def test_preset_names_are_easy_to_type():
    for name in ("medium variation", "medium-variation", "Medium_Variation"):
        assert preset(name) is presets["medium variation"]
    for name in ("large variation (follow beat)", "large-variation-follow-beat", "large variation, follow beat"):
        assert preset(name) is presets["large variation follow beat"]
    with pytest.raises(ConfigError, match="no preset called 'medium-variaton'; did you mean 'medium variation'"):
        _ = preset("medium-variaton")


def test_every_hint_is_a_hint():
    for name in hints:
        assert isinstance(hints[name](), Hint)
        assert hints[name].__doc__


def test_a_foreign_hint_cannot_be_written():
    class Foreign:
        def __call__(self, clip: Clip) -> torch.Tensor:
            return torch.ones(clip.grid.codebooks, clip.frames, dtype=torch.bool)

    foreign = Foreign()
    assert drawing(Prompt(keep=(foreign,)).mask(CLIP)) == [".........."] * 3
    with pytest.raises(OstinatoError, match="Foreign is not a registered hint"):
        _ = describe(foreign)


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (149, 1), (150, 2), (249, 2), (1249, 12), (1250, 13)])
def test_a_circular_clip_has_the_nearest_number_of_frames(samples: int, frames: int):
    grid = Grid(sample_rate=1000, hop=100, codebooks=2)
    clip = Clip(grid, samples, grid.frames_around(samples))
    assert clip.frames == frames
    assert clip.frames_of(samples) == frames
    assert clip.frames_of(0) == 0
    assert Prompt.of(["prefix:seconds=0"]).mask(clip).shape == (2, frames)


@pytest.mark.parametrize("samples", [1249, 1250, 1210, 1290])
def test_times_on_a_circle_are_shares_of_it(samples: int):
    grid = Grid(sample_rate=1000, hop=100, codebooks=1)
    clip = Clip(grid, samples, grid.frames_around(samples, 2))
    assert clip.frames % 2 == 0
    seconds = samples / 1000
    assert drawing(Prompt.of([f"prefix:seconds={seconds}"]).mask(clip)) == ["." * clip.frames]
    assert drawing(Prompt.of([f"suffix:seconds={seconds}"]).mask(clip)) == ["." * clip.frames]
    kept = int((~Prompt.of(["prefix:seconds=0.5"]).mask(clip)).sum())
    assert kept == -(-500 * clip.frames // samples)
    with pytest.raises(PromptError, match="is outside the clip"):
        _ = Prompt.of([f"prefix:seconds={seconds + 0.01}"]).mask(clip)
