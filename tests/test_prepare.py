"""Music made ready for training: one rate, one loudness, and a reason for every file left out."""

import math
import os
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile
import torch

from ostinato import audiofile
from ostinato.corpus import Corpus, Package, Track
from ostinato.errors import AudioError, CorpusError
from ostinato.prepare import leveled, prepare, prepare_folder
from ostinato.types import Audio


def noise(seconds: float = 1.5, rate: int = 44100, channels: int = 2, gain: float = 0.1, seed: int = 0) -> np.ndarray:
    chance = np.random.default_rng(seed)
    return (gain * chance.standard_normal((round(seconds * rate), channels))).clip(-1, 1)


def put(path: Path, wave: np.ndarray, rate: int = 44100, **how: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, rate, **how)
    return path


def loudness(path: Path) -> float:
    wave, rate = soundfile.read(path)
    return pyloudnorm.Meter(rate).integrated_loudness(wave)


@pytest.fixture
def music(tmp_path):
    """A folder of music in it: `music/`, and where the results go: `out/`."""
    (tmp_path / "music").mkdir()
    return tmp_path


@pytest.mark.parametrize("gain", [0.001, 0.05, 0.3])
@pytest.mark.parametrize(("rate", "channels"), [(44100, 1), (48000, 2), (22050, 2)])
def test_all_music_comes_out_at_one_rate_and_one_loudness(music, gain, rate, channels):
    source = put(music / "music/a.flac", noise(rate=rate, channels=channels, gain=gain), rate)
    report = prepare_folder(music / "music", music / "out")
    (made,) = report.ready
    about = soundfile.info(made)
    assert (about.samplerate, about.channels, about.subtype) == (44100, channels, "PCM_16")
    assert about.duration == pytest.approx(soundfile.info(source).duration, abs=1 / 44100)
    assert loudness(made) == pytest.approx(-20, abs=0.5)


def test_clicks_keep_their_peak_below_full_scale(music):
    wave = np.zeros((88200, 1))
    wave[::11025] = 0.1
    _ = put(music / "music/clicks.wav", wave)
    (made,) = prepare_folder(music / "music", music / "out").ready
    heard, _ = soundfile.read(made)
    assert abs(heard).max() == pytest.approx(0.99, abs=1e-4)
    assert loudness(made) < -20


def test_the_level_does_not_depend_on_the_level_before():
    wave = torch.from_numpy(noise().T.copy())[None].float()
    quiet, loud = (leveled(Audio(gain * wave, 44100)).wave for gain in (0.01, 0.5))
    assert torch.allclose(quiet, loud, atol=1e-5)


@pytest.mark.parametrize(
    ("seconds", "gain", "message"), [(1.0, 0, "got silence"), (0.3, 0.1, r"at least 0\.4 s, got 0\.30 s")]
)
def test_what_has_no_loudness_is_refused(seconds, gain, message):
    wave = torch.from_numpy(noise(seconds, gain=gain).T.copy())[None].float()
    with pytest.raises(AudioError, match=message):
        _ = leveled(Audio(wave, 44100))


def test_every_file_is_ready_or_skipped_with_its_reason(music):
    folder = music / "music"
    good = put(folder / "live/good.ogg", noise())
    expected = {
        put(folder / "wide.wav", noise(channels=6)): "has 6 channels",
        put(folder / "still.wav", noise(gain=0)): "is skipped: loudness needs a sound, got silence",
        put(folder / "blip.wav", noise(0.1)): "is skipped: loudness is measured over at least 0.4 s",
        put(folder / "nan.wav", np.full((44100, 1), math.nan), subtype="FLOAT"): "must hold finite numbers",
        put(folder / "long.wav", noise(3700, 1000, 1), 1000): "lasts 1.0 h; cut it",
    }
    for name, data in {"cover.jpg": b"not music", "empty.wav": b"", "cut.flac": b""}.items():
        (folder / name).write_bytes(data)
    whole = put(music / "whole.flac", noise()).read_bytes()
    (folder / "cut.flac").write_bytes(whole[: len(whole) // 2])
    expected |= {folder / "cover.jpg": "is not a sound file", folder / "empty.wav": "is empty"}
    expected |= {folder / "cut.flac": "is damaged or cut short"}
    seen: list[tuple[str, int, int]] = []
    report = prepare_folder(folder, music / "out", watch=lambda *step: seen.append(step))
    reasons = dict(report.skipped)
    assert reasons.keys() == expected.keys()
    for path, reason in expected.items():
        assert reason in reasons[path]
        assert path.name in reasons[path]
    assert report.ready == (music / "out" / "live__good.wav",)
    assert report.seconds == soundfile.info(good).duration
    assert str(report) == "1 files ready (0.00 hours), 8 skipped"
    assert [step[1:] for step in seen] == [(done, 9) for done in range(1, 10)]
    assert [path.name for path in (music / "out").iterdir()] == ["live__good.wav"]


@pytest.mark.parametrize(("missing", "forgiven"), [(100, True), (10_000, False)])
def test_a_header_that_promises_a_little_too_much_is_forgiven(music, monkeypatch, missing, forgiven):
    _ = put(music / "music/a.wav", noise())

    class Short(audiofile.Reader):
        def blocks(self, samples=audiofile.BLOCK, *, start=0, stop=None):
            yield from super().blocks(samples, stop=self.facts.samples - missing)
            raise AudioError(f"{self.path} is cut short")

    monkeypatch.setattr(audiofile, "Reader", Short)
    report = prepare_folder(music / "music", music / "out")
    assert (len(report.ready), len(report.skipped)) == ((1, 0) if forgiven else (0, 1))


def test_a_second_run_makes_only_what_is_missing_or_older_than_its_source(music):
    for name in ("a", "b", "c"):
        _ = put(music / f"music/{name}.wav", noise())
    first = prepare_folder(music / "music", music / "out")
    a, b, c = first.ready
    a.unlink()
    before = {path: path.stat().st_mtime_ns for path in (b, c)}
    os.utime(music / "music/c.wav", ns=(before[c] + 10**9, before[c] + 10**9))
    again = prepare_folder(music / "music", music / "out")
    assert again == first
    assert a.is_file()
    assert b.stat().st_mtime_ns == before[b]
    assert c.stat().st_mtime_ns != before[c]


def test_results_inside_the_folder_are_not_taken_for_sources(music):
    _ = put(music / "music/a.wav", noise())
    first = prepare_folder(music / "music", music / "music/out")
    again = prepare_folder(music / "music", music / "music/out")
    assert again == first
    assert len(first.ready) == 1


def test_files_of_one_name_keep_apart_by_their_endings(music):
    for name in ("a.wav", "A.flac", "b.wav"):
        _ = put(music / "music" / name, noise())
    report = prepare_folder(music / "music", music / "out")
    assert sorted(path.name for path in report.ready) == ["A_flac.wav", "a_wav.wav", "b.wav"]


def test_files_that_would_overwrite_each_other_are_named(music):
    for name in ("a/b.wav", "a__b.wav"):
        _ = put(music / "music" / name, noise())
    with pytest.raises(CorpusError, match=r"b\.wav and .*b\.wav would both become .*a__b_wav\.wav; rename one"):
        _ = prepare_folder(music / "music", music / "out")


def test_a_full_disk_stops_the_work_instead_of_skipping_file_after_file(music, monkeypatch):
    _ = put(music / "music/a.wav", noise())

    def full(*_, **__):
        raise AudioError("cannot write a.wav: no space left on device")

    monkeypatch.setattr(audiofile, "write", full)
    with pytest.raises(AudioError, match="no space left"):
        _ = prepare_folder(music / "music", music / "out")


def test_a_folder_that_is_none_or_empty_is_refused(music):
    with pytest.raises(CorpusError, match="nowhere is not a folder of audio"):
        _ = prepare_folder(music / "nowhere", music / "out")
    with pytest.raises(CorpusError, match="music has no files"):
        _ = prepare_folder(music / "music", music / "out")


def listed(*places: tuple[str, str]) -> Corpus:
    facts = (2.0, 44100, 2, "Expat", "Ann Bee")
    tracks = tuple(
        Track(name, "1", path, *facts, "train", f"{number:064}") for number, (name, path) in enumerate(places)
    )
    return Corpus(tracks, (Package("game", "1", "0" * 64, "train"),))


def test_a_corpus_is_laid_out_by_split_and_package(music):
    corpus = listed(("game", "x/a.ogg"), ("game", "x/same.ogg"), ("game", "y/same.ogg"))
    for track in corpus.tracks:
        _ = put(music / "music" / track.package / track.path, noise())
    report = prepare(corpus, music / "music", music / "out")
    made = [path.relative_to(music / "out").as_posix() for path in report.ready]
    assert made == ["train/game__a.wav", "train/game__x_same.wav", "train/game__y_same.wav"]


def test_a_track_that_was_not_fetched_is_named_before_any_work(music):
    corpus = listed(("game", "a.ogg"), ("game", "b.ogg"))
    _ = put(music / "music/game/a.ogg", noise())
    with pytest.raises(CorpusError, match=r"b\.ogg has not been fetched; fetch the train split first"):
        _ = prepare(corpus, music / "music", music / "out")
    assert not (music / "out").exists()


def test_two_workers_make_the_same_files_as_one(music):
    for name in ("a", "b"):
        _ = put(music / f"music/{name}.wav", noise(seed=ord(name)))
    _ = put(music / "music/still.wav", noise(gain=0))
    one = prepare_folder(music / "music", music / "one")
    two = prepare_folder(music / "music", music / "two", workers=2)
    assert one.skipped == two.skipped
    assert [path.read_bytes() for path in one.ready] == [path.read_bytes() for path in two.ready]
