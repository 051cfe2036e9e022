"""`ostinato train` and `ostinato corpus`: flags become settings, and music lists become folders."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ostinato import audiofile
from ostinato import corpus as music
from ostinato.cli import train as cli_train
from ostinato.config import plain
from ostinato.corpus import Corpus, Package, Track
from ostinato.train import presets
from ostinato.train.lm import LMTraining
from ostinato.types import Audio
from tests.test_cli import complaint, data, run


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """The runs that were started, as (kind, settings); each leaves the files that a run leaves."""
    calls: list[tuple[str, Any]] = []

    def start(run: Path, kind: str, settings: Any = None, *, watch: Any) -> None:
        calls.append((kind, settings))
        run.mkdir(exist_ok=True)
        if settings is not None:
            _ = (run / "config.json").write_text(json.dumps({"kind": kind, "settings": plain(settings)}))
        _ = (run / "log.jsonl").write_text('{"step": 20, "hours": 0.5, "mel": 0.4}\n')
        watch(20, {"step": 20, "hours": 0.5, "mel": 0.4})

    monkeypatch.setattr(cli_train, "start", start)
    return calls


def test_a_codec_run_takes_its_settings_from_a_file_and_from_flags(tmp_path: Path, begun: list[tuple[str, Any]]):
    _ = (tmp_path / "codec.json").write_text('{"batch": 4, "critic_items": 2, "loop": {"steps": 50, "seed": 3}}')
    flags = ("--config", tmp_path / "codec.json", "--set", "loop.steps=100", "--set", "train=my/music")
    told = run("train", "codec", tmp_path / "run", *flags).stdout
    assert told == f"{tmp_path}/run: step 20, 0.50 hours; best in {tmp_path}/run/best\n"
    kind, settings = begun[0]
    assert kind == "codec"
    assert (settings.batch, settings.loop.steps, settings.loop.seed, settings.train) == (4, 100, 3, "my/music")


def test_a_run_starts_with_the_defaults_and_then_goes_on_with_its_own(tmp_path: Path, begun: list[tuple[str, Any]]):
    for flags in ((), ("--set", "batch=9"), ()):
        told = data(run("train", "codec", tmp_path / "run", *flags, "--json"))
        assert told["last"] == {"step": 20, "hours": 0.5, "mel": 0.4}
    changed = replace(presets.codec(), batch=9)
    assert begun == [("codec", presets.codec()), ("codec", changed), ("codec", changed)]


def test_a_run_of_the_other_model_is_refused(tmp_path: Path, tiny_model: Path, begun: list[tuple[str, Any]]):
    flags = ("train", "lm", tmp_path / "run", "--codec", tiny_model / "codec")
    assert run(*flags, "--stage", "fine").exit_code == 0
    assert run(*flags).exit_code == 0
    assert begun[0] == begun[1]
    assert "holds a run of the other model, not of the coarse one" in complaint(run(*flags, "--stage", "coarse"))


@pytest.mark.parametrize("part", ["codec", "coarse", "fine"])
def test_a_run_may_go_on_from_a_model(tmp_path: Path, tiny_model: Path, begun: list[tuple[str, Any]], part: str):
    verb = ("codec",) if part == "codec" else ("lm", "--stage", part)
    assert run("train", verb[0], tmp_path / "run", *verb[1:], "--from", tiny_model).exit_code == 0
    _, settings = begun[0]
    assert settings.start == str(tiny_model / part)
    assert plain(settings.model) == json.loads((tiny_model / part / "config.json").read_text())
    if part != "codec":
        assert settings.codec == str(tiny_model / "codec")


@pytest.mark.parametrize(("stage", "codebooks", "given"), [("coarse", 4, 0), ("fine", 6, 4)])
def test_a_stage_fits_the_codec(
    tmp_path: Path, tiny_model: Path, begun: list[tuple[str, Any]], stage: str, codebooks: int, given: int
):
    codec = ("--codec", tiny_model / "codec")
    assert run("train", "lm", tmp_path / "run", "--stage", stage, *codec, "--set", "model.layers=2").exit_code == 0
    kind, settings = begun[0]
    assert (kind, type(settings)) == ("lm", LMTraining)
    model = settings.model
    assert (model.codebooks, model.given, model.vocabulary, model.layers) == (codebooks, given, 32, 2)


@pytest.mark.parametrize(("flags", "message"), [
    (("codec", "RUN", "--set", "batsch=3"), "CodecTraining has no setting 'batsch'; did you mean 'batch'?"),
    (("codec", "RUN", "--set", "batch"), "--set is written knob=value, such as loop.steps=100; got 'batch'"),
    (("codec", "RUN", "--set", "batch=2", "--set", "batch.size=3"), "'batch' is a single value; it has no 'size'"),
    (("codec", "RUN", "--config", "no.json"), "cannot read no.json: No such file or directory"),
    (("lm", "RUN", "--set", "batch=3"), "a new run needs --stage coarse or --stage fine"),
    (("lm", "RUN"), "a new run needs --stage coarse or --stage fine"),
    (("lm", "RUN", "--stage", "coarse", "--codec", "no"), "no is not a checkpoint: it has no config.json"),
])  # fmt: skip
def test_a_wrong_setting_is_one_line(tmp_path: Path, flags: tuple[str, ...], message: str):
    assert message in complaint(run("train", *(tmp_path / "run" if each == "RUN" else each for each in flags)))


def test_a_settings_file_that_is_not_a_table_is_one_line(tmp_path: Path):
    for text, message in (("[1]", "must hold a table of settings, got [1]"), ("{", "is not JSON")):
        _ = (tmp_path / "a.json").write_text(text)
        assert message in complaint(run("train", "codec", tmp_path / "run", "--config", tmp_path / "a.json"))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A list of two packages, one song each."""
    tracks = [
        Track("one", "1", "share/a.ogg", 3600.0, 44100, 2, "CC0-1.0", "Ada", "train", "0" * 64),
        Track("two", "2", "share/b.ogg", 1800.0, 44100, 2, "Expat", "Bob", "test", "1" * 64),
    ]
    packages = [Package("one", "1", "2" * 64, "train"), Package("two", "2", "3" * 64, "test")]
    music.write_list(Corpus(tuple(tracks), tuple(packages)), tmp_path / "recipe")
    return tmp_path / "recipe"


def test_the_list_tells_hours_and_licences(recipe: Path):
    told = data(run("corpus", "list", "--list", recipe, "--json"))
    assert told["hours"] == {"train": 1.0, "test": 0.5}
    assert [(row["package"], row["licences"]) for row in told["packages"]] == [("one", ["CC0-1.0"]), ("two", ["Expat"])]
    text = run("corpus", "list", "--list", recipe, "--split", "test").stdout
    assert "two" in text
    assert "one" not in text
    assert "a split is one of" in complaint(run("corpus", "list", "--list", recipe, "--split", "tset"))
    assert "no corpus list at" in complaint(run("corpus", "list", "--list", recipe / "none"))


def test_the_page_of_thanks_names_who_made_the_training_music(recipe: Path):
    text = run("corpus", "thanks", "--list", recipe).stdout
    assert "Ada" in text
    assert "Bob" not in text


def test_fetch_asks_for_the_chosen_splits(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def fetch(corpus: Corpus, root: Path, *, debs: Path | None, watch: Any) -> tuple[Path, ...]:
        watch("one", 0, 1)
        asked.append(([track.package for track in corpus.tracks], root, debs))
        return tuple(root / package.name for package in corpus.packages)

    monkeypatch.setattr(music, "fetch", fetch)
    told = run("corpus", "fetch", tmp_path / "raw", "--list", recipe, "--split", "train", "--debs", tmp_path / "debs")
    assert told.stdout == f"1 tracks of 1 packages in {tmp_path}/raw\n"
    assert asked == [(["one"], tmp_path / "raw", tmp_path / "debs")]


def test_a_folder_of_ones_own_is_prepared_and_what_is_no_audio_is_named(tmp_path: Path):
    (tmp_path / "own").mkdir()
    wave = torch.rand(1, 1, 22050, generator=torch.Generator().manual_seed(0)) - 0.5
    _ = audiofile.write(tmp_path / "own/song.wav", Audio(wave, 22050))
    _ = (tmp_path / "own/notes.txt").write_text("not audio")
    told = run("corpus", "prepare", tmp_path / "own", tmp_path / "ready", "--own").stdout
    assert "skipped" in told
    assert audiofile.info(tmp_path / "ready/song.wav").sample_rate == 44100
    made = data(run("corpus", "prepare", tmp_path / "own", tmp_path / "ready", "--own", "--json"))
    assert (made["files"], len(made["skipped"])) == (1, 1)


def test_what_was_not_fetched_cannot_be_prepared(recipe: Path, tmp_path: Path):
    flags = ("corpus", "prepare", tmp_path / "raw", tmp_path / "ready", "--list", recipe)
    assert "has not been fetched" in complaint(run(*flags))
