"""Export: what the ONNX files say is what the model says, at any length.

Files are written by a program of its own, in which no annotation is executed: torch traces with lengths that are not
whole numbers yet.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ostinato.checkpoint import save
from ostinato.codec import SpectralCodec
from ostinato.errors import CheckpointError
from ostinato.export import export_onnx
from ostinato.lac import LAC, LACConfig
from ostinato.pipeline import Pipeline, load
from ostinato.types import Grid
from tests import tiny

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
_ = pytest.importorskip("onnxscript", reason="onnxscript is not installed")

WAVES = LACConfig(
    grid=Grid(hop=16, codebooks=6, vocabulary=32), width_in=4, strides_in=(2, 8), width_out=16, strides_out=(8, 2)
)


@pytest.fixture(scope="module", params=["lac", "spectral"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, Path]:
    folder = tiny.write_model(tmp_path_factory.mktemp("models") / request.param)
    if request.param == "lac":
        with torch.random.fork_rng():
            _ = torch.manual_seed(0)
            save(folder / "codec", WAVES, LAC(WAVES))
    command = [sys.executable, "-c", "from ostinato.cli import main; main()"]
    flags = ["export", "--model", str(folder), "--onnx", str(folder / "onnx"), "--json"]
    told = subprocess.run([*command, *flags], check=True, capture_output=True, text=True)
    assert [Path(file).stem for file in json.loads(told.stdout)["files"]] == ["encoder", "coarse", "fine", "decoder"]
    return load(folder), folder / "onnx"


def ran(path: Path, **inputs: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {name: value.numpy() for name, value in inputs.items()})[0])


@pytest.mark.parametrize("frames", [24, 37])
def test_every_file_says_what_the_model_says(exported: tuple[Pipeline, Path], frames: int):
    pipeline, folder = exported
    chance = torch.Generator().manual_seed(frames)
    signal = 0.3 * torch.randn(1, frames * pipeline.grid.hop, generator=chance)
    codec = pipeline.codec
    assert isinstance(codec, LAC | SpectralCodec)
    codes = ran(folder / "encoder.onnx", signal=signal)
    assert torch.equal(codes, codec.tokens(signal))
    wave = codec.render(codec.quantizer.decode(codes))
    assert torch.allclose(ran(folder / "decoder.onnx", codes=codes), wave, atol=1e-4)
    for name, model in (("coarse", pipeline.coarse), ("fine", pipeline.fine)):
        seen = codes[:, : model.config.codebooks]
        mask = torch.rand(seen.shape, generator=chance) < 0.5
        logits = model(seen, mask)
        found = ran(folder / f"{name}.onnx", codes=seen, mask=mask)
        assert torch.allclose(found, logits, atol=1e-4)
        assert torch.equal(found.argmax(-1), logits.argmax(-1))


def test_nothing_but_the_files_is_left(exported: tuple[Pipeline, Path]):
    names = {path.name.removesuffix(".data") for path in exported[1].iterdir()}
    assert names == {"encoder.onnx", "coarse.onnx", "fine.onnx", "decoder.onnx"}


def test_models_in_fewer_bits_are_refused(tiny_model: Path, tmp_path: Path):
    with pytest.raises(CheckpointError, match="only models in fp32 can be exported, 'tiny' is in int8"):
        _ = export_onnx(load(tiny_model, precision="int8"), tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()
