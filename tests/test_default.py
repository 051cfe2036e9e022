"""The default model that ships: whole, small, loadable without a network, and heard in what it makes."""

import hashlib

import pytest
import torch

from ostinato import Audio, Coarsest, Confidence, Periodic, Prompt, load, read
from ostinato.models import MODELS, shipped
from ostinato.pipeline import Pipeline

FOLDER = MODELS / "default"
LOOP = MODELS.parent / "assets" / "loop.flac"


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return load()


@pytest.fixture(scope="module")
def loop() -> Audio:
    whole = read(LOOP)
    return Audio(whole.wave[..., :44100], whole.sample_rate)


def test_it_ships_and_is_under_45_megabytes():
    assert "default" in shipped()
    assert sum(p.stat().st_size for p in FOLDER.rglob("*.safetensors")) < 45e6


def test_every_part_is_the_one_that_was_measured():
    for line in (FOLDER / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name


def test_the_card_tells_of_these_weights(pipeline: Pipeline):
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert pipeline.hash in card
    assert "cc-by-sa-4.0" in card[:500]


def test_its_grid_is_44_khz_at_574_bits_a_second_for_a_codebook(pipeline: Pipeline):
    assert (pipeline.grid.sample_rate, pipeline.grid.hop) == (44100, 768)
    assert pipeline.coarse.config.codebooks == pipeline.fine.config.given == 4


def test_more_codebooks_are_nearer_to_the_loop(pipeline: Pipeline, loop: Audio):
    from ostinato.metrics import mel_distance

    codes, origin = pipeline.encode(loop)
    heard = [pipeline.decode(codes[:, :n], origin).wave[0] for n in (1, 4, pipeline.grid.codebooks)]
    far = [float(mel_distance(loop.wave[0], wave, loop.sample_rate).mean()) for wave in heard]
    assert far == sorted(far, reverse=True)


def test_the_same_seed_gives_the_same_take_and_a_take_sounds(pipeline: Pipeline, loop: Audio):
    prompt = Prompt(keep=(Periodic(period=7),))
    quick = {"sampler": Confidence(steps=4), "finisher": Confidence(steps=2)}
    first, again, other = (pipeline.vary(loop, prompt, seed=s, **quick) for s in (1, 1, 2))
    assert torch.equal(first.audio.wave, again.audio.wave)
    assert not torch.equal(first.codes, other.codes)
    assert 0.2 < float(first.audio.wave.std() / loop.wave.std()) < 5


def test_a_hidden_token_is_easier_to_guess_for_the_model_than_by_chance(pipeline: Pipeline, loop: Audio):
    codes, _ = pipeline.encode(loop)
    coarse = codes[:1, :4]
    mask = torch.rand(coarse.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    likelihood = pipeline.coarse(coarse, mask).log_softmax(-1).gather(-1, coarse[..., None])[..., 0]
    bits = -float(likelihood[mask].mean()) / torch.log(torch.tensor(2.0))
    assert bits < 10


def test_one_codebook_is_enough_to_make_the_rest(pipeline: Pipeline, loop: Audio):
    take = pipeline.vary(
        loop, Prompt(keep=(Coarsest(codebooks=1),)), sampler=Confidence(steps=3), finisher=Confidence(steps=2)
    )
    assert torch.equal(take.codes[:, 0], pipeline.encode(loop)[0][:, 0])
