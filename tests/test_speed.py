"""The speed bench: the published way computes what ours does, and what is measured adds up."""

import time
from pathlib import Path

import pytest
import torch

from ostinato import speed
from ostinato.interop.published_pass import published_pass, published_wave
from ostinato.lac import LAC, LACConfig
from ostinato.lm import LMConfig
from ostinato.types import Grid
from tests import tiny

CODEC = LACConfig(
    grid=Grid(hop=16, codebooks=6, vocabulary=32), width_in=4, strides_in=(2, 8), width_out=16, strides_out=(8, 2)
)


@pytest.mark.parametrize("settings", [tiny.COARSE, tiny.FINE], ids=["coarse", "fine"])
def test_the_published_way_of_a_pass_gives_the_same_logits(settings: LMConfig):
    model = tiny.model(settings)
    codes, mask = speed._question(settings, 13)
    assert torch.allclose(published_pass(model, codes, mask), model(codes, mask), atol=1e-5)


def test_the_published_way_of_the_codec_gives_the_same_features_and_samples():
    with torch.random.fork_rng():
        _ = torch.manual_seed(0)
        codec = LAC(CODEC).eval().requires_grad_(False)
    signal = torch.randn(1, 16 * 20, generator=torch.Generator().manual_seed(2))
    features = codec.analyse(signal)
    assert torch.allclose(published_wave(codec.encoder, signal[:, None]).transpose(1, 2), features, atol=1e-5)
    assert torch.allclose(
        published_wave(codec.decoder, features.transpose(1, 2))[:, 0], codec.render(features), atol=1e-5
    )


def test_the_sizes_are_the_published_ones():
    with torch.device("meta"):
        counts = {
            name: sum(part.numel() for part in speed.MaskedModel(speed.SIZES[name]).parameters())
            for name in ("coarse", "fine")
        }
    assert {name: round(count / 1e6) for name, count in counts.items()} == {"coarse": 333, "fine": 275}


def test_operations_are_those_of_the_layers_of_a_pass():
    config = LMConfig(codebooks=2, vocabulary=10, width=8, layers=3, heads=2)
    with torch.device("meta"):
        model = speed.MaskedModel(config)
    weights = sum(p.numel() for name, p in model.transformer.named_parameters() if p.ndim == 2 and "bias" not in name)
    attention = 3 * 2 * (2 * 5 * 5 * 8)
    assert speed.operations(config, 5, 4) == 2 * 5 * weights + attention + 2 * 4 * 8 * 10


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_model_is_measured_part_by_part(tiny_model: Path, precision: str):
    found = speed.measure(tiny_model, precision, seconds=1, steps=2, finish=1)
    parts = {part.what: part for part in found.parts}
    assert all(part.seconds > 0 for part in found.parts)
    coarse, fine, steps = (
        parts[f"{what}"] for what in ("coarse pass, 1 s", "fine pass, 1 s", "2 coarse and 1 fine steps")
    )
    assert coarse.published is not None
    assert fine.published is not None
    assert coarse.ratio == pytest.approx(coarse.published / coarse.seconds)
    assert steps.published is not None
    assert steps.published >= coarse.published + fine.published, "of which the fastest of three is told"
    assert parts["whole take"].seconds > steps.seconds
    assert parts["whole take"].published is None, "the default codec has no published way"
    assert (max(found.error.values()) < 1e-4) == (precision == "fp32")
    assert min(found.agreement.values()) > 0.8


def test_processor_seconds_do_not_pass_while_nothing_is_done():
    assert speed.timed(lambda: time.sleep(0.2), speed.CLOCKS["processor"])[0] < 0.1
    assert speed.timed(lambda: time.sleep(0.2), speed.CLOCKS["wall"])[0] >= 0.2


def test_only_what_was_asked_for_is_measured(tiny_model: Path):
    assert [part.what for part in speed.measure(tiny_model, sections=["codec"], seconds=1).parts] == [
        "encode 1 s",
        "decode 1 s",
    ]
