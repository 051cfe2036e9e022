"""Long work through the doors for players, shortly; and the telephone's ring on the command line."""

import itertools
import json
import sys
from pathlib import Path

import pytest
import soundfile
from click.testing import CliRunner

from ostinato.cli import main
from tests import sounds


def ran(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted under /proc")
def test_three_voices_over_osc_leave_nothing_behind(tiny_model: Path):
    found = json.loads(ran("bench", "unloop", "--model", tiny_model, "--minutes", 0.05, "--json"))
    states = found["states"]
    assert len(states) == 11
    assert states[-1]["requests"] > 0
    assert all(one["requests"] <= other["requests"] for one, other in itertools.pairwise(states))
    assert max(each["results"] for each in states) <= 3 * 5
    assert states[-1]["handles"] <= states[0]["handles"] + 12


def test_the_latency_of_each_loop_is_told(tiny_model: Path):
    found = json.loads(ran("bench", "loop", "--model", tiny_model, "--seconds", 1, "--points", 1, "--json"))
    told = found["loops"][0]
    assert told["loop"] == 1
    assert told["swap"] >= told["made"] > 0
    assert told["swap"] % 1 == 0
    assert (told["met"], told["of"]) in ((0, 1), (1, 1))


def test_a_telephone_lays_its_hops_around_a_ring(tiny_model: Path, tmp_path: Path):
    sound = tmp_path / "loop.wav"
    soundfile.write(sound, sounds.loop(0.5), 44100)
    how = ["--hops", 2, "--ring", 3, "--steps", 1, "--model", tiny_model, "--json"]
    told = json.loads(ran("telephone", sound, "-o", tmp_path / "hops", *how))
    whole, rate = soundfile.read(told["ring"], dtype="float32")
    first, _ = soundfile.read(tmp_path / "hops" / "hop-001.wav", dtype="float32")
    assert (whole.shape, rate) == ((2 * len(first), 3), 44100)
    assert (whole[: len(first), 0] == first).all()
    assert (whole[len(first) :, 0] == first).all()
    assert (whole[:, 2] == 0).all()


def test_live_says_what_it_needs(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    done = CliRunner().invoke(main, ["telephone", "--live", "-o", str(tmp_path / "out"), "--model", str(tiny_model)])
    assert done.exit_code == 2
    assert "pip install 'ostinato[live]'" in done.output
