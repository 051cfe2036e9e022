"""Onsets are found where sounds were planted, at any level and rate, and nowhere else."""

import math

import pytest
import torch

from ostinato.onsets import onsets

RATE = 44100
TIMES = (0.0, 0.5, 0.77, 1.3, 2.0, 2.06, 3.1, 3.9)


def notes(rate: int = RATE, *, noise: bool = False) -> torch.Tensor:
    """Four seconds with a decaying tone, or a burst of noise, at each of the times."""
    sound = torch.zeros(1, 4 * rate)
    chance = torch.Generator().manual_seed(0)
    for number, time in enumerate(TIMES):
        start = round(time * rate)
        place = torch.arange(4 * rate - start) / rate
        wave = torch.randn(len(place), generator=chance) if noise else (2 * math.pi * 330 * (number + 1) * place).sin()
        sound[0, start:] += 0.3 * wave * (-place / 0.03).exp()
    return sound


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_planted_clicks_are_found_within_5_ms(rate: int):
    sound = torch.zeros(1, 4 * rate)
    for time in TIMES:
        sound[0, round(time * rate)] = 0.5
    assert onsets(sound, rate)[0] == pytest.approx(TIMES, abs=0.005)


@pytest.mark.parametrize("gain", [1.0, 0.1, 0.02])
@pytest.mark.parametrize("noise", [False, True])
def test_notes_are_found_within_10_ms_at_any_level(gain: float, noise: bool):
    assert onsets(gain * notes(noise=noise), RATE)[0] == pytest.approx(TIMES, abs=0.01)


def test_hiss_in_the_background_hides_nothing():
    hiss = 0.001 * torch.randn(1, 4 * RATE, generator=torch.Generator().manual_seed(1))
    assert onsets(notes(noise=True) + hiss, RATE)[0] == pytest.approx(TIMES, abs=0.01)


def test_silence_has_none_and_steady_sounds_only_their_beginning():
    place = torch.arange(4 * RATE) / RATE
    vibrato = 0.3 * (2 * math.pi * 440 * place + 10 * (2 * math.pi * 6 * place).sin() / 6).sin()[None]
    assert onsets(torch.zeros(2, RATE), RATE) == [(), ()]
    assert onsets(vibrato, RATE) == [(0.0,)]
    assert len(onsets(0.1 * torch.randn(1, 4 * RATE, generator=torch.Generator().manual_seed(2)), RATE)[0]) <= 3


@pytest.mark.parametrize("samples", [1, 100, 900, 3000])
def test_a_sound_may_be_of_any_length(samples: int):
    assert all(0 <= time * RATE < samples for time in onsets(torch.ones(1, samples), RATE)[0])


def test_items_are_heard_by_themselves():
    both = torch.cat([notes(), notes(noise=True)])
    assert onsets(both, RATE) == [onsets(both[:1], RATE)[0], onsets(both[1:], RATE)[0]]
