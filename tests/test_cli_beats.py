"""Beats on the command line: where they come from, what takes remember of them, and label files on disk."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from ostinato import audiofile, beatsfile, listening
from ostinato.cli import main
from ostinato.cli.flags import Given, flags_of, given, notes_on
from ostinato.errors import AudioError, ConfigError
from ostinato.grids import steady, tapped
from ostinato.types import Audio, Beats

NOTHING: dict[str, Any] = dict.fromkeys(["bpm", "offset", "meter", "taps", "labels", "tracker"])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a second and a half of noise, and a tracker that finds three beats in anything."""
    wave = torch.rand(1, 1, 66150, generator=torch.Generator().manual_seed(0)) - 0.5
    _ = audiofile.write(tmp_path / "loop.wav", Audio(wave, 44100))
    monkeypatch.setattr(listening, "load_tracker", lambda name: lambda audio: Beats((0.2, 0.7, 1.2), (0.7,), 0.25))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line: str) -> Result:
    result = CliRunner().invoke(main, shlex.split(line), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result


def test_flags_give_beats_or_name_who_listens(tmp_path: Path):
    assert given(NOTHING, 4) == Given()
    assert given(NOTHING | {"bpm": 90.0, "offset": 0.5, "meter": "3/4"}, 4).beats == steady(
        4, bpm=90, offset=0.5, meter="3/4"
    )
    assert given(NOTHING | {"taps": "0.1, 0.6,1"}, 4).beats == tapped([0.1, 0.6, 1])
    assert given(NOTHING | {"tracker": "librosa"}, 4).tracker == "librosa"
    beatsfile.write(tmp_path / "labels.txt", Beats((0.5, 1.0), (1.0,)))
    assert given(NOTHING | {"labels": tmp_path / "labels.txt"}, 4).beats == Beats((0.5, 1.0), (1.0,))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"bpm": 90.0, "tracker": "x"}, "beats come from one source, got --bpm and --tracker"),
        ({"offset": 1.0}, "--offset needs --bpm, got --offset 1 without it"),
        ({"offset": 1.0, "taps": "1,2"}, "--offset needs --bpm, got --offset 1 without it"),
        ({"meter": "3/4"}, "--meter needs --bpm or --taps, got --meter 3/4 without them"),
        ({"taps": "1;2"}, "taps are written 0.1,0.62,1.1, in seconds, got '1;2'"),
        ({"bpm": 9.0}, "bpm must be between 20 and 400, got 9"),
        ({"bpm": 90.0, "offset": 4.0}, "offset must lie within the sound, 0 to 4 s, got 4 s"),
    ],
)
def test_flags_that_make_no_grid_are_refused(flags: dict[str, Any], message: str):
    with pytest.raises(ConfigError) as refusal:
        _ = given(NOTHING | flags, 4)
    assert str(refusal.value) == message


def test_what_a_take_remembers_gives_its_flags_again(tmp_path: Path):
    beatsfile.write(tmp_path / "labels.txt", Beats((0.5,)))
    cases: list[dict[str, Any]] = [
        {"bpm": 90.5, "offset": 0.25, "meter": "3/4"},
        {"taps": "0.1,0.6", "meter": "2/4"},
        {"tracker": "librosa"},
        {"labels": tmp_path / "labels.txt"},
        {},
    ]
    for flags in cases:
        told = json.loads(json.dumps(given(NOTHING | flags, 4).told))
        names = {"labels": "--beats"}
        wanted = {
            names.get(name, f"--{name}"): str(value.name if name == "labels" else value)
            for name, value in flags.items()
        }
        words = flags_of(told)
        assert dict(zip(words[::2], words[1::2], strict=True)) == wanted


def test_a_take_is_made_again_by_the_command_that_info_tells(desk: Path, tiny_model: Path):
    _ = run("beats loop.wav --bpm 120 --offset 0.1 -o labels.txt")
    _ = run(f"vary loop.wav -o take.wav --keep beats --beats labels.txt --steps 2 --model {tiny_model}")
    before, told = (desk / "take.wav").read_bytes(), json.loads(run("info take.wav --json").stdout)
    assert "--keep beats --beats labels.txt" in told["command"]
    assert told["notes"] == []
    _ = run(told["command"].removeprefix("ostinato "))
    assert (desk / "take.wav").read_bytes() == before
    _ = (desk / "labels.txt").write_text("0.3\n")
    assert "labels.txt is not the file it was made with" in run("info take.wav").stdout


def test_a_tracker_listens_once_for_all_takes(desk: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    heard: list[str] = []

    def load_tracker(name: str) -> Any:
        heard.append(name)
        return lambda audio: Beats((0.2, 0.7), (0.2,))

    monkeypatch.setattr(listening, "load_tracker", load_tracker)
    _ = run(f"vary loop.wav -o a.wav --keep downbeats --tracker mine --takes 2 --steps 1 --model {tiny_model}")
    assert heard == ["mine"]
    assert "--keep downbeats --tracker mine" in run("info a-2.wav").stdout


def test_beats_are_told_for_people_programs_and_label_tracks(desk: Path):
    assert run("beats loop.wav").stdout.splitlines() == [
        "tempo       120.0 beats a minute",
        "beats       3: 0.200, 0.700, 1.200 s",
        "downbeats   1: 0.700 s",
        "confidence  0.25",
    ]
    told = json.loads(run("beats loop.wav -o labels.txt --json").stdout)
    assert (told["bpm"], told["beats"], told["downbeats"]) == (120, [0.2, 0.7, 1.2], [0.7])
    assert beatsfile.read("labels.txt") == Beats((0.2, 0.7, 1.2), (0.7,))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("beats loop.wav -o loop.wav", "loop.wav is the input; choose another name for the output"),
        ("beats loop.wav -o no/labels.txt", "cannot write no/labels.txt: there is no folder"),
        ("beats loop.wav -o labels.mp3 --tracker x", "the name must end in .txt or .tsv or .lab or .beats"),
        ("beats loop.wav -o /proc/x.txt --tracker x", "cannot write /proc/x.txt"),
        ("beats loop.wav --beats none.txt", "cannot read none.txt: No such file or directory"),
        ("beats loop.wav --beats loop.wav", "loop.wav is not a label file: it is no text"),
        ("vary loop.wav -o a.wav --bpm 100", "nothing in the prompt speaks of beats; add --keep beats"),
        ("vary loop.wav -o a.wav --keep beats --taps 1,2", "beats at 2 s lie past the end of the clip at 1.5 s"),
        ("vary loop.wav -o a.wav --hide bars:which=9 --bpm 240", "bars which=9 is outside the clip: it has no 9"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(desk: Path, tiny_model: Path, line: str, message: str):
    model = ["--model", str(tiny_model)] if line.startswith("vary") else []
    result = CliRunner().invoke(main, [*shlex.split(line), *model])
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert sorted(path.name for path in desk.iterdir()) == ["loop.wav"]


def test_a_label_file_appears_whole_or_not_at_all(tmp_path: Path):
    with pytest.raises(AudioError, match="there are no beats to label"):
        beatsfile.write(tmp_path / "labels.txt", Beats(()))
    with pytest.raises(AudioError, match="cannot write"):
        beatsfile.write(tmp_path / "none" / "labels.txt", Beats((1.0,)))
    assert list(tmp_path.iterdir()) == []


def test_a_take_whose_label_file_is_gone_says_so(tmp_path: Path):
    assert notes_on({"beats": "labels.txt", "sha256": "0"}, tmp_path) == [
        f"note: {tmp_path / 'labels.txt'} is not here; the take needs the beats in it"
    ]
    assert notes_on({"bpm": 120}, tmp_path) == []
