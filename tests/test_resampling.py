"""Sample rates: exact lengths, the same bits however a sound is cut, and the pitch stays."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato.errors import AudioError
from ostinato.resampling import fit, join, resample, resampled, samples_at
from ostinato.types import Audio


def tone(samples: int, rate: int, hertz: float = 500.0, batch: int = 1, channels: int = 1) -> Audio:
    wave = torch.sin(2 * math.pi * hertz * torch.arange(samples) / rate) * 0.5
    return Audio(wave.expand(batch, channels, -1), rate)


@given(st.integers(1, 3000), st.sampled_from([8000, 22050, 44100, 48000, 192_000]), st.sampled_from([16000, 44100]))
def test_the_length_is_the_nearest_whole_number_of_samples(samples: int, rate: int, to: int):
    got = resample(tone(samples, rate), to)
    assert got.sample_rate == to
    assert got.samples == samples_at(samples, rate, to) >= 1
    assert abs(got.samples - samples * to / rate) <= 0.5 or got.samples == 1


@pytest.mark.parametrize("rate", [8000, 48000, 192_000])
@pytest.mark.parametrize("cut", [1, 333, 4096])
def test_blocks_and_the_whole_give_the_same_bits(rate: int, cut: int):
    chance = torch.Generator().manual_seed(rate)
    audio = Audio(torch.rand(1, 2, 5000, generator=chance), rate)
    pieces = [Audio(piece, rate) for piece in audio.wave.split(cut, dim=-1)]
    assert torch.equal(join(resampled(pieces, 44100)).wave, resample(audio, 44100).wave)


@pytest.mark.parametrize("rate", [8000, 22050, 48000, 192_000])
def test_a_tone_keeps_its_pitch_and_level(rate: int):
    got = resample(tone(rate, rate), 44100).wave
    middle = slice(8000, 36000)
    torch.testing.assert_close(got[..., middle], tone(44100, 44100).wave[..., middle], atol=2e-4, rtol=0)


def test_items_of_a_batch_are_resampled_as_if_alone():
    audio = Audio(torch.rand(3, 2, 700, generator=torch.Generator().manual_seed(0)), 48000)
    alone = [resample(Audio(item[None], 48000), 44100).wave for item in audio.wave]
    assert torch.equal(resample(audio, 44100).wave, torch.cat(alone))


def test_the_same_rate_changes_nothing():
    audio = tone(100, 44100)
    assert resample(audio, 44100) is audio


@pytest.mark.parametrize("samples", [1, 99, 100, 101, 500])
def test_fit_cuts_or_fills_with_silence(samples: int):
    got = fit(tone(100, 8000), samples).wave
    assert got.shape[-1] == samples
    assert torch.equal(got[..., :100], tone(100, 8000).wave[..., :samples])
    assert not got[..., 100:].any()


def test_nothing_in_is_nothing_out():
    assert list(resampled([], 44100)) == []


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(AudioError, match="at least 1 Hz, got 0"):
        _ = resample(tone(10, 8000), 0)
    with pytest.raises(AudioError, match="one sample rate and one number of channels"):
        _ = list(resampled([tone(10, 8000), tone(10, 8000, channels=2)], 44100))
    with pytest.raises(AudioError, match="no pieces"):
        _ = join([])
    with pytest.raises(AudioError, match=r"one sample rate, got \[8000, 9000\]"):
        _ = join([tone(10, 8000), tone(10, 9000)])
