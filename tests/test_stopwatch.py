"""`bench take`: the parts of a take are told apart, add up, and count the work that is done."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from ostinato.cli import main
from ostinato.cli.bench_take import repeated
from ostinato.pipeline import load
from ostinato.prompts import Prompt
from ostinato.sampling import Confidence
from ostinato.speed import operations
from ostinato.stopwatch import measure_take
from ostinato.types import Audio

HOW: Any = {"sampler": Confidence(steps=3), "finisher": Confidence(steps=2)}


def noise(seconds: float) -> Audio:
    chance = torch.Generator().manual_seed(0)
    return Audio(0.2 * torch.randn(1, 2, round(44100 * seconds), generator=chance), 44100)


def test_the_parts_of_a_take_are_told_apart(tiny_model: Path):
    audio = noise(1.0)
    found = measure_take(tiny_model, audio, Prompt(), **HOW)
    assert [part.what for part in found.shares] == [
        "encode",
        "coarse model, 3 passes",
        "coarse sampling",
        "fine model, 2 passes",
        "fine sampling",
        "decode and join",
    ]
    assert all(part.seconds > 0 for part in found.shares)
    assert found.seconds == pytest.approx(sum(part.seconds for part in found.shares))
    pipeline = load(tiny_model)
    config, frames = pipeline.coarse.config, pipeline.clip(audio.samples, 44100).frames
    cells = 2 * frames * config.predicted
    least, most = (3 * 2 * operations(config, frames, count) for count in (0, cells // 2))
    assert least < found.shares[1].gflop * 1e9 < most
    assert found.shares[1].at(2.0) == found.shares[1].gflop / 2
    assert min(found.shares[0].gflop, found.shares[-1].gflop) > 0 == found.shares[2].gflop


def test_a_prompt_that_keeps_all_asks_no_model(tiny_model: Path):
    found = measure_take(tiny_model, noise(0.5), Prompt.of(keep=["all"]), **HOW)
    assert [part.what for part in found.shares if "model" in part.what] == [
        "coarse model, 0 passes",
        "fine model, 0 passes",
    ]


def test_a_sound_is_repeated_to_a_length():
    audio = noise(0.3)
    longer = repeated(audio, 1.0)
    assert longer.samples == 44100
    assert torch.equal(longer.wave[..., audio.samples : 2 * audio.samples], audio.wave)
    assert repeated(audio, 0.1).samples == 4410


def test_it_is_told_as_a_table_and_as_json(tiny_model: Path):
    flags = ["bench", "take", "--model", str(tiny_model), "--seconds", "1", "--sampler", "halton:steps=2"]
    text = CliRunner().invoke(main, flags).output
    assert "coarse model, 2 passes" in text
    assert "fine model, 1 pass " in text
    assert "times real time" in text
    told = json.loads(CliRunner().invoke(main, [*flags, "--json"]).stdout)
    assert told["seconds"] == pytest.approx(sum(part["seconds"] for part in told["shares"]))
    assert told["times_real_time"] == pytest.approx(1 / told["seconds"])
