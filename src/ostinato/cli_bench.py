"""`ostinato bench`: measure what steps and samplers buy, as a table, a CSV and a chart."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from . import audiofile
from .bench import COLUMNS, STAGES, STEPS, Score, as_csv, course, known_scores, ladder, report, run
from .chart import chart
from .cli_common import as_json, model_option, progress, show, table
from .cli_evaluate import SPLIT, shared
from .cli_vary import LOOP
from .config import parse_named
from .errors import ConfigError, MissingPartError, OstinatoError
from .evaluate.card import read_figures, write
from .evaluate.passages import passages
from .evaluate.seams import loop_seams, window_seams
from .pipeline import load
from .prompts import Prompt
from .sampling import samplers

REPORT, VALUES, PAGE, PICTURE = "steps.json", "steps.csv", "steps.md", "steps.svg"


@click.group()
def bench() -> None:
    """Measure what speed costs."""


@bench.command()
@shared
@click.option(
    "--sampler",
    "names",
    multiple=True,
    metavar="NAME[:knob=value,...]",
    default=tuple(samplers),
    show_default=True,
    help="Whom to measure; repeatable.",
)
@click.option("--steps", default=",".join(map(str, STEPS)), show_default=True, help="At how many steps.")
@click.option("--stage", type=click.Choice(STAGES), default="coarse", show_default=True, help="The model to sample.")
@click.option("--keep", multiple=True, default=("periodic:period=7",), show_default=True, help="Hints to keep.")
@click.option(
    "--passages", "count", type=click.IntRange(min=2), default=64, show_default=True, help="How many takes of each."
)
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True, help="Takes made at a time.")
@click.option("--scorer", metavar="NAME|DIR", help="A model with the same codec to judge tokens.  [default: --model]")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="A folder for what is found.")
@as_json
def steps(names: Sequence[str], steps: str, out: Path, model: str, scorer: str | None, **options: Any) -> None:
    """Bits a token, mel distance, Fréchet distance and time, for each sampler at each number of steps.

    Scores are written as they come. What the folder already holds of the same setting is not measured again.
    """
    rungs = ladder([parse_named(samplers, name) for name in names], numbers(steps))
    _make_folder(out)
    pipeline = load(model)
    with progress() as watch:
        on = course(
            pipeline,
            Path(options["split_dir"]),
            stage=options["stage"],
            scorer=None if scorer is None else load(scorer),
            prompt=Prompt.of(keep=options["keep"]),
            count=options["count"],
            seconds=options["seconds"],
            seed=options["seed"],
            batch=options["batch"],
            watch=watch,
        )
        music, scores = on.music, known_scores(read_figures(out / REPORT), on.setting)
        for score in run(on, rungs, scores, watch):
            scores += [] if score in scores else [score]
            write(out / REPORT, json.dumps(report(on.setting, music, scores), indent=1) + "\n")
            write(out / VALUES, as_csv([music, *scores]))
    write(out / PAGE, page(music, scores))
    drawn = _draw(out / PICTURE, music, scores)
    found = report(on.setting, music, scores)
    text = table([COLUMNS, *(_cells(score) for score in [music, *scores])], indent="")
    show(found | {"folder": str(out)}, "\n".join([text, *drawn]), json_wanted=options["as_json"])


@bench.command()
@model_option
@click.option("--split-dir", default=SPLIT, show_default=True, help="Folder of held-out music.")
@click.option("--passages", "count", type=click.IntRange(min=1), default=8, show_default=True, help="How many to vary.")
@click.option("--seconds", type=float, default=30.0, show_default=True, help="Length of a passage.")
@click.option("--loop", type=Path, default=LOOP, help="A loop to vary.  [default: the one that ships]")
@click.option("--keep", multiple=True, default=("periodic:period=7",), show_default=True, help="Hints to keep.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which passages and takes.")
@as_json
def seams(model: str, split_dir: str, loop: Path, keep: Sequence[str], seed: int, **options: Any) -> None:
    """Spectral flux and sample jump where windows meet and where loops meet themselves; 1 is as anywhere."""
    pipeline, prompt = load(model), Prompt.of(keep=keep)
    turned = audiofile.read(loop)
    found = passages(Path(split_dir), options["count"], options["seconds"], seed, pipeline.grid.sample_rate)
    with progress() as watch:
        scores = window_seams(pipeline, [each.audio for each in found], prompt, seed, watch)
        scores += loop_seams(pipeline, turned, prompt, seed, watch)
    rows = [(each.what, str(each.joins), f"{each.flux:.2f}", f"{each.jump:.2f}") for each in scores]
    text = table([("where", "joins", "flux", "jump"), *rows], indent="")
    show({"model": pipeline.hash, "scores": [asdict(each) for each in scores]}, text, json_wanted=options["as_json"])


def numbers(text: str) -> list[int]:
    """Whole numbers, from `1,2,4`.

    Raises:
        ConfigError: the text is not of that form.
    """
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"steps are written 1,2,4, got '{text}'") from None


def page(music: Score, scores: Sequence[Score]) -> str:
    """The scores as a table for a page."""
    rows = [COLUMNS, ["---"] * len(COLUMNS), *(_cells(score) for score in [music, *scores])]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cells(score: Score) -> list[str]:
    return [f"{value:.3f}" if isinstance(value, float) else str(value) for value in score.row.values()]


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OstinatoError(f"cannot write to {out}: {error.strerror}") from None


def _draw(path: Path, music: Score, scores: Sequence[Score]) -> list[str]:
    try:
        return [str(chart(path, music, scores))]
    except MissingPartError as error:
        return [str(error)]
