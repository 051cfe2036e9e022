"""Pitch and time: a tone lands where it should, lengths are told, and a loop still goes round."""

import json
import shlex
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

from ostinato import audiofile
from ostinato.cli import main
from ostinato.clip import Heard
from ostinato.codesfile import Origin
from ostinato.errors import AudioError, ConfigError, MissingPartError
from ostinato.pitch import transposed
from ostinato.stretch import stretched, stretched_heard
from ostinato.types import Audio, Beats, Grid

RATE = 44100


def tone(hertz: float, seconds: float = 1.0, channels: int = 1) -> Audio:
    time = torch.arange(round(seconds * RATE)) / RATE
    return Audio((0.3 * torch.sin(2 * torch.pi * hertz * time)).expand(1, channels, -1).contiguous(), RATE)


def pitch(wave: Tensor) -> float:
    """The strongest frequency, in Hz."""
    return float(torch.fft.rfft(wave * torch.hann_window(len(wave))).abs().argmax()) * RATE / len(wave)


@pytest.mark.parametrize("semitones", [-12.0, -3.0, 0.5, 7.0, 12.0])
@pytest.mark.parametrize("circular", [False, True])
def test_a_tone_is_moved_by_so_many_semitones_and_nothing_else(semitones: float, circular: bool):
    _ = pytest.importorskip("python_stretch")
    audio = tone(440, channels=2)
    moved = transposed(audio, semitones, circular=circular)
    assert (moved.wave.shape, moved.sample_rate) == (audio.wave.shape, RATE)
    for row in moved.wave[0]:
        assert pitch(row) == pytest.approx(440 * 2 ** (semitones / 12), rel=0.01)
        assert float(row[8000:-8000].std()) == pytest.approx(float(audio.wave[0, 0].std()), rel=0.15)
    assert torch.equal(transposed(audio, semitones, circular=circular).wave, moved.wave)


def test_no_semitones_change_nothing():
    audio = tone(440)
    assert transposed(audio, 0) is audio


@pytest.mark.parametrize("samples", [1, 100, 5000])
@pytest.mark.parametrize("circular", [False, True])
def test_the_shortest_sounds_keep_their_length(samples: int, circular: bool):
    _ = pytest.importorskip("python_stretch")
    audio = Audio(torch.rand(1, 2, samples, generator=torch.Generator().manual_seed(0)) - 0.5, RATE)
    assert transposed(audio, 3, circular=circular).samples == samples


def test_a_loop_that_is_transposed_still_meets_itself():
    _ = pytest.importorskip("python_stretch")
    audio = tone(441, 0.8)
    moved = transposed(audio, 4, circular=True).wave[0, 0]
    assert float((moved[0] - moved[-1]).abs()) <= 1.1 * float(moved.diff().abs().max())
    assert float(moved[:2000].std()) == pytest.approx(float(moved.std()), rel=0.2)


def test_what_cannot_be_transposed_is_refused_by_name(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match="-24 to 24 semitones, got 25"):
        _ = transposed(tone(440), 25)
    with pytest.raises(AudioError, match=r"one sound of at most 600 s, got 601\.0 s"):
        _ = transposed(Audio(torch.zeros(1, 1, 6010), 10), 1)
    monkeypatch.setitem(sys.modules, "python_stretch", None)
    with pytest.raises(MissingPartError, match="pip install python-stretch"):
        _ = transposed(tone(440), 1)


GRID = Grid(sample_rate=1000, hop=100, codebooks=2, vocabulary=16)


def tokens(samples: int, *, circular: bool = False) -> tuple[Tensor, Origin]:
    frames = GRID.frames_around(samples) if circular else GRID.frames_of(samples)
    origin = Origin(grid=GRID, sample_rate=2000, channels=1, samples=2 * samples, circular=circular)
    return torch.arange(frames).expand(1, 2, -1), origin


@pytest.mark.parametrize(
    ("ratio", "places"),
    [
        (1.0, [0, 1, 2, 3, 4]),
        (2.0, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
        (3.0, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]),
        (0.5, [1, 3, 4]),
        (1.5, [0, 1, 1, 2, 3, 3, 4, 4]),
        (0.125, [4]),
    ],
)
@pytest.mark.parametrize("circular", [False, True])
def test_frames_are_repeated_or_left_out_by_the_nearest_in_time(ratio: float, places: list[int], circular: bool):
    codes, origin = stretched(*tokens(500, circular=circular), ratio)
    if not circular:
        assert codes[0, 0].tolist() == places
    assert origin.samples == round(1000 * ratio)
    there = round(500 * ratio)
    assert codes.shape[-1] == (GRID.frames_around(there) if circular else GRID.frames_of(there))


@pytest.mark.parametrize("samples", [1, 499, 501, 12345])
@pytest.mark.parametrize("ratio", [0.3, 0.99, 2.0, 7.7])
def test_the_codes_always_cover_the_length_that_is_told(samples: int, ratio: float):
    codes, origin = stretched(*tokens(samples), ratio)
    assert codes.shape[-1] == GRID.frames_of(max(1, round(origin.samples / 2)))
    assert origin.samples == max(1, round(2 * samples * ratio))
    assert bool((codes.diff() >= 0).all())


def test_a_loop_stays_a_multiple_of_the_period_and_a_whole_ratio_turns_with_it():
    codes, origin = stretched(*tokens(500, circular=True), 1.3, period=2)
    assert codes.shape[-1] == 6
    whole, _ = stretched(*tokens(600, circular=True), 2.0)
    before, origin = tokens(600, circular=True)
    turned, _ = stretched(before.roll(1, -1), origin, 2.0)
    assert torch.equal(turned, whole.roll(2, -1))


def test_what_was_heard_comes_later_in_a_longer_sound():
    heard = Heard(Beats((0.5, 1.0, 1.5), (0.5,), 0.7), (0.25,), torch.zeros(3))
    later = stretched_heard(heard, 2.0)
    assert later == Heard(Beats((1.0, 2.0, 3.0), (1.0,), 0.7), (0.5,), None)
    assert stretched_heard(Heard(), 2.0) == Heard()


@pytest.mark.parametrize("ratio", [0.0, 0.1, 9.0, float("nan")])
def test_a_stretch_out_of_range_is_refused(ratio: float):
    with pytest.raises(ConfigError, match=r"stretch must be between 0\.125 and 8 times the length"):
        _ = stretched(*tokens(500), ratio)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    wave = torch.rand(1, 1, 30001, generator=torch.Generator().manual_seed(0)) - 0.5
    _ = audiofile.write(tmp_path / "a.wav", Audio(wave, RATE))
    return tmp_path / "a.wav"


QUICK = ("--steps", 2, "--fine", "steps=1")


@pytest.mark.parametrize(
    ("flags", "samples"),
    [
        (("--stretch", 2, "--keep", "periodic:period=14"), 60002),
        (("--stretch", 0.5, "--hide", "inpaint:start=0.1,end=0.3", "--loop"), 15000),
        (("--dropout", 0.3), 30001),
        (("--pitch", -3.5, "--hide", "inpaint:start=0.1,end=0.3"), 30001),
    ],
)
def test_a_take_tells_the_command_that_makes_it_again(
    sound: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[object, ...], samples: int
):
    _ = pytest.importorskip("python_stretch")
    monkeypatch.chdir(sound.parent)
    assert run("vary", "a.wav", "-o", "b.wav", *flags, *QUICK, "--model", tiny_model).exit_code == 0
    assert audiofile.info(Path("b.wav")).samples == samples
    first = Path("b.wav").read_bytes()
    _, *command = shlex.split(json.loads(run("info", "b.wav", "--json").stdout)["command"])
    assert flags[0] in command
    Path("b.wav").unlink()
    assert run(*command).exit_code == 0
    assert Path("b.wav").read_bytes() == first


def test_what_is_kept_of_a_transposed_sound_is_the_transposed_sound(
    sound: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    _ = pytest.importorskip("python_stretch")
    monkeypatch.chdir(sound.parent)
    hole = ("--hide", "inpaint:start=0.3,end=0.5", "--pitch", 5)
    assert run("vary", "a.wav", "-o", "b.wav", *hole, *QUICK, "--model", tiny_model).exit_code == 0
    moved = transposed(audiofile.read(Path("a.wav")), 5).wave[..., :13000]
    torch.testing.assert_close(audiofile.read(Path("b.wav")).wave[..., :13000], moved, atol=2**-22, rtol=0)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--pitch", 30), "-24 to 24 semitones, got 30"),
        (("--stretch", 9), "stretch must be between 0.125 and 8 times the length, got 9"),
        (("--dropout", 2), "dropout must be between 0 and 1, got 2"),
        (("--stretch", 0.5, "--keep", "prefix:seconds=0.5"), "prefix of 0.5 s is outside the clip"),
    ],
)
def test_mistakes_are_told_in_one_line(sound: Path, tiny_model: Path, flags: tuple[object, ...], complaint: str):
    result = run("vary", sound, "-o", sound.with_name("b.wav"), *flags, "--model", tiny_model)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert not sound.with_name("b.wav").exists()


def test_tokens_of_a_take_are_neither_transposed_nor_stretched(sound: Path, tiny_model: Path):
    result = run("vary", "--from", sound, "-o", sound.with_name("b.wav"), "--pitch", 2, "--model", tiny_model)
    assert "with --from TAKE there are its tokens: name its file" in result.stderr
