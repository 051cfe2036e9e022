"""What OpenVINO computes is what torch computes: transformers on lines and circles, the codec's layers, whole takes."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ostinato import audiofile, runtime
from ostinato.checkpoint import save
from ostinato.cli import main
from ostinato.errors import ConfigError, MissingPartError
from ostinato.lac import LAC, LACConfig
from ostinato.nn import lac
from ostinato.nn.lac import Piece, Snake
from ostinato.pipeline import load
from ostinato.prompts import Prompt
from ostinato.runtime import hand_over
from ostinato.sampling import Confidence
from ostinato.types import Audio, Grid
from tests import tiny

WAVES = LACConfig(
    grid=Grid(hop=16, codebooks=6, vocabulary=32), width_in=4, strides_in=(2, 8), width_out=16, strides_out=(8, 2)
)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module", autouse=True)
def _openvino() -> None:
    _ = pytest.importorskip("openvino", reason="openvino is not installed")


@pytest.fixture(scope="module")
def codec() -> LAC:
    with torch.random.fork_rng():
        _ = torch.manual_seed(0)
        made = LAC(WAVES).eval().requires_grad_(False)
    for snake in made.modules():
        if isinstance(snake, Snake):
            snake.alpha.copy_(torch.rand(snake.alpha.shape, generator=chance()) * 8)
    return made


@pytest.mark.parametrize("circular", [False, True], ids=["line", "circle"])
def test_a_model_gives_the_same_logits_for_any_length_and_batch(circular: bool):
    exact = tiny.model(tiny.COARSE)
    fast = deepcopy(exact)
    hand_over("openvino", LAC(WAVES), fast)
    c = exact.config
    for batch, frames in ((1, 13), (3, 29), (1, 13)):
        codes = torch.randint(c.vocabulary, (batch, c.codebooks, frames), generator=chance(frames))
        mask = torch.rand(codes.shape, generator=chance(frames)) < 0.6
        wanted = exact(codes, mask, circular=circular)
        assert torch.allclose(fast(codes, mask, circular=circular), wanted, atol=1e-4)
        bias = fast.bias(frames, circular=circular)
        assert torch.allclose(fast.hidden_logits(codes, mask, bias), wanted[mask], atol=1e-4)


@pytest.mark.parametrize(("cached", "worth"), [(200, 0), (lac.CACHED, lac.WORTH)], ids=["pieces", "as shipped"])
def test_the_codec_gives_the_same_codes_and_samples(
    codec: LAC, monkeypatch: pytest.MonkeyPatch, cached: int, worth: int
):
    monkeypatch.setattr(lac, "CACHED", cached)
    monkeypatch.setattr(lac, "WORTH", worth)
    fast = deepcopy(codec)
    hand_over("openvino", fast)
    for frames in (70, 31):
        signal = torch.randn(2, 16 * frames, generator=chance(frames))
        codes = codec.encode(signal)
        assert torch.allclose(fast.analyse(signal[:1]), codec.analyse(signal[:1]), atol=1e-5)
        assert torch.equal(fast.encode(signal), codes)
        assert torch.allclose(fast.decode(codes, 16 * frames), codec.decode(codes, 16 * frames), atol=1e-5)


def test_work_that_was_broken_off_leaves_the_codec_as_it_was(codec: LAC):
    fast, signal = deepcopy(codec), torch.randn(1, 16 * 70, generator=chance())
    hand_over("openvino", fast)
    stage = fast.encoder.stages[0]

    def broken() -> Iterator[Piece]:
        place = torch.empty(1, stage.outs, 20)
        yield from (Piece(signal[None, :, :40], slice(0, 20), place) for _ in range(stage.at_once + 1))
        raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            stage.run(broken())
    assert torch.equal(fast.encode(signal), codec.encode(signal))


@pytest.mark.parametrize("loop", [False, True], ids=["line", "loop"])
def test_a_take_is_the_same(tmp_path: Path, codec: LAC, loop: bool):
    folder = tiny.write_model(tmp_path / "model")
    save(folder / "codec", WAVES, codec)
    audio = Audio(0.1 * torch.randn(1, 1, 30000, generator=chance()), 44100)
    how = {"sampler": Confidence(steps=3), "finisher": Confidence(steps=1), "loop": loop, "redraw": True}
    slow, fast = (
        load(folder, runtime=name).vary(audio, Prompt.of(keep=["periodic:period=7"]), **how)
        for name in ("torch", "openvino")
    )
    assert torch.equal(fast.codes, slow.codes)
    assert torch.allclose(fast.audio.wave, slow.audio.wave, atol=1e-4)


def test_models_in_fewer_bits_stay_in_torch(tiny_model: Path):
    pipeline = load(tiny_model, precision="int8", runtime="openvino")
    assert pipeline.coarse.transformer.run is None
    assert load(tiny_model, runtime="openvino").coarse.transformer.run is not None


def test_a_device_that_is_not_there_is_refused_by_name(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match="a device must be one of cpu, cuda, mps, got 'tpu'"):
        _ = load(tiny_model, device="tpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runtime.devices() == ["cpu", "mps"]
    for device in ("cuda", "cuda:1"):
        with pytest.raises(ConfigError, match=f"there is no device '{device}' here, only cpu, mps"):
            _ = load(tiny_model, device=device)


def test_a_runtime_that_is_not_there_is_refused_by_name(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match="must be one of torch, openvino, got 'tensorrt'"):
        _ = load(tiny_model, runtime="tensorrt")
    with pytest.raises(ConfigError, match="openvino computes on the CPU, got device 'cuda'"):
        _ = load(tiny_model, runtime="openvino", device="cuda")
    monkeypatch.setattr(runtime, "find_spec", lambda _: None)
    with pytest.raises(MissingPartError, match="`openvino` is needed: pip install openvino"):
        _ = load(tiny_model, runtime="openvino")


def test_a_take_is_the_same_from_the_command_line(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    _ = audiofile.write(Path("loop.wav"), Audio(0.2 * torch.randn(1, 1, 22050, generator=chance()), 44100))
    for name in ("torch", "openvino"):
        flags = ["--model", str(tiny_model), "--steps", "2", "--runtime", name, "-o", f"{name}.wav"]
        assert CliRunner().invoke(main, ["vary", "loop.wav", *flags]).exit_code == 0
    assert Path("torch.wav").read_bytes() == Path("openvino.wav").read_bytes()
