"""The page of prompts: a picture and a command for each, the pictures as the code draws them, the commands sound."""

import dataclasses
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from ostinato import sketch
from ostinato.cli.flags import given
from ostinato.cli.job import prompt_of
from ostinato.cli.vary import vary
from ostinato.clip import Clip
from ostinato.errors import OstinatoError, PromptError
from ostinato.hints import hints
from ostinato.prompts import Prompt, presets
from ostinato.types import Beats, Grid

PAGE = Path(__file__).parents[1] / "docs" / "prompts.md"
TEXT = PAGE.read_text(encoding="utf-8")
CLIP = Clip(Grid(sample_rate=1000, hop=100, codebooks=2), 1000, beats=Beats((0.2, 0.7), (0.2,)), onsets=(0.5,))


@pytest.fixture(scope="module")
def clip() -> Clip:
    """The loop that ships, with all heard in it that a hint may need."""
    clip = sketch.loop_clip()
    return dataclasses.replace(clip, surprise=torch.arange(clip.frames) % 7.0)


def commands() -> list[list[str]]:
    """The words after `ostinato vary` of every command on the page."""
    return [shlex.split(line, comments=True)[2:] for line in re.findall(r"^ostinato vary .*$", TEXT, re.MULTILINE)]


def test_the_pictures_on_the_page_are_those_that_the_code_draws(clip: Clip):
    drawn = sketch.sketches(sketch.loop_clip())
    assert {path.stem for path in (PAGE.parent / "prompts").glob("*.svg")} == set(sketch.sketches(clip))
    assert set(sketch.sketches(clip)) - set(drawn) == {"surprising", "expected"}
    for name, text in drawn.items():
        assert (PAGE.parent / "prompts" / f"{name}.svg").read_text(encoding="utf-8") == text, name


@pytest.mark.parametrize("name", [*hints, *presets])
def test_every_hint_and_preset_has_an_entry_with_a_picture_and_a_command(name: str):
    title = f"`{name}`" if name in hints else name
    entry = TEXT.partition(f"\n### {title}\n")[2].partition("\n### ")[0]
    written = name.replace(" ", "-")
    assert re.search(rf"--(keep|hide|preset) {written}\b", entry)
    assert f"](prompts/{written}.svg)" in entry


def test_every_command_on_the_page_fits_the_loop_that_ships(clip: Clip):
    for words in commands():
        flags = vary.make_context("vary", list(words)).params
        known = given({**flags, "labels": None}, clip.seconds)
        hidden = prompt_of(flags).mask(dataclasses.replace(clip, beats=known.beats or clip.beats))
        assert bool(hidden.any()) != ("all" in words)


def test_a_sketch_shows_what_is_kept_and_where_the_beats_are():
    image = ElementTree.fromstring(sketch.sketch(Prompt.of(["beats:after=150,before=0"], ["finer:first=1"]), CLIP))
    kept, ticks = (path.attrib["d"] for path in image.iter("{http://www.w3.org/2000/svg}path"))
    assert kept == "M144.0 10H288.0v6H144.0z M504.0 10H648.0v6H504.0z"
    assert ticks == "M144.0 10v-5M504.0 10v-5M144.0 10v-10"
    onsets = ElementTree.fromstring(sketch.sketch(Prompt.of(["onsets"]), CLIP))
    assert [path.attrib["d"] for path in onsets.iter("{http://www.w3.org/2000/svg}path")][1] == "M360.0 10v-5"


def test_a_sketch_of_what_the_clip_does_not_have_is_refused():
    with pytest.raises(PromptError, match="prefix of 2 s is outside the clip"):
        _ = sketch.sketch(Prompt.of(["prefix:seconds=2"]), CLIP)


def test_pictures_that_cannot_be_written_are_refused(tmp_path: Path):
    _ = (tmp_path / "taken").write_text("")
    with pytest.raises(OstinatoError, match="cannot write to"):
        sketch.draw(tmp_path / "taken")
