"""The measure of compression: true bits of whole files, every system on the same passages, and who is ahead."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from ostinato import audiofile
from ostinato.checkpoint import write_tensors
from ostinato.cli import main
from ostinato.cli.bench_compress import draw, report
from ostinato.compress import Rung
from ostinato.context import CONTEXT
from ostinato.errors import ConfigError, MissingPartError
from ostinato.evaluate.compression import Point, System, codec2, leads, rung_text, rungs, score, sizes, systems
from ostinato.evaluate.estimates import estimate, quiet
from ostinato.evaluate.passages import passages
from ostinato.pipeline import Pipeline, load
from ostinato.types import Audio, Grid
from tests.foretold import context_model
from tests.tiny import GRID, write_model

RATE = 44100


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two songs of 4 s, plucked, one of them wide."""
    folder, time = tmp_path_factory.mktemp("music"), torch.arange(4 * RATE) / RATE
    for number, pitch in enumerate((110, 196)):
        wave = 0.2 * (2 * math.pi * pitch * time).sin() * (-6 * (2 * time % 1)).exp()
        _ = audiofile.write(folder / f"{number}.wav", Audio(torch.stack([wave, wave.roll(99 * number)])[None], RATE))
    return folder


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    folder = write_model(tmp_path_factory.mktemp("models") / "tiny")
    write_tensors(folder / CONTEXT, context_model(GRID).tensors())
    return load(folder)


def point(family: str, mel: list[float], zimtohrli: list[float], frechet: float) -> Point:
    each = {"mel": mel, "zimtohrli": zimtohrli}
    return Point(family, "x", 600, {judge: estimate(values) for judge, values in each.items()}, frechet, each)


def two(table: dict[tuple[str, str], System]) -> dict[tuple[str, str], System]:
    """The first system and its first rival."""
    return {key: table[key] for key in (("ostinato", "--rate 6000"), ("the codec alone", "1 codebook"))}


def test_the_lead_counts_passage_by_passage_and_the_right_way_round():
    points = [
        point("ostinato", [0.2, 0.3], [3.0, 2.5], 10.0),
        point("ostinato", [0.1, 0.1], [4.0, 4.0], 1.0),
        point("the codec alone", [0.3, 0.5], [2.0, 2.0], 12.0),
        point("the codec alone", [0.1, 0.1], [4.0, 4.0], 2.0),
        point("Opus", [0.1, 0.1], [3.5, 3.0], 9.0),
    ]
    alone, opus = leads(points)
    assert (alone.rival, opus.rival) == ("the codec alone, x", "Opus, x")
    assert alone.judged["mel"].mean == pytest.approx(0.15)
    assert alone.judged["zimtohrli"].mean == pytest.approx(0.75)
    assert (alone.frechet, opus.frechet) == (2.0, -1.0)
    assert opus.judged["zimtohrli"].mean == pytest.approx(-0.5)


def test_steps_are_told_in_words():
    assert [rung_text(rung) for rung in rungs(Grid())[-3:]] == [
        "4 codebooks, 1 of 2 frames",
        "6 codebooks",
        "12 codebooks",
    ]
    assert rung_text(Rung((1,))) == "1 codebook"


def test_every_system_is_heard_on_the_same_passages(pipeline: Pipeline, split: Path):
    chosen = passages(split, 2, 3.5, 0, RATE)
    table = systems(pipeline, 6000.0, others=False)
    few = two(table)
    found = list(score(few, chosen, ["mel"], quiet))
    assert [(each.family, each.system) for each in found] == list(few)
    assert found[0].bits_per_second <= 6000
    assert all(len(each.passages["mel"]) == 2 and each.judged["mel"].count == 2 for each in found)
    assert {family for family, _ in table} == {"ostinato", "ostinato, drawn", "the codec alone"}


def test_an_unknown_judge_is_refused(pipeline: Pipeline):
    with pytest.raises(ConfigError, match="no judge 'ear'"):
        _ = list(score({}, [], ["ear"], quiet))


def test_files_cost_what_they_weigh(pipeline: Pipeline, split: Path):
    found = {each.what: each for each in sizes(pipeline, split, passages(split, 2, 3.5, 0, RATE), quiet)}
    assert list(found) == [
        "mono, one codebook",
        "mono, all codebooks",
        "stereo, one codebook and an image",
        "stereo, all codebooks",
    ]
    rates = [each.bits_per_second.mean for each in found.values()]
    assert rates[0] < rates[2] < rates[1] < rates[3]


def test_tables_and_curves_have_all_systems(tmp_path: Path):
    points = [point("ostinato", [0.2], [3.0], 10.0), point("Opus", [0.1], [3.5], 9.0)]
    told = report([], points, ["mel", "zimtohrli"])
    assert "x is ahead of" in told
    assert "-0.50 [-0.50, -0.50]" in told
    draw(tmp_path / "a.svg", points, ["mel", "zimtohrli"])
    assert "true bits a second" in (tmp_path / "a.svg").read_text()


def test_codec2_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(MissingPartError, match="apt-get install -y --no-install-recommends codec2"):
        _ = codec2(Audio(torch.ones(1, 1, RATE), RATE))


@pytest.mark.skipif(shutil.which("c2enc") is None, reason="codec2 is not installed")
def test_codec2_keeps_length_and_costs_3200_bits_a_second(split: Path):
    sound = passages(split, 1, 3.5, 0, RATE)[0].audio
    heard, bits = codec2(sound)
    assert heard.wave.shape == sound.wave.shape
    assert bits / sound.seconds == pytest.approx(3200, rel=0.02)


def test_the_command_writes_figures_and_a_picture(
    pipeline: Pipeline,
    split: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("ostinato.cli.bench_compress.systems", lambda *_, **__: two(systems(pipeline, 6000.0)))
    words = ["bench", "compress", "--model", pipeline.folder, "--split-dir", split, "--passages", 2, "--seconds", 3.5]
    with pytest.raises(SystemExit) as done:
        main(
            [str(word) for word in [*words, "--rate", 6000, "--judge", "mel", "--no-others", "-o", tmp_path, "--json"]]
        )
    assert done.value.code == 0
    data = json.loads(capsys.readouterr().out)
    assert data == json.loads((tmp_path / "compress.json").read_text())
    assert data["points"][0]["system"] == "--rate 6000"
    assert [each["rival"] for each in data["leads"]] == ["the codec alone, 1 codebook"]
    assert (tmp_path / "compress.svg").is_file()
