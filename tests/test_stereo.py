"""Stereo: neither channel gains from how a codec draws, and a take leans to where its original does."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ostinato.dsp import left_right, mid_side
from ostinato.image import CORE
from ostinato.level import loudness_of
from ostinato.pipeline import Pipeline, load
from ostinato.prompts import Prompt
from ostinato.resampling import join
from ostinato.stereo import at_times, lean, lean_circle, leaning, leaning_circle, turned, turned_circle
from ostinato.types import Audio

RATE = 44100


@pytest.fixture(scope="module")
def pipeline(tiny_model: Path) -> Pipeline:
    return load(tiny_model)


def noise(channels: int, samples: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(channels, samples, generator=torch.Generator().manual_seed(seed))


def panned(share: float, samples: int = 2 * CORE, seed: int = 0) -> Audio:
    """Noise with so much of the mid in the side, and half as much of its own."""
    mid, own = noise(2, samples, seed)
    return Audio(left_right(torch.stack([mid, share * mid + 0.5 * own]))[None], RATE)


def balance(audio: Audio) -> float:
    """How much louder the left is, in dB."""
    left, right = audio.wave[0].square().sum(-1)
    return float(10 * (left / right).log10())


@pytest.mark.parametrize("pieces", [1, 7])
def test_a_side_drawn_like_the_mid_makes_neither_channel_louder(pieces: int):
    mid = noise(1, 2 * CORE)[0]
    sides = torch.stack([mid, 0.6 * mid])
    found = torch.cat(list(turned(sides.chunk(pieces, -1))), -1)
    assert torch.equal(found, torch.cat(list(turned([sides])), -1))
    assert torch.equal(found[0], mid)
    assert abs(balance(Audio(left_right(found)[None], RATE))) < 0.1
    assert float(found[1].square().mean().sqrt()) == pytest.approx(0.06, rel=0.02)
    around = turned_circle(sides)
    assert abs(balance(Audio(left_right(around)[None], RATE))) < 0.1
    assert torch.allclose(turned_circle(sides.roll(1000, -1)), around.roll(1000, -1), atol=1e-5)


def test_a_mid_alone_is_left_as_it_is():
    mid = noise(1, CORE + 5)
    assert torch.equal(torch.cat(list(turned([mid])), -1), mid)
    assert torch.equal(turned_circle(mid), mid)


@pytest.mark.parametrize("share", [-0.8, 0.0, 0.4])
def test_a_sound_leans_as_is_wanted_and_stays_as_wide(share: float):
    made = panned(0.0, seed=1)
    wanted = lean([panned(share)])
    assert torch.allclose(wanted[2:-2], torch.tensor(share), atol=0.1)
    found = join(leaning([made], at_times(wanted)))
    assert torch.allclose(lean([found])[2:-2], wanted[2:-2], atol=0.15)
    mid, side = mid_side(found.wave[0]).square().mean(-1).tolist()
    before = mid_side(made.wave[0]).square().mean(-1).tolist()
    assert mid == pytest.approx(before[0], rel=1e-3)
    assert side == pytest.approx(max(before[1], share**2 * before[0]), rel=0.1)
    one = lean_circle(panned(share))
    assert torch.allclose(lean_circle(leaning_circle(made, one)), one, atol=0.05)


def test_a_lean_that_changes_is_followed_at_the_pace_that_is_asked_for():
    there, back = panned(0.8, CORE), panned(-0.8, CORE)
    wanted = lean([Audio(torch.cat([there.wave, back.wave], -1), RATE)])
    found = join(leaning([panned(0.0, 4 * CORE, seed=1)], at_times(wanted, 0.5)))
    assert balance(Audio(found.wave[..., :CORE], RATE)) > 3
    assert balance(Audio(found.wave[..., -CORE:], RATE)) < -3


def test_the_cut_does_not_matter():
    made, wanted = panned(0.2, seed=1), at_times(lean([panned(0.5)]))
    pieces = [Audio(part, RATE) for part in made.wave.split(10007, -1)]
    assert torch.equal(join(leaning(pieces, wanted)).wave, join(leaning([made], wanted)).wave)
    assert torch.equal(lean(pieces), lean([made]))


def test_a_mono_sound_in_two_channels_stays_mono():
    mono = Audio(noise(1, CORE).repeat(2, 1)[None], RATE)
    found = join(leaning([mono], at_times(lean([mono]))))
    assert torch.equal(found.wave[0, 0], found.wave[0, 1])
    assert torch.allclose(found.wave, mono.wave, atol=1e-6)


@pytest.mark.parametrize("loop", [False, True])
def test_a_take_is_as_loud_as_its_original_and_leans_as_it_does(
    pipeline: Pipeline, loop: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ostinato.level.MOVED", 40.0)  # the tiny codec is far too quiet
    rate = pipeline.grid.sample_rate
    one = Audio(0.1 * panned(0.7, 2 * rate).wave, rate)
    for original, way in ((one, 1), (Audio(one.wave.flip(1), rate), -1)):
        take = pipeline.vary(original, Prompt.of(["periodic:period=3"]), redraw=True, loop=loop).audio
        assert way * balance(take) > 2
        assert loudness_of([take]) == pytest.approx(loudness_of([original]), abs=1.0)
    quiet = pipeline.vary(one, Prompt.of(["periodic:period=3"]), redraw=True, loop=loop, loudness=-40).audio
    assert loudness_of([quiet]) == pytest.approx(-40, abs=0.2)


def test_what_is_far_too_quiet_is_not_made_loud_at_any_price(pipeline: Pipeline):
    sound, said = Audio(panned(0.0).wave, RATE), Prompt.of(["periodic:period=3"])
    take = pipeline.vary(sound, said, redraw=True)
    plain = pipeline.decode(take.codes, pipeline.origin(take))
    assert loudness_of([take.audio]) - loudness_of([plain]) == pytest.approx(12, abs=0.5)
