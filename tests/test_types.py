"""The nouns: audio, the grid, takes."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato.errors import AudioError, ConfigError
from ostinato.types import Audio, Grid, Take


def test_audio_knows_its_size():
    audio = Audio(torch.zeros(1, 2, 22050), 44100)
    assert (audio.channels, audio.samples, audio.seconds) == (2, 22050, 0.5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        audio.sample_rate = 8000  # type: ignore[misc]


@pytest.mark.parametrize("shape", [(1, 1, 0), (1, 0, 5), (0, 1, 5)])
def test_audio_without_a_sample_is_refused(shape: tuple[int, ...]):
    with pytest.raises(AudioError, match=r"audio needs at least one sample and one channel, got shape \("):
        _ = Audio(torch.zeros(*shape), 44100)


@pytest.mark.parametrize("rate", [0, -1])
def test_a_sample_rate_is_positive(rate: int):
    with pytest.raises(AudioError, match=f"a sample rate must be at least 1 Hz, got {rate}"):
        _ = Audio(torch.zeros(1, 1, 1), rate)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_sample_that_is_no_number_is_refused_with_its_time(bad: float):
    wave = torch.zeros(1, 2, 1000)
    wave[0, 1, 250] = bad
    with pytest.raises(AudioError, match=r"audio must be finite numbers, got NaN or infinity at 0\.250 s"):
        _ = Audio(wave, 1000)


def test_frames_cover_the_time():
    grid = Grid(sample_rate=1000, hop=100)
    assert [grid.frames(s) for s in (0, 0.001, 0.1, 0.101, 1)] == [0, 1, 1, 2, 10]
    assert [grid.frames_of(n) for n in (0, 1, 100, 101)] == [0, 1, 1, 2]
    assert grid.seconds(3) == pytest.approx(0.3)


@given(st.integers(1, 10**7), st.integers(8000, 192_000), st.integers(1, 4096))
def test_frames_are_enough_and_not_one_more(samples: int, sample_rate: int, hop: int):
    grid = Grid(sample_rate=sample_rate, hop=hop)
    frames = grid.frames_of(samples)
    assert (frames - 1) * hop < samples <= frames * hop
    assert grid.frames(samples / sample_rate) == frames


def test_the_default_grid_costs_574_bits_a_second_and_codebook():
    assert Grid().rate == pytest.approx(57.42, abs=0.01)
    assert Grid().bits_per_second == pytest.approx(574.2, abs=0.1)


@pytest.mark.parametrize("setting", [{"hop": 0}, {"sample_rate": 0}, {"codebooks": 0}, {"vocabulary": 1}])
def test_a_grid_needs_sizes(setting: dict[str, int]):
    with pytest.raises(ConfigError, match=r"Grid\.\w+ must be at least"):
        _ = Grid(**setting)


def test_a_take_is_replaced_not_changed():
    audio = Audio(torch.zeros(1, 1, 5), 44100)
    take = Take(audio, torch.zeros(1, 2, 3).long(), torch.zeros(1, 2, 3).bool(), seed=4)
    other = take.replace(seed=5, parent="a")
    assert (take.seed, take.parent, other.seed, other.parent) == (4, None, 5, "a")
    assert other.codes is take.codes
    with pytest.raises(dataclasses.FrozenInstanceError):
        take.seed = 5  # type: ignore[misc]
