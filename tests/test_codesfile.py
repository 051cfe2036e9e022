"""Codes on disk: what goes in comes out, and a file that is cut, foreign or inconsistent is refused by name."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ostinato import codesfile
from ostinato.codesfile import Origin
from ostinato.config import plain
from ostinato.errors import AudioError
from ostinato.image import BANDS
from ostinato.stereo import written
from ostinato.types import Grid

GRID = Grid(sample_rate=8000, hop=100, codebooks=4, vocabulary=64)
ORIGIN = Origin(grid=GRID, sample_rate=44100, channels=2, samples=5000, model="tiny", hash="0123")


GOLDEN = Path(__file__).parent / "golden" / "version1.safetensors"


def draw(*shape: int, vocabulary: int = 64) -> torch.Tensor:
    return torch.randint(vocabulary, shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("codebooks", [1, 3, 4])
def test_what_is_written_is_what_is_read(tmp_path: Path, codebooks: int):
    codes = draw(2, codebooks, 30)
    codesfile.write(tmp_path / "a.safetensors", codes, ORIGIN)
    back, origin = codesfile.read(tmp_path / "a.safetensors")
    assert origin == ORIGIN == codesfile.info(tmp_path / "a.safetensors")
    assert torch.equal(back, codes)
    assert back.dtype == torch.int64


def test_a_file_of_the_first_version_is_read():
    codes, origin = codesfile.read(GOLDEN)
    assert torch.equal(codes, draw(2, 4, 10))
    assert origin == replace(ORIGIN, version=1)


@pytest.mark.parametrize("circular", [False, True])
def test_a_lean_comes_back_within_half_a_step(tmp_path: Path, circular: bool):
    looks = 1 if circular else 9
    lean = 2 * torch.rand(looks, BANDS, generator=torch.Generator().manual_seed(0)) - 1
    origin = replace(ORIGIN, samples=95_000, circular=circular, lean=written(lean))
    codesfile.write(tmp_path / "a.safetensors", draw(2, 4, 30), origin)
    found = codesfile.read(tmp_path / "a.safetensors")[1].found
    assert found is not None
    assert found.shape == lean.shape
    assert float((found - lean).abs().max()) <= 1 / 14 + 1e-6


def test_what_leans_nowhere_has_no_lean():
    assert written(torch.full((9, BANDS), 0.07)) == ""
    assert ORIGIN.found is None


@pytest.mark.parametrize("change", [{"lean": "d3d3"}, {"lean": "!"}, {"lean": "/" * 6 + "8="}, {"channels": 1}])
def test_a_lean_that_does_not_fit_is_neither_written_nor_read(tmp_path: Path, change: dict[str, Any]):
    origin = replace(ORIGIN, **({"lean": written(torch.ones(1, BANDS))} | change))
    path, codes = tmp_path / "a.safetensors", draw(origin.channels, 4, 30)
    with pytest.raises(AudioError, match="lean"):
        codesfile.write(path, codes, origin)
    save_file({"codes": codes}, path, metadata={"ostinato": json.dumps(plain(origin))})
    for read in (codesfile.read, codesfile.info):
        with pytest.raises(AudioError, match="lean"):
            _ = read(path)


def test_a_token_costs_two_bytes_until_the_vocabulary_is_too_large(tmp_path: Path):
    large = Origin(**(vars(ORIGIN) | {"grid": Grid(vocabulary=40_000)}))
    high = torch.full((2, 4, 30), 39_999)
    codesfile.write(tmp_path / "a.safetensors", draw(2, 4, 30), ORIGIN)
    codesfile.write(tmp_path / "b.safetensors", high, large)
    assert load_file(tmp_path / "a.safetensors")["codes"].dtype == torch.int16
    assert torch.equal(codesfile.read(tmp_path / "b.safetensors")[0], high)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (draw(1, 4, 30), r"codes must be 2 x 1 to 4 x frames, got \(1, 4, 30\)"),
        (draw(2, 5, 30), "codes must be 2 x 1 to 4 x frames"),
        (draw(2, 4, 0), "codes must be 2 x 1 to 4 x frames"),
        (draw(2, 4, 30) + 40, "codes must be between 0 and 63, got 40 to"),
        (draw(2, 4, 30) - 1, "codes must be between 0 and 63, got -1"),
    ],
)
def test_codes_that_do_not_fit_their_origin_are_neither_written_nor_read(
    tmp_path: Path, codes: torch.Tensor, message: str
):
    with pytest.raises(AudioError, match=message):
        codesfile.write(tmp_path / "a.safetensors", codes, ORIGIN)
    assert list(tmp_path.iterdir()) == []
    save_file({"codes": codes}, tmp_path / "a.safetensors", metadata={"ostinato": json.dumps(plain(ORIGIN))})
    with pytest.raises(AudioError, match=message):
        _ = codesfile.read(tmp_path / "a.safetensors")


def foreign(path: Path, metadata: dict[str, str] | None, name: str = "codes") -> Path:
    save_file({name: draw(2, 4, 30)}, path, metadata=metadata)
    return path


def test_a_file_that_is_not_ours_is_refused_in_one_line(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(AudioError, match="there is no codes file"):
        _ = codesfile.read(path)
    path.write_text("words")
    with pytest.raises(AudioError, match="is damaged or not a safetensors file"):
        _ = codesfile.read(path)
    for metadata in (None, {"ostinato": "not JSON"}, {"ostinato": "[" * 3000}, {"other": "{}"}):
        with pytest.raises(AudioError, match="is not a codes file; `ostinato encode` makes one"):
            _ = codesfile.read(foreign(path, metadata))
    with pytest.raises(AudioError, match="it has no tensor 'codes'"):
        _ = codesfile.read(foreign(path, {"ostinato": json.dumps(plain(ORIGIN))}, "weights"))
    later = plain(ORIGIN) | {"version": 3}
    with pytest.raises(
        AudioError, match=r"not a codes file of version 2: Origin\.version must be between 1 and 2, got 3"
    ):
        _ = codesfile.read(foreign(path, {"ostinato": json.dumps(later)}))


def test_a_cut_file_is_refused(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    codesfile.write(path, draw(2, 4, 30), ORIGIN)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(AudioError, match="is damaged or not a safetensors file"):
        _ = codesfile.read(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.wav", r"the name must end in \.safetensors"),
        ("no/a.safetensors", "there is no folder"),
        ("taken.safetensors", "it is a folder"),
    ],
)
def test_a_place_that_takes_no_codes_is_refused(tmp_path: Path, name: str, message: str):
    (tmp_path / "taken.safetensors").mkdir()
    with pytest.raises(AudioError, match=message):
        codesfile.write(tmp_path / name, draw(2, 4, 30), ORIGIN)


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    codesfile.write(tmp_path / "a.safetensors", draw(2, 4, 30), ORIGIN)
    before = (tmp_path / "a.safetensors").read_bytes()

    def fail(path: Path, data: bytes) -> None:
        with open(path, "wb") as file:
            _ = file.write(data[:9])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(AudioError, match="No space left on device"):
        codesfile.write(tmp_path / "a.safetensors", draw(2, 3, 9), ORIGIN)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]
