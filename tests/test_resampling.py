"""Sample rates: exact lengths, the same bits however a sound is cut, and the pitch stays."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato.errors import AudioError
from ostinato.resampling import circular, fit, join, resample, resampled, samples_at
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


def harmony(samples: int, harmonics: tuple[int, ...]) -> torch.Tensor:
    """Whole waves to a round, so that the end meets the start."""
    place = torch.arange(samples, dtype=torch.float64) / samples
    return sum((torch.sin(2 * math.pi * h * place + h) for h in harmonics), torch.zeros(samples, dtype=torch.float64))


@pytest.mark.parametrize(("samples", "to"), [(1000, 1003), (1000, 997), (1001, 5000), (5000, 1001), (997, 996)])
def test_a_circle_sounds_the_same_in_fewer_or_more_samples_and_meets_itself(samples: int, to: int):
    wave = harmony(samples, (1, 2, 17, 440))
    torch.testing.assert_close(circular(wave, to), harmony(to, (1, 2, 17, 440)), atol=1e-9, rtol=0)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 2**31))
def test_a_circle_in_more_samples_and_back_is_as_it_was_but_for_what_fades_out(samples: int, more: int, seed: int):
    sound = torch.randn(2, samples, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    smooth = torch.fft.rfft(sound)
    smooth[:, int(0.95 * samples / 2) :] = 0
    sound = torch.fft.irfft(smooth, n=samples)
    torch.testing.assert_close(circular(circular(sound, samples + more), samples), sound, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("samples", "to", "turn"), [(600, 900, 2), (600, 400, 3), (441, 480, 147)])
def test_a_circle_that_is_turned_is_the_same_turned(samples: int, to: int, turn: int):
    sound = torch.randn(samples, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turned = circular(sound.roll(turn), to)
    torch.testing.assert_close(turned, circular(sound, to).roll(turn * to // samples))


def test_a_circle_keeps_its_type_and_refuses_to_vanish():
    sound = torch.rand(1, 2, 30)
    assert circular(sound, 30) is sound
    assert circular(sound, 31).dtype == torch.float32
    assert circular(torch.ones(1, 7), 1).tolist() == [[1.0]]
    with pytest.raises(AudioError, match="at least 1 sample, got 0"):
        _ = circular(sound, 0)
