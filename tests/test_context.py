"""Training a context model: it learns, its whole numbers say what its floats say, and a run ends in a usable file."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ostinato.checkpoint import read_tensors, save, write_tensors
from ostinato.compress import context_of
from ostinato.context import CONTEXT, ContextModel
from ostinato.errors import CheckpointError
from ostinato.train import presets
from ostinato.train.context import ContextJob, ContextNet, ContextTraining, integer_bits
from ostinato.train.loop import BEST, LOG, LoopConfig
from ostinato.train.runs import start
from ostinato.types import Grid
from tests import tiny


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> ContextTraining:
    """A small run on two pulsed tones in stereo."""
    folder = tmp_path_factory.mktemp("context")
    time = np.arange(3 * 44100) / 44100
    (folder / "music").mkdir()
    for number, pitch in enumerate((220, 330)):
        wave = 0.2 * np.sign(np.sin(2 * np.pi * pitch * time)) * np.exp(-(time % 0.5) * 6)
        soundfile.write(folder / "music" / f"{number}.wav", np.stack([wave, 0.5 * wave], 1), 44100)
    save(folder / "codec", tiny.CODEC, tiny.codec())
    return ContextTraining(
        loop=LoopConfig(steps=24, validate_every=12, log_every=6, checkpoint_minutes=0),
        codec=str(folder / "codec"),
        train=str(folder / "music"),
        validation=str(folder / "music"),
        cache=str(folder / "tokens"),
        hidden=8,
        inner=6,
        batch=4,
        frames=10,
        held_out=4,
        rate=1e-2,
        warm_up=4,
    )


def net(seed: int = 0, vocabulary: int = 32) -> ContextNet:
    """A float network with opinions."""
    with torch.random.fork_rng():
        _ = torch.manual_seed(seed)
        made = ContextNet(torch.randn(4, vocabulary, 8), 16, 8)
        made.prior.data.normal_()
        made.second.data.normal_(std=0.3)
        made.last.data.normal_(std=0.3)
        return made


def test_whole_numbers_say_what_floats_say():
    chance = torch.Generator().manual_seed(0)
    codes, made = torch.randint(32, (3, 4, 20), generator=chance), net()
    with torch.no_grad():
        scores = made(codes, torch.zeros(3, 20, dtype=torch.long)) * np.log(2)
    wanted = codes.transpose(0, 1)[..., None]
    floats = -(scores.log_softmax(-1).gather(-1, wanted)).mean((1, 2, 3)) / np.log(2)
    whole = integer_bits(made.integers(), codes.numpy())
    assert np.abs(whole - floats.numpy()).max() < 0.05


def test_the_net_sees_only_what_comes_before():
    chance = torch.Generator().manual_seed(0)
    codes, state, made = torch.randint(32, (1, 4, 12), generator=chance), torch.zeros(1, 12, dtype=torch.long), net()
    other = codes.clone()
    other[:, 2:, 6], other[:, :, 7:] = 5, 6
    with torch.no_grad():
        one, two = made(codes, state), made(other, state)
    assert torch.equal(one[:, :, :6], two[:, :, :6])
    assert torch.equal(one[:3, :, 6], two[:3, :, 6])
    assert not torch.equal(one[3, :, 6], two[3, :, 6])


def test_a_run_learns_and_leaves_a_model(training: ContextTraining, tmp_path: Path):
    start(tmp_path, "context", training)
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    scores = [line["score"] for line in lines if "score" in line]
    assert scores[-1] < 5
    model = ContextModel.of(read_tensors(tmp_path / BEST / CONTEXT))
    assert (model.codebooks, model.vocabulary) == (6, 32)


def test_a_run_goes_on_to_the_bit(training: ContextTraining):
    job, again = ContextJob(training), ContextJob(training)
    _ = job.step(0), job.step(1)
    again.load(job.state())
    assert again.step(2) == job.step(2)


def test_a_context_model_must_fit_the_codec(tmp_path: Path):
    assert context_of(tmp_path, Grid()) is None
    write_tensors(tmp_path / CONTEXT, net().integers().tensors())
    with pytest.raises(CheckpointError, match="for 4 codebooks of 32"):
        _ = context_of(tmp_path, Grid())


def test_the_preset_names_its_codec():
    assert presets.context(Path("runs/codec/best")).codec == str(Path("runs/codec/best"))
