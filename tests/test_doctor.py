"""The doctor: it measures, finds damage to the last bit, and names what is missing with its cure."""

import shutil
from pathlib import Path

import pytest
import torch

from ostinato import doctor
from ostinato.audiofile import sha256
from ostinato.speed import matmul_speed


def model(folder: Path) -> Path:
    (folder / "codec").mkdir()
    lines = []
    for name in ("codec/config.json", "codec/weights.safetensors"):
        (folder / name).write_bytes(name.encode() * 50)
        lines.append(f"{sha256(folder / name)}  {name}\n")
    (folder / doctor.SUMS).write_text("".join(lines))
    return folder


def test_versions_and_machine_have_no_blanks():
    assert all(doctor.versions().values())
    here = doctor.machine()
    assert here["cores"] >= 1
    assert here["threads"] >= 1
    assert all(here[key] for key in ("system", "processor", "omp_wait_policy", "devices"))


def test_a_processor_has_a_name_without_a_list_of_processors(monkeypatch: pytest.MonkeyPatch):
    def deny(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", deny)
    assert doctor._processor()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_speed_is_measured(dtype: torch.dtype):
    assert 0.001 < matmul_speed(dtype, size=64, seconds=0.02) < 1e6


def test_a_whole_model_has_nothing_wrong(tmp_path: Path):
    assert doctor.verify(model(tmp_path)) == []


def test_one_flipped_bit_is_found(tmp_path: Path):
    path = model(tmp_path) / "codec/weights.safetensors"
    data = bytearray(path.read_bytes())
    data[17] ^= 1
    path.write_bytes(data)
    assert [f"{path} is damaged" in line for line in doctor.verify(tmp_path)] == [True]


def test_a_lost_file_is_found_and_without_a_list_nothing_is(tmp_path: Path):
    path = model(tmp_path) / "codec/config.json"
    path.unlink()
    assert doctor.verify(tmp_path) == [f"{path} is missing; install ostinato again"]
    assert doctor.listed(tmp_path)
    (tmp_path / doctor.SUMS).unlink()
    assert not doctor.listed(tmp_path)
    assert doctor.verify(tmp_path) == []


def test_what_is_missing_comes_with_its_cure(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "visqol" else object())
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "opusenc" else f"/usr/bin/{name}")
    assert [(part["part"], part["get"]) for part in doctor.missing()] == [
        ("visqol", "pip install visqol-python"),
        ("opusenc", "apt-get install opus-tools"),
    ]
