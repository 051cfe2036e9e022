"""A take that keeps the beats is heard to have them; one of the length alone is heard by chance."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ostinato import audiofile
from ostinato.cli import bench as cli_bench
from ostinato.cli import main
from ostinato.errors import AudioError
from ostinato.evaluate.following import following
from ostinato.pipeline import load
from ostinato.prompts import Prompt
from ostinato.types import Audio, Beats

RATE = 44100


def loud(audio: Audio) -> Beats:
    """A tracker for these tests: a beat wherever it gets loud, as far as its loudest moments go."""
    wave = audio.wave[0, 0].abs()
    places = (wave > max(0.01, 0.7 * float(wave.max()))).nonzero()[:, 0].tolist()
    times = [place / RATE for place in places]
    return Beats(tuple(time for time, before in zip(times, [-1.0, *times], strict=False) if time - before > 0.2))


def clicks() -> Audio:
    wave = torch.zeros(1, 1, 2 * RATE)
    for start in range(4000, 2 * RATE, RATE // 2):
        wave[..., start : start + 2000] = 0.6 * torch.sin(torch.arange(2000) / 7)
    return Audio(wave, RATE)


def test_takes_are_scored_beside_what_bounds_them(tiny_model: Path):
    seen: list[tuple[str, int, int]] = []
    silence = Audio(torch.zeros(1, 1, RATE), RATE)
    prompt = Prompt.of(["beats:after=200,before=50"])
    scores = following(load(tiny_model), [clicks(), silence], loud, prompt, 3, lambda *s: seen.append(s))
    found = {score.what: score for score in scores}
    assert found["take"].f == 1
    assert found["take of the length alone"].f < 0.5
    assert all(score.passages == 1 for score in scores)
    assert seen == [("beats", 1, 2), ("beats", 2, 2)]


def test_music_without_beats_is_refused(tiny_model: Path):
    silence = Audio(torch.zeros(1, 1, RATE), RATE)
    with pytest.raises(AudioError, match="none of 1 passages has beats"):
        _ = following(load(tiny_model), [silence], loud, Prompt(), 0, lambda *_: None)


def test_the_command_tells_every_score(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _ = audiofile.write(tmp_path / "a.wav", clicks())
    monkeypatch.setattr(cli_bench, "load_tracker", lambda name: loud)
    command = ["bench", "beats", "--model", tiny_model, "--split-dir", tmp_path, "--passages", 1, "--seconds", 2]
    command += ["--keep", "beats:after=200,before=50", "--json"]
    result = CliRunner().invoke(main, list(map(str, command)), catch_exceptions=False)
    told = {score["what"]: score["f"] for score in json.loads(result.stdout)["scores"]}
    assert next(iter(told)) == "take"
    assert told["take"] == 1
