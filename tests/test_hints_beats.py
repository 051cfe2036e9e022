"""Hints that speak of beats, bars and onsets, drawn on a clip of four seconds with a beat each half second."""

import dataclasses
from typing import Any

import pytest
import torch

from ostinato.cli.common import prompt_flags
from ostinato.clip import Clip
from ostinato.errors import ConfigError, PromptError
from ostinato.grids import steady
from ostinato.hints import Bars, OnBeats, OnDownbeats, describe, hints, parse_hint
from ostinato.masks import drawing
from ostinato.prompts import Prompt
from ostinato.types import Beats, Grid

GRID = Grid(sample_rate=1000, hop=100, codebooks=2, vocabulary=16)
TIMES = tuple(0.25 + 0.5 * number for number in range(8))
CLIP = Clip(GRID, samples=4000, beats=Beats(TIMES, TIMES[1::3]), onsets=(0.0, 1.0, 3.95))
LOOP = dataclasses.replace(CLIP, around=40)


def draw(text: str, clip: Clip = CLIP) -> str:
    """The frames that a hint speaks of, '#', which must be those of all codebooks."""
    first, second = drawing(parse_hint(text)(clip))
    assert first == second
    return first


@pytest.mark.parametrize(
    ("text", "picture"),
    [
        ("beats:after=75,before=0", "..##...##...##...##...##...##...##...##."),
        ("beats:after=0,before=0", "..#....#....#....#....#....#....#....#.."),
        ("beats:after=50,before=0", "..#....#....#....#....#....#....#....#.."),
        ("beats:after=51,before=0", "..##...##...##...##...##...##...##...##."),
        ("beats:after=200,before=100", ".####.####.####.####.####.####.####.####"),
        ("beats:after=75,before=0,every=2,first=2", ".......##........##........##........##."),
        ("beats:after=75,before=0,every=99", "..##...................................."),
        ("downbeats:after=75,before=0", ".......##.............##.............##."),
        ("downbeats:after=75,before=0,every=2", ".......##............................##."),
        ("downbeats:after=75,first=3,before=60", "....................................###."),
        ("onsets", "#........##............................#"),
        ("onsets:before=0,after=150", "##........##...........................#"),
    ],
)
def test_a_moment_is_all_the_frames_that_hold_some_of_it(text: str, picture: str):
    assert draw(text) == picture


@pytest.mark.parametrize(
    ("text", "line", "circle"),
    [
        ("bars", "#" * 40, "#" * 40),
        ("bars:which=1", ".......###############..................", ".......###############.................."),
        ("bars:which=3", ".....................................###", "#######..............................###"),
        ("bars:which=1+3", ".......###############...............###", "######################...............###"),
        ("bars:which=2-3", "......................##################", "#######...............##################"),
        ("bars:beats=1", ".......#####..........#####..........###", "##.....#####..........#####..........###"),
        ("bars:beats=3", "..#####..........#####..........#####...", ".................#####..........#####..."),
        (
            "bars:which=1-2,beats=1+3",
            ".......#####.....##########.....#####...",
            ".......#####.....##########.....#####...",
        ),
    ],
)
def test_bars_are_counted_as_musicians_do(text: str, line: str, circle: str):
    assert draw(text) == line
    assert draw(text, LOOP) == circle


def test_what_is_before_the_first_downbeat_is_bar_0_and_on_a_circle_the_end_of_the_last_bar():
    assert draw("bars:which=0") == "#######................................."
    assert draw("bars:which=0+1") == "######################.................."
    with pytest.raises(PromptError, match="bars which=0 is outside the clip: it has no 0; choose from 1 to 3"):
        _ = draw("bars:which=0", LOOP)


@pytest.mark.parametrize("clip", [CLIP, LOOP, dataclasses.replace(CLIP, samples=4010), Clip(GRID, 3999)])
def test_each_frame_is_of_one_bar_and_one_beat(clip: Clip):
    clip = dataclasses.replace(clip, beats=CLIP.beats)
    bars = [Bars(which=str(number))(clip).long() for number in ([1, 2, 3] if clip.around else [0, 1, 2, 3])]
    assert torch.equal(sum(bars, torch.zeros(2, clip.frames)), torch.ones(2, clip.frames))
    beats = sum((Bars(beats=str(number))(clip).long() for number in (1, 2, 3)), torch.zeros(2, clip.frames))
    assert int(beats.max()) == 1
    assert int((beats[0] == 0).sum()) == (0 if clip.around else 2)


@pytest.mark.parametrize("kind", [OnBeats, OnDownbeats])
def test_by_default_as_much_is_kept_as_a_take_needs_for_its_beat_to_be_heard(kind: type[OnBeats | OnDownbeats]):
    assert (kind().after, kind().before) == (150, 30)


def test_what_a_take_remembers_of_the_beats_of_the_paper_is_what_is_kept():
    told = {"keep": [{"hint": "beats", "after": 75.0, "before": 0.0, "every": 1, "first": 1}], "hide": []}
    assert Prompt.load(told).keep == (OnBeats(after=75, before=0),)
    assert prompt_flags(Prompt.load(told)) == ["--keep", "beats:after=75.0,before=0.0"]


def test_a_moment_wraps_on_a_circle_and_is_cut_off_on_a_line():
    clip = Clip(GRID, 1000, beats=Beats((0.05, 0.95)))
    loop = dataclasses.replace(clip, around=10)
    assert draw("beats:after=150,before=0", clip) == "##.......#"
    assert draw("beats:after=150,before=0", loop) == "##.......#"
    assert draw("beats:after=250,before=0", loop) == "###......#"
    assert draw("beats:after=1,before=100", clip) == "#.......##"
    assert draw("beats:after=1,before=200", loop) == "#......###"


def test_times_on_a_circle_are_shares_of_it():
    beats = Beats((0.0, 0.6))
    assert draw("beats:after=0,before=0", Clip(GRID, 1200, 10, beats=beats)) == "#....#...."


@pytest.mark.parametrize("turn", [1, 7, 38])
@pytest.mark.parametrize("text", ["beats:after=120,before=60", "downbeats", "bars:beats=1+3", "onsets:after=300"])
def test_a_circle_that_is_turned_has_its_hints_turned(text: str, turn: int):
    def turned(times: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sorted(round((time + turn / 10) % 4, 9) for time in times))

    beats = Beats(turned(TIMES), turned(TIMES[::4]))
    clip = dataclasses.replace(LOOP, beats=Beats(TIMES, TIMES[::4]))
    there = dataclasses.replace(clip, beats=beats, onsets=turned(LOOP.onsets or ()))
    assert torch.equal(parse_hint(text)(there), parse_hint(text)(clip).roll(turn, -1))


def test_redo_bar_4_hides_that_bar_alone():
    clip = Clip(GRID, 8000, beats=steady(8, bpm=120))
    mask = drawing(Prompt.of(hide=["bars:which=4"]).mask(clip))
    assert mask == ["." * 60 + "#" * 20] * 2
    kept = drawing(Prompt.of(keep=["bars:beats=1+3"]).mask(clip))
    assert kept == [".....#####" * 8] * 2


@pytest.mark.parametrize(
    ("text", "clip", "message"),
    [
        (
            "beats",
            Clip(GRID, 4000),
            "the prompt needs beats: give --bpm, --taps or --beats, or leave it to the tracker",
        ),
        (
            "bars",
            Clip(GRID, 4000),
            "the prompt needs beats: give --bpm, --taps or --beats, or leave it to the tracker",
        ),
        (
            "beats",
            Clip(GRID, 4000, beats=Beats(())),
            "the prompt needs beats, and none were found in the sound: "
            "give --bpm, --taps or --beats, or leave it to the tracker",
        ),
        (
            "beats",
            Clip(GRID, 4000, beats=Beats((1.0, 5.0))),
            "beats at 5 s lie past the end of the clip at 4 s; "
            "give --bpm, --taps or --beats, or leave it to the tracker",
        ),
        (
            "bars:which=1",
            Clip(GRID, 4000, beats=Beats(TIMES)),
            "the prompt needs downbeats, and none were found in the sound: "
            "give --bpm with --meter, or mark them in --beats",
        ),
        ("downbeats:first=4", CLIP, "downbeats first=4 is outside the clip; choose at most 3, all it has"),
        ("beats:first=9", CLIP, "beats first=9 is outside the clip; choose at most 8, all it has"),
        ("bars:which=9", CLIP, "bars which=9 is outside the clip: it has no 9; choose from 0 to 3"),
        ("bars:which=3-9", CLIP, "bars which=3-9 is outside the clip: it has no 4; choose from 0 to 3"),
        ("bars:beats=4", CLIP, "bars beats=4 is outside the clip: it has no 4; choose from 1 to 3"),
        (
            "onsets",
            Clip(GRID, 4000),
            "the prompt needs onsets: choose a sound in which notes begin, or another hint",
        ),
    ],
)
def test_beats_that_the_clip_does_not_have_are_refused(text: str, clip: Clip, message: str):
    with pytest.raises(PromptError) as refusal:
        _ = parse_hint(text)(clip)
    assert str(refusal.value) == message


@pytest.mark.parametrize("text", ["", "x", "4-3", "1++2", "-1", "1-", "1.5", "1;2", "all+1"])
def test_numbers_of_bars_that_are_none_are_refused(text: str):
    for knob in ("which", "beats"):
        with pytest.raises(ConfigError) as refusal:
            _ = Bars(**{knob: text})
        assert str(refusal.value) == f"Bars.{knob} is written all, 4, 3-4 or 1+5-6, got '{text}'"


def test_a_beat_at_the_very_end_says_nothing_on_a_line_and_is_the_start_of_a_circle():
    clip = Clip(GRID, 1000, beats=Beats((0.5, 1.0)))
    assert draw("beats:after=50,before=0", clip) == ".....#...."
    assert draw("beats:after=50,before=0", dataclasses.replace(clip, around=10)) == "#....#...."


def test_hints_of_beats_are_written_shortly():
    assert describe(parse_hint("bars:which=3-4")) == "bars:which=3-4"
    assert describe(parse_hint("beats:after=150,every=2")) == "beats:every=2"


@pytest.mark.parametrize("name", ["beats", "downbeats", "bars", "onsets"])
def test_what_a_hint_needs_the_prompt_needs(name: str):
    needed: Any = hints[name].needs  # pyright: ignore[reportAttributeAccessIssue]
    assert Prompt.of(["periodic"], [name]).needs == needed == {"onsets" if name == "onsets" else "beats"}
