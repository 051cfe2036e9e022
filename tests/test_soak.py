"""Long work through the doors for players, shortly; and the telephone's ring on the command line."""

import itertools
import json
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from ostinato.cli import main
from ostinato.serve import live
from ostinato.serve.ring import Ring
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
    assert 0 < states[-1]["slowest"] <= 60 * states[-1]["minutes"]
    assert all(one["requests"] <= other["requests"] for one, other in itertools.pairwise(states))
    assert max(each["results"] for each in states) <= 3 * 5
    assert states[-1]["handles"] <= states[0]["handles"] + 12


def test_how_long_a_voice_of_one_s_own_waits_is_told(tiny_model: Path):
    how = ["--voices", 1, "--seconds", 0.5, "--steps", 1, "--minutes", 0.05, "--json"]
    state = json.loads(ran("bench", "unloop", "--model", tiny_model, *how))["states"][-1]
    assert state["results"] <= 4
    assert 0 < state["slowest"] < 60


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


class Card:
    """A sound card that is none: it hears what it is given, in blocks, and plays to nobody, in a third of the time."""

    class PortAudioError(Exception):
        pass

    def __init__(self, hears: np.ndarray, rate: int, most: int = 8, stops: bool = False) -> None:
        self.hears, self.rate, self.most, self.stops = hears, rate, most, stops
        self.asked: list[Any] = []

    def Stream(self, *, channels: tuple[int, int], callback: Any, **how: Any) -> "Card":
        self.asked.append((channels, how))
        if channels[1] > self.most:
            raise self.PortAudioError("Invalid number of channels")
        self.over, self.active = threading.Event(), True
        self.running = threading.Thread(target=self.run, args=(channels[1], callback))
        return self

    def run(self, channels: int, callback: Any) -> None:
        out, block = np.zeros((400, channels), np.float32), np.zeros((400, 1), np.float32)
        for at in itertools.count(0, 400):
            if self.over.wait(400 / self.rate / 3) or (self.stops and at >= len(self.hears)):
                self.active = False
                return
            block[:, 0] = np.resize(self.hears[at : at + 400], 400) if at < len(self.hears) else 0
            callback(block, out, 400, None, None)

    def __enter__(self) -> None:
        self.running.start()

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.running.join(10)


def listening(card: Card, monkeypatch: pytest.MonkeyPatch, model: Path, out: Path, *more: object) -> Any:
    monkeypatch.setitem(sys.modules, "sounddevice", card)
    how = ["--live", "-o", out, "--model", model, "--rate", card.rate, "--seconds", 0.5, "--hold", 0.1, "--json", *more]
    return CliRunner().invoke(main, ["telephone", *map(str, how)])


def test_live_hands_what_it_hears_around_the_ring_and_keeps_all_that_was_played(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    held, usual = list[np.ndarray](), live.hop

    def hop(pipeline: Any, ring: Ring, *how: Any) -> Any:
        if len(held) == 7:
            raise KeyboardInterrupt
        before = ring.sound()
        wave = usual(pipeline, ring, *how)
        held.extend([] if wave is None else [before])
        return wave

    monkeypatch.setattr("ostinato.serve.live.hop", hop)
    word = np.concatenate([np.zeros(8000), 0.3 * np.random.default_rng(0).standard_normal(2400)]).astype(np.float32)
    card, out = Card(word, 8000), tmp_path / "out"
    done = listening(card, monkeypatch, tiny_model, out, "--channels", 3, "--sound-card", "x")
    assert done.exit_code == 0, done.output
    assert card.asked == [((1, 3), {"samplerate": 8000, "blocksize": 8192, "device": "x", "dtype": "float32"})]
    turns = ["channel 2, your turn in 2", "channel 3, your turn in 1", "channel 1, your turn"]
    turns += [f"channel {number}, your turn" for number in (2, 3, 1, 2)]
    assert done.stderr.splitlines() == ["heard you", *turns, "over"]
    assert (held[0][1700:3900] == word[8100:10_300]).all()
    told = json.loads(done.stdout)
    played, rate = soundfile.read(told["path"], dtype="float32")
    assert (rate, played.shape[1], told["channels"]) == (8000, 3, 3)
    assert told["seconds"] == round(len(played) / 8000, 3)
    began = [int(np.flatnonzero(np.abs(played[:, channel]) > 0.01)[0]) for channel in range(3)]
    assert 10_000 <= began[0] < began[1] < began[2]
    assert [path.name for path in out.iterdir()] == ["ring.wav"]
    again = listening(card, monkeypatch, tiny_model, out, "--channels", 3)
    assert again.exit_code != 0
    assert "is there already" in again.output


def test_live_listens_again_when_what_was_said_has_died_away(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    silent = 0

    def hop(_: Any, ring: Ring, *how: Any) -> None:
        nonlocal silent
        silent += ring.waiting > 0
        if silent == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("ostinato.serve.live.hop", hop)
    done = listening(Card(np.full(10**6, 0.3), 8000), monkeypatch, tiny_model, tmp_path / "out")
    assert done.stderr.splitlines() == ["heard you", "heard you", "over"]


def test_live_says_what_the_sound_card_cannot_do(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    done = listening(Card(np.zeros(0), 8000, most=2), monkeypatch, tiny_model, tmp_path / "out", "--channels", 4)
    assert done.exit_code != 0
    assert "Invalid number of channels; name another --sound-card, or fewer --channels" in done.output
    done = listening(Card(np.zeros(800), 8000, stops=True), monkeypatch, tiny_model, tmp_path / "out", "--minutes", 1)
    assert done.exit_code != 0
    assert "the sound card stopped" in done.output
    assert list((tmp_path / "out").iterdir()) == []
