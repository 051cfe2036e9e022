"""Beats: the network is fair to every moment, picking finds what is there, and the tracker that ships keeps time."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from ostinato.beats import BeatConfig, BeatNet, Tracker, activation, agreement, pick, track
from ostinato.checkpoint import read_tensors
from ostinato.config import plain
from ostinato.errors import AudioError, ConfigError, CorpusError, MissingPartError, TrainingError
from ostinato.evaluate.beats import KnownSong, chart_beats, known_songs, score, sounding
from ostinato.pulse import Picking
from ostinato.tracking import SHIPPED, load_net, load_tracker, trackers
from ostinato.train.annotated import BeatExcerpts, read_labels, targets
from ostinato.train.beats import BeatJob, BeatTraining
from ostinato.train.loop import BEST, LoopConfig
from ostinato.train.runs import start
from ostinato.types import Audio, Beats

TINY = BeatConfig(sample_rate=8000, hop=160, mels=18, front=(4, 4), width=8, taps=3, layers=2)
RATE = 50.0


@pytest.fixture(scope="module")
def net() -> BeatNet:
    with torch.random.fork_rng():
        _ = torch.manual_seed(0)
        return BeatNet(TINY).eval()


def noise(samples: int, rate: int = 8000, channels: int = 1, seed: int = 0) -> Audio:
    wave = 0.1 * torch.randn(1, channels, samples, generator=torch.Generator().manual_seed(seed))
    return Audio(wave, rate)


def curves(beats: np.ndarray, downbeats: np.ndarray, seconds: float = 60.0) -> Tensor:
    """Likelihoods with a peak at each time, and a little noise; silence before the first and after the last."""
    time = np.arange(round(seconds * RATE)) / RATE
    found = np.random.default_rng(0).uniform(0, 0.08, (len(time), 2))
    found[(time < beats[0] - 0.05) | (time > beats[-1] + 0.05)] = 0
    for column, times in enumerate((beats, downbeats)):
        for at in times:
            found[:, column] = np.maximum(found[:, column], 0.9 * np.clip(1 - np.abs(time - at) * RATE / 2, 0, 1))
    return torch.from_numpy(found)


def grid(tempo: float, seconds: float = 60.0, start: float = 0.31) -> np.ndarray:
    return np.arange(start, seconds - 0.1, 60 / tempo)


def as_beats(times: np.ndarray) -> Beats:
    return Beats(times=tuple(times.tolist()))


def drums(tempo: float, seconds: float = 16.0, rate: int = 44100) -> tuple[Audio, Beats]:
    """Bass drum on one and three, snare drum on two and four, hi-hats between: falling sines and short noise."""
    chance, wave, beats = np.random.default_rng(1), np.zeros(round((seconds + 1) * rate)), grid(tempo, seconds, 0.5)

    def strike(at: float, sound: np.ndarray) -> None:
        first = round(at * rate)
        wave[first : first + len(sound)] += sound[: len(wave) - first]

    time = np.arange(rate // 4) / rate
    kick = np.sin(2 * np.pi * (50 * time - 4 * np.exp(-time / 0.02))) * np.exp(-time / 0.08)
    snare = (0.4 * np.sin(2 * np.pi * 190 * time) + 0.5 * chance.normal(0, 0.5, len(time))) * np.exp(-time / 0.06)
    hat = np.diff(chance.normal(0, 0.2, len(time) + 1)) * np.exp(-time / 0.02)
    for number, beat in enumerate(beats):
        strike(beat, kick if number % 2 == 0 else snare)
        strike(beat, hat)
        strike(beat + 30 / tempo, 0.6 * hat)
    return Audio(torch.from_numpy(0.3 * wave).float()[None, None], rate), as_beats(beats)


def test_a_sound_that_comes_later_by_whole_frames_has_the_same_answers_later(net: BeatNet):
    sound, later = noise(160 * 100), 7
    moved = Audio(torch.nn.functional.pad(sound.wave, (later * TINY.hop, 0)), sound.sample_rate)
    there, inside = activation(net, moved)[later:], slice(TINY.reach + TINY.overlap, -TINY.reach - TINY.overlap)
    assert torch.allclose(activation(net, sound)[inside], there[inside], atol=1e-6)


def test_answers_do_not_depend_on_how_a_sound_is_cut(net: BeatNet):
    sound = noise(160 * 100 + 37)
    whole = activation(net, sound)
    assert len(whole) == 102
    for window in (1, 17, 64):
        assert torch.allclose(activation(net, sound, window=window), whole, atol=1e-6)


def test_an_answer_depends_on_no_more_than_its_reach(net: BeatNet):
    sound = noise(160 * 100)
    wave = sound.wave.clone()
    wave[..., 160 * 50] += 1
    changed = (activation(net, Audio(wave, 8000)) != activation(net, sound)).any(1).nonzero()[:, 0]
    assert 50 - TINY.reach - 2 <= int(changed.min()) < int(changed.max()) <= 50 + TINY.reach + 2


def test_channels_are_heard_together_and_a_batch_is_refused(net: BeatNet):
    sound = noise(8000, channels=2)
    mono = Audio(sound.wave.mean(1, keepdim=True), 8000)
    assert torch.equal(activation(net, sound), activation(net, mono))
    with pytest.raises(AudioError, match="one sound at a time, got a batch of 2"):
        _ = track(net, Audio(sound.wave.transpose(0, 1), 8000))


@pytest.mark.parametrize("settings", [{"taps": 4}, {"mels": 26}])
def test_a_network_that_cannot_be_is_refused(settings: dict[str, int]):
    with pytest.raises(ConfigError, match="must be"):
        _ = BeatConfig(**settings)


@pytest.mark.parametrize("tempo", [55, 93.7, 120, 175, 214])
@pytest.mark.parametrize("metre", [3, 4])
def test_planted_beats_and_bars_are_found(tempo: float, metre: int):
    beats = grid(tempo)
    found = pick(curves(beats, beats[1::metre]), RATE)
    assert len(found.times) == len(beats)
    assert np.abs(np.array(found.times) - beats).max() < 0.01
    assert found.downbeats == found.times[1::metre]
    assert found.confidence > 0.6


@pytest.mark.parametrize("tempo", [70, 120, 180])
def test_a_gap_of_two_bars_is_filled(tempo: float):
    beats = grid(tempo)
    there = beats[(beats < 30) | (beats > 30 + 7.5 * 60 / tempo)]
    assert agreement(pick(curves(there, beats[::4]), RATE), as_beats(beats)) == 1


def test_a_long_silence_has_no_beats_and_another_tempo_may_follow():
    first, second = grid(120, 20), grid(90, 60, 40.0)
    both = np.concatenate([first, second])
    found = pick(curves(both, both[:0]), RATE)
    assert agreement(found, as_beats(both)) == 1
    assert not [time for time in found.times if 22 < time < 38]


def test_beats_off_the_pulse_for_a_while_do_not_move_it_nor_do_quiet_ends():
    beats = grid(141.3, 120)
    off = np.where((beats > 40) & (beats < 55), beats + 0.5 * 60 / 141.3, beats)
    there = curves(off[(off > 5) & (off < 115)], beats[:0], 120)
    there[:200] = there[-200:] = 0.02
    assert agreement(pick(there, RATE), as_beats(beats)) > 0.97
    assert agreement(pick(there, RATE, Picking(steady=2)), as_beats(beats)) < 0.9


def test_a_tempo_that_drifts_is_followed():
    beats = 0.5 + np.cumsum(0.5 * (1 + 0.2 * np.sin(np.arange(110) / 12)))
    assert agreement(pick(curves(beats, beats[::4]), RATE), as_beats(beats[beats < 60])) == 1


def test_silence_has_no_beats(net: BeatNet):
    nothing = Beats(times=(), confidence=0.0)
    assert pick(torch.zeros(500, 2), RATE) == nothing
    assert pick(torch.zeros(0, 2), RATE) == nothing
    assert load_tracker()(Audio(torch.zeros(1, 1, 44100), 44100)) == nothing


def test_tempo_stays_within_its_bounds():
    beats = grid(240)
    assert np.diff(pick(curves(beats, beats[:0]), RATE, Picking(fastest=150)).times).min() >= 0.4 - 0.03
    assert np.diff(pick(curves(beats, beats[:0]), RATE, Picking(fastest=260)).times).max() <= 0.25 + 0.03
    with pytest.raises(ConfigError, match=r"slowest must be below fastest \(50\), got 60"):
        _ = Picking(slowest=60, fastest=50)


def test_agreement_counts_beats_that_meet_one_to_one():
    beats = as_beats(grid(120))
    late = Beats(times=tuple(time + 0.069 for time in beats.times))
    assert agreement(beats, beats) == agreement(beats, late) == 1
    assert agreement(beats, Beats(times=tuple(time + 0.08 for time in beats.times))) == 0
    assert agreement(beats, replace(beats, times=beats.times[::2])) == pytest.approx(2 / 3, abs=0.01)
    assert agreement(Beats(times=()), Beats(times=())) == 1
    assert agreement(Beats(times=()), beats) == agreement(beats, Beats(times=())) == 0


def test_targets_are_one_at_a_beat_and_fall_to_nothing_within_two_frames():
    wanted = targets(torch.tensor([[0.2, 1.0], [0.41, 2.0]]), 5, 20, RATE)
    assert wanted[5].tolist() == [1.0, 1.0]
    assert wanted[15:17, 0].tolist() == pytest.approx([0.75, 0.75], abs=1e-4)
    assert float(wanted[8:, 1].sum()) == 0


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    for number, tempo in enumerate((100, 140)):
        audio, beats = drums(tempo, 8.0, 8000)
        soundfile.write(folder / f"{number}.wav", audio.wave[0, 0].numpy(), 8000)
        lines = [f"{time:.4f}\t{place % 4 + 1}\n" for place, time in enumerate(beats.times)]
        _ = (folder / f"{number}.beats").write_text("".join(lines))
    return folder


def training(labelled: Path, cache: Path, **changes: Any) -> BeatTraining:
    usual = {
        "model": TINY,
        "loop": LoopConfig(steps=4, validate_every=2, log_every=1, checkpoint_minutes=0),
        "train": str(labelled),
        "validation": str(labelled),
        "cache": str(cache),
        "batch": 2,
        "frames": 60,
        "held_out": 3,
    }
    return BeatTraining(**(usual | changes))


def test_training_goes_on_to_the_bit_and_leaves_a_tracker(labelled: Path, tmp_path: Path):
    settings = training(labelled, tmp_path / "mels")
    start(tmp_path / "whole", "beats", settings)
    halted = {"once": False}

    def halt(step: int, _: dict[str, float]) -> None:
        if step == 2 and not halted["once"]:
            halted["once"] = True
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start(tmp_path / "halves", "beats", settings, watch=halt)
    start(tmp_path / "halves", "beats")
    whole, halves = (read_tensors(tmp_path / name / "state.safetensors") for name in ("whole", "halves"))
    assert all(torch.equal(whole[key], halves[key]) for key in whole)
    tracker = load_tracker(f"default:folder={tmp_path / 'whole' / BEST}")
    assert isinstance(tracker, Tracker)
    assert isinstance(tracker(noise(8000)), Beats)
    assert plain(load_net(tmp_path / "whole" / BEST).config) == plain(TINY)


def test_a_run_may_begin_with_a_tracker_that_is_there(labelled: Path, tmp_path: Path):
    first = BeatJob(training(labelled, tmp_path / "mels"))
    _ = first.step(0)
    first.average.memory = 0
    first.average.update(first.net, 0)
    first.export(tmp_path / "first")
    later = BeatJob(training(labelled, tmp_path / "mels", start=str(tmp_path / "first")))
    for key, value in first.averaged().state_dict().items():
        assert torch.equal(later.net.state_dict()[key], value.half().float())
    with pytest.raises(TrainingError, match="has width 8, and the run 12"):
        _ = BeatJob(training(labelled, tmp_path / "mels", start=str(tmp_path / "first"), model=replace(TINY, width=12)))


def test_excerpts_are_the_same_on_every_call_and_too_long_ones_are_refused(labelled: Path, tmp_path: Path):
    from ostinato.train.annotated import annotated

    songs = annotated(labelled, TINY, tmp_path / "mels.safetensors")
    again = annotated(labelled, TINY, tmp_path / "mels.safetensors")
    (a, b), (c, d) = (BeatExcerpts(each, 60, RATE, seed=3).batch(5, 2) for each in (songs, again))
    assert torch.equal(a, c)
    assert torch.equal(b, d)
    with pytest.raises(TrainingError, match="as long as an excerpt, 10000 frames"):
        _ = BeatExcerpts(songs, 10000, RATE, seed=3).batch(0, 1)


def test_labels_that_are_missing_or_strange_are_refused_by_name(tmp_path: Path):
    with pytest.raises(CorpusError, match=r"no beats beside .*song; song.beats must list them"):
        _ = read_labels(tmp_path / "song.beats")
    _ = (tmp_path / "song.beats").write_text("0.5 1\n1.0\n")
    with pytest.raises(CorpusError, match="must have lines of a time and a place"):
        _ = read_labels(tmp_path / "song.beats")


def test_trackers_go_by_name():
    assert set(trackers) == {"default", "librosa", "essentia", "beat-this"}
    with pytest.raises(ConfigError, match="no tracker called 'defalt'; did you mean 'default'"):
        _ = load_tracker("defalt")
    with pytest.raises(MissingPartError, match=r"the tracker 'beat-this' (needs beat-this|has no weights at)"):
        _ = load_tracker("beat-this:checkpoint=nowhere")


@pytest.mark.parametrize("tempo", [100, 140])
@pytest.mark.parametrize("rate", [44100, 16000])
def test_the_tracker_that_ships_keeps_time_with_drums_whose_tempo_is_roughly_known(tempo: float, rate: int):
    audio, beats = drums(tempo, rate=rate)
    found = load_tracker("default:slowest=70,fastest=180")(audio)
    assert agreement(found, beats) == 1
    assert found.confidence > 0.5


def test_the_tracker_that_ships_is_small_and_the_one_that_was_measured():
    assert (SHIPPED / "weights.safetensors").stat().st_size < 3e6
    for line in (SHIPPED / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((SHIPPED / name).read_bytes()).hexdigest() == digest, name


def test_a_chart_has_beats_where_its_tempo_map_says(tmp_path: Path):
    mido = pytest.importorskip("mido")
    notes = mido.MidiTrack(
        [
            mido.MetaMessage("time_signature", numerator=3, denominator=4, time=0),
            mido.MetaMessage("set_tempo", tempo=500000, time=0),
            mido.MetaMessage("set_tempo", tempo=250000, time=6 * 480),
            mido.MetaMessage("time_signature", numerator=4, denominator=4, time=0),
        ]
    )
    file = mido.MidiFile(ticks_per_beat=480)
    file.tracks.append(notes)
    file.save(tmp_path / "notes.mid")
    beats = chart_beats(tmp_path / "notes.mid", 5.0)
    assert beats.times == pytest.approx([*np.arange(0, 3, 0.5), *np.arange(3, 5, 0.25)])
    assert beats.downbeats == pytest.approx([0, 1.5, 3, 4])
    soundfile.write(tmp_path / "song.wav", np.zeros(8000 * 5), 8000)
    assert [song.beats for song in known_songs(tmp_path)] == [beats]
    with pytest.raises(CorpusError, match="no songs with beats"):
        _ = known_songs(tmp_path, skip=[tmp_path.name])


def test_the_truth_scores_one_and_half_of_it_less():
    _ = pytest.importorskip("mir_eval")
    audio, beats = drums(120)
    song = KnownSong("drums", (), replace(beats, downbeats=beats.times[::4]))
    perfect = score("truth", song, song.beats, sounding(audio))
    assert (perfect.f, perfect.cmlt, perfect.amlt, perfect.downbeat_f) == (1, 1, 1, 1)
    half = score("half", song, Beats(times=beats.times[::2]), sounding(audio))
    assert (half.cmlt, half.amlt, half.downbeat_f) == (0, 1, 0)
    assert half.f < 0.75
    assert score("none", song, Beats(times=()), sounding(audio)).f == 0
