"""`ostinato evaluate` and the card: figures go to JSON, the page comes from JSON, and both say what was measured."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from ostinato import audiofile
from ostinato.cli import evaluate as cli_evaluate
from ostinato.cli.evaluate import evaluate
from ostinato.errors import ConfigError, OstinatoError, TrainingError
from ostinato.evaluate import card, page
from ostinato.evaluate.estimates import Estimate
from ostinato.evaluate.subject import codec_of
from ostinato.evaluate.variation import Variation
from ostinato.types import Audio

RATE = 16000


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music") / "test"
    folder.mkdir()
    time = torch.arange(2 * RATE) / RATE
    for number in range(2):
        wave = 0.1 * (6.283 * (200 + 90 * number) * time).sin() * (-4 * (3 * time % 1)).exp()
        _ = audiofile.write(folder / f"{number}.wav", Audio(wave[None, None], RATE))
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(evaluate, [str(each) for each in arguments], catch_exceptions=False)


def codec_figures() -> dict[str, Any]:
    estimate = {"mean": 0.5, "low": 0.4, "high": 0.6, "count": 3}
    return {
        "split": "test",
        "tracks": 2,
        "passages": 3,
        "seconds": 6.0,
        "seed": 0,
        "scores": [{"system": "1 codebook", "kbps": 0.574, "judged": {"mel": estimate}}],
        "perplexity": [411.0, 380.0],
        "tokens": 4321,
        "speed": 38.2,
        "threads": 2,
        "opus": "opusenc 0.2",
    }


def all_figures() -> dict[str, Any]:
    """A card's JSON with every part, made by hand."""
    level = {"stage": "coarse", "codebook": 1, "unigram": 8.0, "half": 6.0, "schedule": 6.5, "saved": 0.25}
    tokens = {"split": "test", "passages": 3, "seconds": 6.0, "seed": 0, "tokens": 99, "unigram_from": "the measured"}
    near, far = ({"mean": m, "low": m - 0.1, "high": m + 0.1, "count": 3} for m in (0.3, 0.9))
    prompts = {"split": "test", "passages": 3, "seconds": 6.0, "seed": 0, "hidden": 0.857}
    prompts |= {"prompt": {"keep": [{"hint": "periodic", "period": 7}], "hide": []}}
    prompts |= {"take": near, "chance": far, "other": far, "chance_less_take": near, "other_less_take": near}
    parts = {
        "codec": codec_figures(),
        "tokens": tokens | {"hidden": 0.637, "levels": [level]},
        "prompts": prompts,
    }
    grid = {"sample_rate": 44100, "hop": 768, "codebooks": 2, "vocabulary": 1024}
    figures: dict[str, Any] = {
        "model": {"name": "mine", "hash": "abc", "codec": "c0d", "grid": grid, "bytes": 45_000_000}
    }
    for name, result in parts.items():
        figures[name] = {
            "command": f"ostinato evaluate {name}",
            "hash": "c0d" if name == "codec" else "abc",
            "result": result,
        }
    return json.loads(json.dumps(figures))


def test_the_page_shows_figures_of_the_json_with_the_command_for_each():
    figures = all_figures()
    text = page.page(figures)
    for shown in ("| 1 codebook | 0.57 | 0.500 [0.400, 0.600] |", "| perplexity | 411 | 380 |", "38 times real time"):
        assert shown in text
    for shown in ("| 1 | coarse | 8.00 | 6.00 | 6.50 | 25.0% |", "codebooks 1 to 1 save 25.0%", "0.300 [0.200, 0.400]"):
        assert shown in text
    for part in card.PARTS:
        assert f"```sh\nostinato evaluate {part}\n```" in text
    figures["codec"]["result"]["perplexity"][0] = 17.0
    assert page.page(figures) != text


def test_the_page_says_when_takes_are_not_clearly_nearer():
    figures = all_figures()
    assert "clearly nearer than chance and clearly nearer than another track" in page.page(figures)
    figures["prompts"]["result"]["chance_less_take"]["low"] = -0.01
    assert "not clearly nearer than chance and clearly nearer than another track" in page.page(figures)


def test_the_page_refuses_figures_of_another_model():
    figures = all_figures()
    figures["tokens"]["hash"] = "older"
    with pytest.raises(OstinatoError, match="lack tokens of model abc"):
        _ = page.page(figures)


def test_training_and_corpus_are_told_where_they_are_known(tmp_path: Path):
    lines = [{"step": 20, "hours": 0.5}, {"step": 4000, "hours": 5.25}]
    _ = (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    figures = all_figures() | {"training": card.training({"codec": tmp_path})}
    further = card.training({"coarse": tmp_path, "codec": tmp_path}, figures["training"])
    assert [run["stage"] for run in further] == ["coarse", "codec"]
    assert card.training({"coarse": tmp_path}, figures["training"]) == [further[1], further[0]]
    figures["corpus"] = card.music(Path(__file__).parents[1] / "recipes" / "default")
    text = page.page(figures)
    assert "| codec | 5.2 | 4000 |" in text
    assert "| train |" in text
    train = next(part for part in figures["corpus"] if part["split"] == "train")
    assert sum(train["licences"].values()) == pytest.approx(train["hours"])
    with pytest.raises(TrainingError, match="no log of a training run"):
        _ = card.training({"codec": tmp_path / "nowhere"})


def test_a_damaged_card_is_refused(tmp_path: Path):
    _ = (tmp_path / "card.json").write_text("[1]")
    with pytest.raises(OstinatoError, match="must hold a table"):
        _ = card.read_figures(tmp_path / "card.json")
    _ = (tmp_path / "card.json").write_text("{")
    with pytest.raises(OstinatoError, match="is not JSON"):
        _ = card.read_figures(tmp_path / "card.json")


def test_the_codec_is_measured_from_a_model_or_from_its_own_folder(tiny_model: Path, split: Path):
    options = [
        "--split-dir",
        split,
        "--passages",
        2,
        "--seconds",
        0.5,
        "--judge",
        "mel",
        "--no-opus",
        "--usage",
        2,
        "--json",
    ]
    whole = json.loads(run("codec", "--model", tiny_model, *options).stdout)
    alone = json.loads(run("codec", "--model", tiny_model / "codec", *options).stdout)
    assert whole["result"]["scores"] == alone["result"]["scores"]
    assert whole["hash"] == alone["hash"] == codec_of(str(tiny_model / "codec"))[1].hash
    assert whole["command"].endswith("--passages 2 --judge mel --no-opus --usage 2")
    assert whole["command"].startswith(
        f"ostinato evaluate codec --model {tiny_model} --split-dir {split} --seconds 0.5"
    )


def test_a_card_measures_only_what_is_missing_and_writes_page_and_json(tiny_model: Path, split: Path, tmp_path: Path):
    options = ["--model", tiny_model, "--split-dir", split]
    small = [*options, "--passages", 2, "--seconds", 0.5, "-o", tmp_path / "card.json"]
    assert "| 1 codebook | 0.29 |" in run("codec", *small, "--judge", "mel", "--no-opus", "--usage", 2).stdout
    assert "| 6 | fine |" in run("tokens", *small, "--train-dir", split).stdout
    assert "the model's take" in run("prompts", *small, "--usage", 2).stdout
    before = json.loads((tmp_path / "card.json").read_text())
    assert before["prompts"]["command"].endswith("--passages 2 --usage 2")
    told = run("card", *options, "-o", tmp_path, "--corpus", Path(__file__).parents[1] / "recipes" / "default")
    assert told.stdout.strip() == str(tmp_path / "README.md")
    after = json.loads((tmp_path / "card.json").read_text())
    assert {part: after[part] for part in card.PARTS} == {part: before[part] for part in card.PARTS}
    assert (tmp_path / "README.md").read_text() == page.page(after)


def test_a_card_measures_a_stale_part_anew(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _, subject = codec_of(str(tiny_model))
    figures = all_figures()
    for part in ("codec", "tokens"):
        figures[part]["hash"] = subject.hash_for(part)
    _ = (tmp_path / "card.json").write_text(json.dumps(figures))
    known = figures["prompts"]["result"]
    known |= {key: Estimate(**known[key]) for key in known if isinstance(known[key], dict) and "mean" in known[key]}
    fresh = Variation(**known | {"take": Estimate(0.123, 0.1, 0.2, 3)})
    asked: list[Path] = []

    def score_prompts(_codec: object, _vary: object, folder: Path, **_options: object) -> Variation:
        asked.append(folder)
        return fresh

    monkeypatch.setattr(cli_evaluate, "score_prompts", score_prompts)
    _ = run("card", "--model", tiny_model, "--split-dir", tmp_path, "-o", tmp_path)
    assert asked == [tmp_path]
    assert "0.123 [0.100, 0.200]" in (tmp_path / "README.md").read_text()
    assert json.loads((tmp_path / "card.json").read_text())["prompts"]["hash"] == f"{subject.hash} {subject.samplers}"
    assert subject.samplers == "confidence:temperature=0.85, then mean"


def test_a_run_without_a_stage_is_refused(tiny_model: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="stage=folder, got 'runs'"):
        _ = run("card", "--model", tiny_model, "--run", "runs", "-o", tmp_path)


def test_figures_that_cannot_be_written_are_told_in_one_line(tmp_path: Path):
    with pytest.raises(OstinatoError, match=r"cannot write .*card\.json: No such file or directory"):
        card.write_figures(tmp_path / "nowhere" / "card.json", {})


@pytest.mark.parametrize("option", ["--seconds=0", "--seed=-1", "--passages=0", "--usage=0"])
def test_a_number_that_makes_no_sense_is_refused(option: str):
    result = run("codec", option)
    assert result.exit_code == 2
    assert "is not in the range" in result.output


def test_listen_writes_a_picture(tiny_model: Path, split: Path, tmp_path: Path):
    _ = pytest.importorskip("matplotlib")
    flags = ("--model", tiny_model, "--split-dir", split, "--seconds", 0.5, "-o", tmp_path / "levels.png", "--json")
    told = json.loads(run("listen", *flags).stdout)
    assert told["path"] == str(tmp_path / "levels.png")
    assert told["track"] in [path.stem for path in split.iterdir()]
    assert (tmp_path / "levels.png").stat().st_size > 1000
