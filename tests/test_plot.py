"""The picture: it shows every take, survives any length and rate, and says what is missing."""

import sys
from pathlib import Path

import pytest
import torch

from ostinato import plot
from ostinato.errors import MissingPartError, OstinatoError
from ostinato.masks import every
from ostinato.types import Audio, Beats, Grid, Take

GRID = Grid(sample_rate=8000, hop=100, codebooks=4, vocabulary=64)


def sound(samples: int = 8000, channels: int = 1, rate: int = 8000) -> Audio:
    chance = torch.Generator().manual_seed(samples)
    return Audio(torch.rand(1, channels, samples, generator=chance) - 0.5, rate)


def takes(audio: Audio, mask: torch.Tensor, count: int) -> list[Take]:
    codes = torch.zeros(1, *mask.shape, dtype=torch.long)
    return [Take(audio, codes, mask[None], seed) for seed in range(count)]


def draw(path: Path, audio: Audio, count: int = 2) -> tuple[int, int]:
    """Width and height of the picture, in pixels."""
    from matplotlib.image import imread

    mask = ~every(GRID.frames(audio.seconds), 7).expand(4, -1)
    assert plot.picture(path, audio, mask, takes(audio, mask, count), GRID, prompt=", keep periodic") == path
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    height, width, _ = imread(path).shape
    return width, height


def test_a_take_more_is_a_panel_more(tmp_path: Path):
    sizes = [draw(tmp_path / "a.png", sound(), count) for count in (0, 1, 3)]
    assert len({width for width, _ in sizes}) == 1
    one, three = sizes[1][1] - sizes[0][1], sizes[2][1] - sizes[0][1]
    assert three == pytest.approx(3 * one, abs=3)
    assert one > 200


@pytest.mark.parametrize(
    "audio", [sound(50), sound(9000, channels=2), sound(3000, rate=1000), sound(19200, rate=192_000)]
)
def test_any_rate_and_length_can_be_drawn(tmp_path: Path, audio: Audio):
    assert min(draw(tmp_path / "a.png", audio, 1)) > 400


def test_beats_are_ticks_under_the_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from matplotlib.axes import Axes

    drawn: list[tuple[float, ...]] = []
    monkeypatch.setattr(Axes, "vlines", lambda panel, times, *_, **__: drawn.append(tuple(times)))
    audio = sound()
    mask = ~every(GRID.frames(audio.seconds), 7).expand(4, -1)
    beats = Beats((0.1, 0.6), (0.6,))
    _ = plot.picture(tmp_path / "a.png", audio, mask, takes(audio, mask, 1), GRID, beats=beats)
    assert drawn == [(0.1, 0.6), (0.6,)]


def test_silence_can_be_drawn(tmp_path: Path):
    assert min(draw(tmp_path / "a.png", Audio(torch.zeros(1, 1, 8000), 8000), 1)) > 400


def test_a_long_sound_has_no_more_columns_than_the_picture(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plot, "COLUMNS", 50)
    assert plot._decibels(sound(2048 * 600)).shape == (plot.MELS, 50)


def test_the_frequency_axis_rises():
    bands = [plot._band(hertz, 44100) for hertz in plot.TICKS]
    assert bands == sorted(set(bands))
    assert 0 < bands[0] < bands[-1] < plot.MELS


@pytest.mark.parametrize("name", ["a.jpg", "no/a.png", "taken.png"])
def test_a_place_that_takes_no_picture_is_refused(tmp_path: Path, name: str):
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(OstinatoError, match="cannot write"):
        _ = plot.check(tmp_path / name)


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from matplotlib.figure import Figure

    def fail(_: Figure, path: Path, **__: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OstinatoError, match=r"cannot write .*a\.png: No space left on device"):
        _ = draw(tmp_path / "a.png", sound())
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_cure_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPartError, match="pip install matplotlib"):
        _ = plot.check(tmp_path / "a.png")
