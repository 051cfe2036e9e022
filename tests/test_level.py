"""Loudness is brought to one level, whatever the sound and however it was cut."""

import pyloudnorm
import pytest
import torch

from ostinato.errors import AudioError
from ostinato.level import PEAK, TARGET, circular_gain, level_gain, limited, limited_circle, loudness_of
from ostinato.resampling import join
from ostinato.types import Audio


def noise(seconds: float, level: float = 0.05, channels: int = 1) -> Audio:
    chance = torch.Generator().manual_seed(0)
    return Audio(torch.randn(1, channels, int(44100 * seconds), generator=chance) * level, 44100)


def pieces(audio: Audio, size: int) -> list[Audio]:
    return [Audio(part, audio.sample_rate) for part in audio.wave.split(size, -1)]


@pytest.mark.parametrize("level", [1e-3, 0.05])
def test_a_sound_comes_to_the_target_by_the_measure_of_pyloudnorm(level: float):
    audio = noise(7, level, channels=2)
    gain = level_gain([audio])
    loudness = pyloudnorm.Meter(44100).integrated_loudness((audio.wave[0] * gain).T.numpy())
    assert loudness == pytest.approx(TARGET, abs=0.2)


def test_a_peak_is_not_pushed_over_full_scale():
    audio = noise(1, 1e-4)
    audio.wave[..., 100] = 0.5
    assert level_gain([audio]) * 0.5 == pytest.approx(0.99)


def test_the_gain_does_not_depend_on_the_cut():
    audio = noise(8)
    assert level_gain(pieces(audio, 1000)) == level_gain([audio]) == level_gain(pieces(audio, 150_001))


def test_the_gain_undoes_a_change_of_level():
    assert level_gain([noise(2, 0.01)]) == pytest.approx(5 * level_gain([noise(2, 0.05)]), rel=1e-4)


def test_silence_and_nothing_are_left_alone():
    assert level_gain([Audio(torch.zeros(1, 1, 5000), 44100)]) == 1.0
    assert level_gain([]) == 1.0


def test_a_sound_shorter_than_a_measuring_block_has_a_level():
    assert 0 < level_gain([noise(0.05)]) < 10


def swelling(seconds: float) -> Audio:
    """Noise that swells from silence, so that it matters where it begins."""
    audio = noise(seconds, channels=2)
    return Audio(audio.wave * torch.linspace(0, 1, audio.samples) ** 3, 44100)


@pytest.mark.parametrize("turn", [1, 20000, -7777])
def test_the_level_of_a_circle_does_not_depend_on_where_it_was_cut_open(turn: int):
    audio = swelling(3)
    turned = Audio(audio.wave.roll(turn, -1), 44100)
    assert circular_gain(turned) == pytest.approx(circular_gain(audio), rel=1e-9)
    assert level_gain([turned]) != pytest.approx(level_gain([audio]), rel=1e-9)


@pytest.mark.parametrize("rate", [8000, 44100, 192_000])
def test_a_circle_is_as_loud_as_pyloudnorm_finds_it_when_it_goes_round_and_round(rate: int):
    chance = torch.Generator().manual_seed(0)
    wave = torch.randn(2, 2 * rate, generator=chance) * 0.02 * torch.linspace(0.2, 1, 2 * rate)
    gain = circular_gain(Audio(wave[None], rate))
    loudness = pyloudnorm.Meter(rate).integrated_loudness((wave.repeat(1, 10) * gain).T.double().numpy())
    assert loudness == pytest.approx(TARGET, abs=0.1)


def test_silent_parts_of_a_circle_do_not_count():
    half = noise(2).wave
    assert circular_gain(Audio(torch.cat([half, torch.zeros_like(half)], -1), 44100)) == pytest.approx(
        circular_gain(noise(2)), rel=0.1
    )


def test_silence_peaks_and_short_circles_have_a_gain_too():
    assert circular_gain(Audio(torch.zeros(1, 2, 5000), 44100)) == 1.0
    assert 0 < circular_gain(noise(0.05)) < 10
    assert circular_gain(Audio(torch.full((1, 1, 1), 0.5), 44100)) <= 0.99 / 0.5
    with pytest.raises(AudioError, match="must be one sound"):
        _ = circular_gain(Audio(torch.zeros(2, 1, 9), 44100))


def bursts(rate: int = 44100) -> Audio:
    """Soft noise, with three moments that pass full scale: at the start, in the middle, at the end."""
    audio = noise(2, 0.05, channels=2)
    for place in (0, 30_000, audio.samples - 1):
        audio.wave[:, 0, place] = 3.0
    return Audio(audio.wave, rate)


@pytest.mark.parametrize("rate", [1000, 44100, 192_000])
def test_peaks_come_down_and_what_is_far_from_them_stays(rate: int):
    audio, reach = bursts(rate), 4 * round(0.005 * rate) + 1
    wave = join(limited([audio])).wave
    assert wave.shape == audio.wave.shape
    assert not (wave.abs() > PEAK).any()
    far = slice(reach, min(30_000 - reach, 40_000))
    torch.testing.assert_close(wave[..., far], audio.wave[..., far], rtol=1e-5, atol=0)
    ratio = wave / audio.wave
    torch.testing.assert_close(ratio[:, 0], ratio[:, 1], rtol=1e-4, atol=1e-5)


def test_limiting_is_smooth_and_does_not_depend_on_the_cut():
    audio = bursts()
    gain = join(limited([audio])).wave[0, 0] / audio.wave[0, 0]
    assert float(gain.diff().abs().max()) < 0.02
    for size in (999, 70_000):
        assert torch.equal(join(limited(pieces(audio, size))).wave, join(limited([audio])).wave)


def test_a_sound_without_peaks_is_left_as_it_is():
    audio = noise(1, 0.05)
    assert torch.equal(join(limited([audio])).wave, audio.wave)
    assert torch.equal(limited_circle(audio).wave, audio.wave)
    assert list(limited([])) == []


def test_a_circle_is_limited_the_same_wherever_it_was_cut_open():
    audio = bursts()
    whole = limited_circle(audio)
    turned = limited_circle(Audio(audio.wave.roll(100, -1), 44100))
    torch.testing.assert_close(turned.wave, whole.wave.roll(100, -1))
    assert not (whole.wave.abs() > PEAK).any()


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_the_loudness_of_a_stream_is_that_of_pyloudnorm_however_it_was_cut(rate: int):
    swell = torch.linspace(0, 1, 13 * rate).pow(3)
    audio = Audio(torch.randn(1, 2, 13 * rate, generator=torch.Generator().manual_seed(1)) * swell * 0.2, rate)
    expected = pyloudnorm.Meter(rate).integrated_loudness(audio.wave[0].T.double().numpy())
    assert loudness_of([audio]) == pytest.approx(expected, abs=0.02)
    assert loudness_of(pieces(audio, 7001)) == pytest.approx(loudness_of([audio]), abs=1e-9)


def test_short_sounds_have_a_loudness_and_silence_has_none():
    short, long = (Audio(noise(2).wave[..., :length], 44100) for length in (10_000, 80_000))
    assert loudness_of([short]) == pytest.approx(loudness_of([long]), abs=0.5)
    assert loudness_of([noise(1, 0.0)]) == loudness_of([]) == -float("inf")
