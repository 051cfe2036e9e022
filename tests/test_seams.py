"""Joins are found where they are, and a loop made as a line has a seam that one made as a circle has not."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ostinato import audiofile, filling
from ostinato.cli import main
from ostinato.errors import ConfigError
from ostinato.evaluate import seams
from ostinato.pipeline import Pipeline, load
from ostinato.prompts import Prompt
from ostinato.types import Audio

SEVENTH = Prompt.of(["periodic:period=7"])
SOUND = Audio(torch.randn(1, 2, 60 * 768, generator=torch.Generator().manual_seed(0)) * 0.05, 44100)


@pytest.fixture(autouse=True)
def _short_windows(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(filling, "SPAN", 16)
    monkeypatch.setattr(filling, "OVERLAP", 4)
    monkeypatch.setattr(filling, "FINE_SPAN", 12)
    monkeypatch.setattr(filling, "FINE_OVERLAP", 3)
    monkeypatch.setattr(seams, "TURNS", 3)


@pytest.fixture(scope="module")
def pipeline(tiny_model: Path) -> Pipeline:
    return load(tiny_model)


def silent(stage: str, done: int, total: int) -> None:
    assert 0 < done <= total


def test_every_join_of_every_channel_is_measured(pipeline: Pipeline):
    take, reconstruction = seams.window_seams(pipeline, [SOUND, SOUND], SEVENTH, 0, silent)
    assert take.joins == reconstruction.joins == 2 * 2 * 4
    assert 0.02 < take.flux < 3
    assert 0.2 < take.jump < 3


def test_loops_are_measured_as_circles_as_lines_and_as_they_are(pipeline: Pipeline):
    scores = seams.loop_seams(pipeline, SOUND, SEVENTH, 0, silent)
    assert [(score.what, score.joins) for score in scores] == [
        ("loop, take", 6), ("loop, take as a line", 6), ("loop, input", 6),
    ]  # fmt: skip
    step = Audio(torch.cat([SOUND.wave, SOUND.wave + 3], -1), 44100)
    assert seams._measured(step, [0])[1].min() > 10 * seams._measured(SOUND, [0])[1].max()


def test_music_of_one_window_has_no_joins(pipeline: Pipeline):
    short = Audio(SOUND.wave[..., : 10 * 768], 44100)
    with pytest.raises(ConfigError, match=r"music of 0\.174\d* s has no place where windows meet"):
        _ = seams.window_seams(pipeline, [short], SEVENTH, 0, silent)


def test_the_command_tells_every_score(tiny_model: Path, tmp_path: Path):
    (tmp_path / "music").mkdir()
    _ = audiofile.write(tmp_path / "music/a.wav", SOUND)
    _ = audiofile.write(tmp_path / "loop.wav", SOUND)
    command = ["bench", "seams", "--model", tiny_model, "--split-dir", tmp_path / "music", "--passages", 1]
    command += ["--seconds", 1, "--loop", tmp_path / "loop.wav"]
    result = CliRunner().invoke(main, [*map(str, command), "--json"], catch_exceptions=False)
    assert len(json.loads(result.stdout)["scores"]) == 5
    text = CliRunner().invoke(main, list(map(str, command)), catch_exceptions=False).stdout
    assert text.splitlines()[0].split() == ["where", "joins", "flux", "jump"]
