"""Listening: what is known is not listened for, long sounds are heard in parts, and loops going round."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ostinato import audiofile, listening
from ostinato.clip import Heard
from ostinato.grids import steady
from ostinato.hints import Onsets
from ostinato.listening import hear_beats, hear_onsets, listen
from ostinato.longplay import vary_file
from ostinato.pipeline import load
from ostinato.prompts import Prompt
from ostinato.sampling import Confidence
from ostinato.types import Audio, Beats

RATE = 8000


def clicks(seconds: float, period: float, offset: float = 0.0) -> Audio:
    """A click every period, on the grid of samples."""
    wave = torch.zeros(1, 1, round(seconds * RATE))
    wave[..., round(offset * RATE) :: round(period * RATE)] = 0.9
    return Audio(wave, RATE)


def ear(audio: Audio) -> Beats:
    """Finds the clicks themselves, and a downbeat in every one that is louder than 0.5; late by up to a millisecond."""
    places = (audio.wave[0, 0] > 0.1).nonzero()[:, 0]
    late = audio.samples % 9 / 9000
    times = {float(place) / RATE + late: bool(audio.wave[0, 0, place] > 0.5) for place in places}
    return Beats(tuple(times), tuple(time for time, down in times.items() if down), 0.5)


def nobody(audio: Audio) -> Beats:
    raise AssertionError("what is known was listened for")


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "PART", 2.0)
    monkeypatch.setattr(listening, "CONTEXT", 1.0)


def in_pieces(audio: Audio, size: int = 3000) -> Iterator[Audio]:
    return (Audio(wave, audio.sample_rate) for wave in audio.wave.split(size, -1))


def test_only_what_is_needed_and_not_known_is_listened_for():
    sound, known = clicks(2, 0.5), Heard(beats=steady(2, bpm=90), onsets=(1.0,))
    assert listen(lambda: [sound], {"beats", "onsets"}, known, tracker=nobody) == known
    assert listen(lambda: [sound], {"surprise"}, tracker=nobody) == Heard()
    heard = listen(lambda: [sound], {"beats"}, Heard(onsets=()), tracker=ear)
    assert (len(heard.beats.times if heard.beats else ()), heard.onsets) == (4, ())
    assert len(listen(lambda: [sound], {"onsets"}, tracker=nobody).onsets or ()) == 4


@pytest.mark.usefixtures("short_parts")
@pytest.mark.parametrize("offset", [0.0, 0.1, 0.25, 0.499])
def test_beats_of_a_long_sound_are_found_once_each_wherever_its_parts_meet(offset: float):
    sound = clicks(11.3, 0.5, offset)
    found = hear_beats(lambda: in_pieces(sound), ear)
    assert found.times == pytest.approx(ear(sound).times, abs=0.002)
    assert found.downbeats == found.times
    assert found.confidence == 0.5


@pytest.mark.usefixtures("short_parts")
def test_onsets_of_a_long_sound_are_those_of_the_whole():
    sound = clicks(7.2, 0.3, 0.1)
    (whole,) = listening.onsets(sound.wave[0], RATE)
    assert hear_onsets(lambda: in_pieces(sound)) == pytest.approx(whole, abs=1e-6)


@pytest.mark.usefixtures("short_parts")
@pytest.mark.parametrize("offset", [0.0, 0.0005, 0.2, 0.4995])
def test_beats_of_a_loop_are_found_once_a_lap_even_at_its_seam(offset: float):
    loop = clicks(3.0, 0.5, offset)
    found = hear_beats(lambda: in_pieces(loop), ear, circular=True)
    assert len(found.times) == 6
    assert all(0 <= time <= 3 for time in found.times)
    gaps = [later - time for time, later in zip(found.times, (*found.times[1:], found.times[0] + 3), strict=True)]
    assert gaps == pytest.approx([0.5] * 6, abs=0.002)


def test_the_first_note_of_a_loop_is_an_onset_only_if_it_begins_there():
    place = torch.arange(RATE) / RATE
    loop = Audio(0.3 * (2 * torch.pi * 440 * place).sin()[None, None], RATE)
    assert hear_onsets(lambda: [loop]) == (0.0,)
    assert hear_onsets(lambda: [loop], circular=True) == ()


def test_channels_are_added():
    left = clicks(2, 0.5).wave
    stereo = Audio(torch.cat([left, torch.zeros_like(left)], dim=1), RATE)
    assert len(hear_beats(lambda: [stereo], ear).times) == 4


def test_a_file_is_heard_as_its_sound_is(tiny_model: Path, tmp_path: Path):
    pipeline, once = load(tiny_model), Confidence(steps=1)
    sound = Audio(clicks(1, 0.3, 0.1).wave.repeat(1, 2, 1), RATE)
    _ = audiofile.write(tmp_path / "in.wav", sound)
    for loop, hint in [(False, "onsets"), (True, "onsets"), (True, "surprising"), (False, "beats")]:
        how = {"loop": loop, "sampler": once, "finisher": once, "heard": Heard(beats=steady(1, bpm=180))}
        take = pipeline.vary(sound, Prompt.of([hint]), **how)
        draft, _ = vary_file(pipeline, tmp_path / "in.wav", tmp_path / "out.wav", Prompt.of([hint]), **how)
        assert torch.equal(draft.mask, take.mask)
        assert 0 < int(take.mask.sum()) < take.mask.numel()


def test_a_lock_is_listened_for_too(tiny_model: Path):
    sound, once = clicks(1, 0.3, 0.1), Confidence(steps=1)
    take = load(tiny_model).vary(sound, Prompt(), lock=[Onsets()], sampler=once, finisher=once)
    kept = load(tiny_model).vary(sound, Prompt.of(["onsets"]), sampler=once, finisher=once)
    assert torch.equal(take.mask, kept.mask)


def test_a_beat_that_a_tracker_hears_past_the_end_is_none():
    late = Beats((0.5, 2.001), (2.001,))
    assert hear_beats(lambda: [clicks(2, 0.5)], lambda audio: late) == Beats((0.5,))


def test_silence_has_no_beats():
    assert hear_beats(lambda: [Audio(torch.zeros(1, 1, RATE), RATE)], ear).times == ()
