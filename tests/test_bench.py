"""What steps buy: every sampler on the same music, scored once, and written so that a page can show it."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from ostinato import audiofile, bench
from ostinato.beats import agreement
from ostinato.bench import Course, Score, course, halves, known_scores, ladder, report, run, token_costs, written
from ostinato.chart import chart
from ostinato.cli import main
from ostinato.errors import AudioError, CheckpointError
from ostinato.evaluate.estimates import Estimate
from ostinato.interop.published import Published
from ostinato.pipeline import Pipeline, load
from ostinato.sampling import Confidence, Halton, One
from ostinato.types import Audio, Beats
from tests import tiny

RATE = 16000


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tracks of plucked tones."""
    folder = tmp_path_factory.mktemp("music") / "test"
    folder.mkdir()
    time = torch.arange(9 * RATE) / RATE
    for number in range(2):
        wave = 0.1 * (6.283 * (200 + 90 * number) * time).sin() * (-4 * (3 * time % 1)).exp()
        _ = audiofile.write(folder / f"{number}.wav", Audio(wave[None, None], RATE))
    return folder


@pytest.fixture(scope="module")
def pipeline(tiny_model: Path) -> Pipeline:
    return load(tiny_model)


@pytest.fixture(scope="module")
def on(pipeline: Pipeline, split: Path) -> Course:
    return course(pipeline, split, count=3, seconds=3.1, batch=2)


def score(name: str, steps: int, level: float = 1.0) -> Score:
    spread = Estimate(level, level - 0.1, level + 0.1, 3)
    return Score(name, steps, spread, spread, 10 * level, min(1.0, level), 0.1 * steps)


def test_the_music_itself_is_its_own_reconstruction(on: Course):
    assert on.music.mel.mean == 0
    assert on.music.frechet > 0
    assert on.music.bits.count == 3


def test_takes_of_the_likeliest_tokens_cost_fewer_bits_than_the_music(on: Course):
    cold = on.score(Confidence(steps=3, temperature=0.0))
    assert cold.bits.mean < on.music.bits.mean
    assert cold.mel.mean > 0
    assert cold.seconds > on.coding


def test_the_same_sampler_scores_the_same_again(on: Course):
    one, other = (on.score(Halton(steps=2)) for _ in range(2))
    assert one.row | {"seconds": 0} == other.row | {"seconds": 0}
    assert (one.sampler, one.steps) == ("halton", 2)


def test_a_token_costs_what_the_model_says(on: Course):
    model = tiny.model()
    model.classify.weight.data.zero_()
    model.classify.bias.data.zero_()
    codes, hidden = on.codes[:, :4], on.made
    assert token_costs(model, codes, hidden).tolist() == pytest.approx((5 * hidden.sum((1, 2))).tolist())
    assert token_costs(model, codes, hidden & False).tolist() == [0, 0, 0]


def test_halves_are_halves_and_another_seed_takes_others():
    mask = torch.ones(3, 4, 25, dtype=torch.bool)
    assert halves(mask, 1).sum((1, 2)).tolist() == [50, 50, 50]
    assert not torch.equal(halves(mask, 1), halves(mask, 2))
    assert not torch.equal(halves(mask, 1)[0], halves(mask, 1)[1])


def test_with_the_fine_stage_the_coarse_codebooks_are_those_of_the_music(pipeline: Pipeline, split: Path):
    fine = course(pipeline, split, count=2, seconds=3.1, stage="fine")
    assert not bool(fine.mask[:, :4].any())
    assert fine.made.shape[1] == 2
    assert fine.score(Confidence(steps=2)).mel.mean > 0


def test_a_ladder_has_every_sampler_at_every_number_of_steps():
    rungs = ladder([Confidence(choice=3.0), One()], [2, 8])
    assert rungs == [Confidence(choice=3.0, steps=2), Confidence(choice=3.0, steps=8), One()]
    assert [written(rung) for rung in rungs] == ["confidence:choice=3.0", "confidence:choice=3.0", "one"]


def test_the_published_sampler_is_measured_beside_ours(on: Course):
    (rung,) = ladder([Published(temperature=0.9)], [2])
    assert rung == Published(temperature=0.9, sampling_steps=2)
    found = on.score(rung)
    assert (found.sampler, found.steps) == ("published:temperature=0.9", 2)
    assert found.mel.mean > 0


def test_takes_are_asked_whether_they_hold_the_beat(pipeline: Pipeline, split: Path):
    def every(seconds: float) -> Beats:
        return Beats(tuple(seconds * number for number in range(6)))

    heard = iter([every(0.5), every(0.4), every(0.5), every(0.5)])
    following = course(pipeline, split, count=2, seconds=3.1, tracker=lambda _: next(heard))
    found = following.score(Confidence(steps=1))
    assert found.beats == pytest.approx((1 + agreement(every(0.5), every(0.4))) / 2)
    deaf = course(pipeline, split, count=2, seconds=3.1, tracker=lambda _: Beats(()))
    assert deaf.score(Confidence(steps=1)).beats is None


def test_what_is_known_is_not_measured_again(on: Course, monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []
    monkeypatch.setattr(Course, "score", lambda self, sampler: asked.append(sampler) or score("confidence", 4))
    known = [score("confidence", 2), score("halton", 4)]
    found = list(run(on, ladder([Confidence()], [2, 4]), known))
    assert asked == [Confidence(steps=4)]
    assert found == [known[0], score("confidence", 4)]


def test_a_report_is_read_back_for_the_same_setting_only(on: Course):
    found = json.loads(json.dumps(report(on.setting, on.music, [score("halton", 4)])))
    assert known_scores(found, on.setting) == [score("halton", 4)]
    assert known_scores(found | {"setting": found["setting"] | {"seed": 1}}, on.setting) == []
    assert known_scores({}, on.setting) == []


def test_a_scorer_with_another_codec_and_passages_too_short_are_refused(
    pipeline: Pipeline, split: Path, tmp_path: Path
):
    other = load(tiny.write_model(tmp_path / "other", seed=1))
    with pytest.raises(CheckpointError, match="'other' cannot score takes of 'tiny': they have different codecs"):
        _ = course(pipeline, split, scorer=other, count=2, seconds=3.1)
    with pytest.raises(AudioError, match="at least"):
        _ = course(pipeline, split, count=2, seconds=1.0)


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_chart_has_a_line_for_each_sampler(tmp_path: Path, suffix: str):
    scores = [score(name, steps, 1 / steps) for name in ("confidence", "halton:tilt=0.5") for steps in (1, 12, 36)]
    path = chart(tmp_path / f"steps{suffix}", score("the music", 0, 0.01), [*scores, score("one", 2000)])
    assert path.stat().st_size > 5000
    if suffix == ".svg":
        assert "halton" in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def bench_steps(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bench", "steps", *map(str, arguments)], catch_exceptions=False)


def test_the_command_leaves_a_report_values_a_page_and_a_picture(
    tiny_model: Path, split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "found"
    flags = ("--model", tiny_model, "--split-dir", split, "--seconds", 3.1, "--passages", 2, "-o", out)
    chosen = ("--sampler", "confidence", "--sampler", "levels:ratio=0.4", "--steps", "1,3")
    result = bench_steps(*flags, *chosen, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert [(row["sampler"], row["steps"]) for row in found["scores"]] == [
        ("confidence", 1), ("confidence", 3), ("levels:ratio=0.4", 1), ("levels:ratio=0.4", 3),
    ]  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == ["steps.csv", "steps.json", "steps.md", "steps.svg"]
    rows = list(csv.DictReader((out / "steps.csv").read_text().splitlines()))
    assert [row["sampler"] for row in rows] == ["the music", "confidence", "confidence"] + ["levels:ratio=0.4"] * 2
    told = [row[column] for row in rows for column in bench.COLUMNS[1:] if column != "beats"]
    assert all(math.isfinite(float(value)) for value in told)
    assert "| levels:ratio=0.4 | 3 |" in (out / "steps.md").read_text()
    monkeypatch.setattr(Course, "score", lambda *_: pytest.fail("measured again"))
    again = bench_steps(*flags, *chosen)
    assert again.exit_code == 0
    assert again.stdout.splitlines()[0].startswith("sampler")
    assert again.stdout.splitlines()[-1] == str(out / "steps.svg")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--steps", "1,two"), "steps are written 1,2,4, got '1,two'"),
        (("--steps", "0"), "Confidence.steps must be between 1 and 512, got 0"),
        (("--sampler", "haltn"), "no sampler called 'haltn'"),
        (("--stage", "middle"), "'middle' is not one of 'coarse', 'fine'"),
        (("--scorer", "nobody"), "no model called 'nobody'"),
    ],
)
def test_a_wrong_flag_is_one_line(flags: tuple[str, str], message: str, tiny_model: Path, split: Path, tmp_path: Path):
    result = bench_steps("--model", tiny_model, "--split-dir", split, "-o", tmp_path / "found", *flags)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
