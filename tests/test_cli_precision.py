"""Precision on the command line: a take tells in which it was made, and is made again by what it tells."""

import json
import shlex
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ostinato import audiofile
from ostinato.cli import main
from ostinato.errors import ConfigError
from ostinato.pipeline import load
from ostinato.types import Audio


def told(*parts: str | Path) -> dict[str, object]:
    result = CliRunner().invoke(main, [*map(str, parts), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    wave = 0.2 * torch.randn(1, 1, 44100, generator=torch.Generator().manual_seed(0))
    _ = audiofile.write(Path("loop.wav"), Audio(wave, 44100))
    return Path("loop.wav")


def test_a_take_in_int8_is_made_again_by_the_command_that_it_tells(loop: Path, tiny_model: Path):
    take = Path("take.wav")
    _ = told("vary", loop, "-o", take, "--model", tiny_model, "--precision", "int8", "--steps", "3")
    command = told("info", take)["command"]
    assert isinstance(command, str)
    assert "--precision int8" in command
    first = take.read_bytes()
    take.unlink()
    _ = told(*shlex.split(command)[1:])
    assert take.read_bytes() == first


def test_a_take_in_fp32_says_nothing_of_it(loop: Path, tiny_model: Path):
    _ = told("vary", loop, "-o", "take.wav", "--model", tiny_model, "--steps", "3")
    assert "--precision" not in str(told("info", "take.wav")["command"])


def test_speed_is_told_by_part(tiny_model: Path):
    flags = ["--model", str(tiny_model), "--section", "passes", "--seconds", "1"]
    found = told("bench", "speed", *flags)
    parts = found["parts"]
    assert isinstance(parts, list)
    assert [part["what"] for part in parts] == ["coarse pass, 1 s", "fine pass, 1 s"]
    text = CliRunner().invoke(main, ["bench", "speed", *flags]).output
    assert "published way" in text
    assert "same token likeliest in 100.0% of cells" in text


def test_a_device_that_is_not_there_is_refused_by_every_door_before_any_work(
    loop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    vary = ["vary", str(loop), "-o", str(tmp_path / "a.wav"), "--device", "cuda"]
    for door in (vary, ["serve", "--port", "0", "--device", "cuda"]):
        result = CliRunner().invoke(main, door)
        assert result.exit_code == 2, result.output
        assert "there is no device 'cuda' here" in result.stderr
    assert not list(tmp_path.glob("a*"))
    assert CliRunner().invoke(main, [*vary[:-1], "cpu"]).exit_code == 0


def test_int8_is_refused_where_there_is_none(tiny_model: Path):
    with pytest.raises(ConfigError, match="int8 runs on the CPU alone, got device 'cuda'; use bf16 there"):
        _ = load(tiny_model, precision="int8", device="cuda")
