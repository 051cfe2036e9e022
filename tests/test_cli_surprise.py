"""`ostinato surprise`: numbers in three formats that agree, a picture, and one line for each mistake."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from ostinato import audiofile
from ostinato.cli import main
from ostinato.cli.surprise import moments
from ostinato.pipeline import load
from ostinato.plot_surprise import columns
from ostinato.surprise import surprisal
from ostinato.types import Audio


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["surprise", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    wave = torch.rand(1, 2, 30000, generator=torch.Generator().manual_seed(0)) - 0.5
    _ = audiofile.write(tmp_path / "a.wav", Audio(wave, 44100))
    return tmp_path / "a.wav"


def test_all_formats_tell_what_the_library_tells(sound: Path, tiny_model: Path, tmp_path: Path):
    pipeline = load(tiny_model)
    codes, _ = pipeline.encode(audiofile.read(sound))
    bits = surprisal([pipeline.coarse, pipeline.fine], codes, passes=3)
    for suffix in ("csv", "json", "npz"):
        told = run(sound, "-o", tmp_path / f"b.{suffix}", "--passes", 3, "--model", tiny_model, "--json")
        assert json.loads(told.stdout)["values"] == str(tmp_path / f"b.{suffix}")
        assert json.loads(told.stdout)["bits"]["coarse"] == pytest.approx(float(bits[:, :4].mean()), abs=1e-3)
    with np.load(tmp_path / "b.npz") as binary:
        assert binary["bits"].shape == (2, 6, 40)
        assert np.allclose(binary["bits"], bits.numpy(), atol=1e-5)
    plain = json.loads((tmp_path / "b.json").read_text())
    assert np.allclose(plain["bits"], bits.numpy(), atol=1e-4)
    assert plain["seconds"] == pytest.approx([frame * 768 / 44100 for frame in range(40)], abs=1e-6)
    with open(tmp_path / "b.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["side", "seconds", *(f"codebook-{number}" for number in range(1, 7))]
    assert np.allclose(np.array(rows, float)[:, 2:].reshape(2, 40, 6), bits.mT.numpy(), atol=1e-4)


def test_a_loop_goes_round_and_its_frames_fill_it(sound: Path, tiny_model: Path, tmp_path: Path):
    assert run(sound, "--loop", "-o", tmp_path / "b.json", "--model", tiny_model).exit_code == 0
    seconds = json.loads((tmp_path / "b.json").read_text())["seconds"]
    assert len(seconds) % 2 == 0
    assert seconds[1] * len(seconds) == pytest.approx(30000 / 44100, abs=1e-4)


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_picture_is_drawn_and_the_story_told(sound: Path, tiny_model: Path, tmp_path: Path, suffix: str):
    result = run(sound, "--plot", tmp_path / f"b{suffix}", "--model", tiny_model)
    assert result.exit_code == 0
    assert (tmp_path / f"b{suffix}").stat().st_size > 5000
    assert "bits each, of 5" in result.stdout
    assert result.stdout.splitlines()[-1] == str(tmp_path / f"b{suffix}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", f"b{suffix}"]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("-o", "b.txt"), "cannot write b.txt: the name must end in .csv or .json or .npz"),
        (("-o", "nowhere/b.csv"), "there is no folder"),
        (("--plot", "b.jpg"), "cannot write b.jpg"),
        (("--passes", 1), "1 is not in the range x>=2"),
    ],
)
def test_mistakes_are_told_in_one_line_and_before_the_work(sound: Path, flags: tuple[object, ...], complaint: str):
    result = run(sound, *flags, "--model", "nobody")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert complaint in result.stderr


def test_the_least_likely_moments_are_apart_and_the_greatest_comes_first():
    surprise = torch.zeros(300)
    surprise[[20, 24, 100, 200]] = torch.tensor([5.0, 4.0, 9.0, 6.0])
    found = moments(surprise, 0.1)
    assert found[:3] == pytest.approx([10.0, 20.0, 2.0], abs=0.11)
    assert all(abs(one - other) >= 0.5 for one in found for other in found if one != other)
    assert len(found) == 5


def test_a_picture_has_no_more_columns_than_it_can_show():
    assert columns(torch.rand(12, 5000)).shape == (12, 2000)
    assert columns(torch.rand(7)).shape == (7,)
