"""The examples run, and do what their first lines say."""

import runpy
import sys
from pathlib import Path

import pytest
import torch

import ostinato

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    noise = torch.randn(1, 1, 2 * 44100, generator=torch.Generator().manual_seed(0))
    _ = ostinato.write(tmp_path / "loop.wav", ostinato.Audio(0.1 * noise, 44100))
    return tmp_path / "loop.wav"


def run(monkeypatch: pytest.MonkeyPatch, name: str, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
    _ = runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_every_example_is_run_here():
    assert sorted(path.name for path in EXAMPLES.iterdir()) == ["redo_a_bar.py", "token_telephone.py", "variations.py"]


def test_variations_are_written(loop: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "out").mkdir()
    run(monkeypatch, "variations.py", loop, tmp_path / "out", tiny_model)
    takes = [ostinato.read(path) for path in sorted((tmp_path / "out").iterdir())]
    assert [take.samples for take in takes] == [2 * 44100] * 4
    assert not torch.equal(takes[0].wave, takes[3].wave)


def test_a_bar_is_played_again_and_the_rest_stays(
    loop: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    run(monkeypatch, "redo_a_bar.py", loop, tmp_path / "take.wav", 240, tiny_model)
    before, after = ostinato.read(loop).wave, ostinato.read(tmp_path / "take.wav").wave
    assert torch.equal(before[..., :43000], after[..., :43000])
    assert not torch.equal(before[..., 46000:86000], after[..., 46000:86000])


def test_hops_are_told(
    loop: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "out").mkdir()
    run(monkeypatch, "token_telephone.py", loop, tmp_path / "out", tiny_model)
    assert len(list((tmp_path / "out").iterdir())) == 3
    assert capsys.readouterr().out.count("hop ") == 3
