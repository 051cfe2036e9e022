"""Checkpoints come back as they went, or not at all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from ostinato.checkpoint import (
    CONFIG,
    WEIGHTS,
    digest,
    load_model,
    read_config,
    read_tensors,
    restore,
    save,
    write_tensors,
)
from ostinato.errors import CheckpointError, ConfigError
from ostinato.lm import LMConfig, MaskedModel
from tests import tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path / "model", tiny.COARSE, tiny.model())
    return tmp_path / "model"


def test_a_module_comes_back_to_the_bit(folder: Path):
    again = MaskedModel(read_config(folder, LMConfig))
    restore(folder, again)
    for key, value in tiny.model().state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


def test_half_precision_is_stored_in_half_the_bytes_and_read_in_full(tmp_path: Path, folder: Path):
    save(tmp_path / "half", tiny.COARSE, tiny.model(), dtype=torch.float16)
    again = MaskedModel(tiny.COARSE)
    restore(tmp_path / "half", again)
    assert again.hidden.dtype == torch.float32
    assert (tmp_path / "half" / WEIGHTS).stat().st_size < 0.6 * (folder / WEIGHTS).stat().st_size


def test_nothing_is_left_beside_a_checkpoint(folder: Path):
    assert sorted(p.name for p in folder.iterdir()) == [CONFIG, WEIGHTS]


def test_a_failed_write_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch):
    before = (folder / WEIGHTS).read_bytes()

    def fail(_: object, part: Path, **__: object) -> None:
        _ = part.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("ostinato.checkpoint.save_file", fail)
    files = list(folder.iterdir())
    with pytest.raises(CheckpointError, match="disk full"):
        write_tensors(folder / WEIGHTS, {"a": torch.zeros(1)})
    assert (folder / WEIGHTS).read_bytes() == before
    assert list(folder.iterdir()) == files


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_cut_weights_are_refused(folder: Path, length: int):
    data = (folder / WEIGHTS).read_bytes()
    _ = (folder / WEIGHTS).write_bytes(data[:length])
    with pytest.raises(CheckpointError, match="damaged or not a safetensors file"):
        read_tensors(folder / WEIGHTS)


def test_a_missing_a_foreign_and_a_misshapen_tensor_are_named(folder: Path):
    good = read_tensors(folder / WEIGHTS)
    write_tensors(folder / WEIGHTS, {k: v for k, v in good.items() if k != "hidden"})
    with pytest.raises(CheckpointError, match="lacks the tensor 'hidden'"):
        restore(folder, MaskedModel(tiny.COARSE))
    write_tensors(folder / WEIGHTS, {**good, "extra": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="holds a tensor 'extra'"):
        restore(folder, MaskedModel(tiny.COARSE))
    write_tensors(folder / WEIGHTS, {**good, "hidden": torch.zeros(4, 9)})
    with pytest.raises(CheckpointError, match=r"'hidden' must be \(4, 8\), got \(4, 9\)"):
        restore(folder, MaskedModel(tiny.COARSE))


def test_a_folder_without_a_config_and_a_broken_one_are_refused(tmp_path: Path, folder: Path):
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        read_config(tmp_path, LMConfig)
    for text in ("{", "[" * 3000):
        _ = (folder / CONFIG).write_text(text, encoding="utf-8")
        with pytest.raises(CheckpointError, match="is not JSON"):
            read_config(folder, LMConfig)


def test_an_unknown_setting_in_a_checkpoint_is_named(folder: Path):
    settings = json.loads((folder / CONFIG).read_text())
    _ = (folder / CONFIG).write_text(json.dumps({**settings, "widht": 3}))
    with pytest.raises(ConfigError, match="no setting 'widht'; did you mean 'width'"):
        read_config(folder, LMConfig)


def test_the_digest_changes_with_one_byte_and_one_setting(folder: Path):
    first = digest(folder)
    save(folder, LMConfig(codebooks=4, vocabulary=32, width=32, layers=2, heads=4), tiny.model())
    second = digest(folder)
    module = tiny.model()
    assert isinstance(module, nn.Module)
    module.hidden.data[0, 0] += 1
    save(folder, tiny.COARSE, module)
    assert len({first, second, digest(folder)}) == 3


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_a_module_without_weights_takes_those_of_the_file_in_its_own_precision(
    tmp_path: Path, dtype: torch.dtype | None
):
    model = tiny.model()
    save(tmp_path, tiny.COARSE, model, dtype=dtype)
    with torch.device("meta"):
        again = MaskedModel(tiny.COARSE)
    restore(tmp_path, again)
    for key, value in model.state_dict().items():
        found = again.state_dict()[key]
        assert found.dtype == value.dtype
        assert torch.equal(found, value if dtype is None else value.to(dtype).to(value.dtype)), key


def test_weights_that_are_used_as_they_lie_in_a_file_outlive_it(tmp_path: Path):
    save(tmp_path / "m", tiny.COARSE, tiny.model())
    model = load_model(tmp_path / "m")
    save(tmp_path / "m", tiny.COARSE, tiny.model(seed=1))
    assert torch.equal(model.classify.weight, tiny.model().classify.weight)


def test_loading_draws_nothing_and_has_torch_import_no_compiler(folder: Path):
    loading = (
        f"from ostinato.checkpoint import load_model; from pathlib import Path; _ = load_model(Path({str(folder)!r}))"
    )
    found = "import sys; print({'torch._dynamo', 'sympy'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", f"{loading}; {found}"], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"
