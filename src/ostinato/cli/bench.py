"""`ostinato bench`: measure what steps and samplers buy, as a table, a CSV and a chart."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from .. import audiofile
from ..bench import COLUMNS, STAGES, STEPS, Score, as_csv, contenders, course, known_scores, ladder, report, run
from ..chart import chart
from ..config import parse_named, plain
from ..errors import ConfigError, MissingPartError, OstinatoError
from ..evaluate.card import read_figures
from ..evaluate.following import following
from ..evaluate.passages import passages
from ..evaluate.seams import loop_seams, window_seams
from ..models import LOOP
from ..pipeline import load
from ..prompts import Prompt
from ..speed import CLOCKS, SECTIONS, Speed, make_twin, measure
from ..tracking import load_tracker
from ..whole import write_text
from .common import Within, as_json, model_option, precision_option, progress, runtime_option, show, table
from .evaluate import SPLIT, shared

REPORT, VALUES, PAGE, PICTURE = "steps.json", "steps.csv", "steps.md", "steps.svg"


@click.group()
def bench() -> None:
    """Measure speed, quality, sizes and load."""


@bench.command()
@shared
@click.option(
    "--sampler",
    "names",
    multiple=True,
    metavar="NAME[:knob=value,...]",
    default=tuple(contenders),
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
@precision_option
@as_json
def steps(names: Sequence[str], steps: str, out: Path, model: str, scorer: str | None, **options: Any) -> None:
    """Bits a token, mel and Fréchet distance, beats and time, for each sampler at each number of steps.

    `published` is VampNet's own sampler, as published.
    Scores are written as they come. What the folder already holds of the same setting is not measured again.
    """
    rungs = ladder([parse_named(contenders, name) for name in names], numbers(steps))
    _make_folder(out)
    pipeline = load(model, precision=options["precision"])
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
            write_text(out / REPORT, json.dumps(report(on.setting, music, scores), indent=1) + "\n")
            write_text(out / VALUES, as_csv([music, *scores]))
    write_text(out / PAGE, page(music, scores))
    drawn = _draw(out / PICTURE, music, scores)
    found = report(on.setting, music, scores)
    text = table([COLUMNS, *(_cells(score) for score in [music, *scores])], indent="")
    show(found | {"folder": str(out)}, "\n".join([text, *drawn]), json_wanted=options["as_json"])


@bench.command()
@model_option
@click.option("--split-dir", default=SPLIT, show_default=True, help="Folder of held-out music.")
@click.option("--passages", "count", type=click.IntRange(min=1), default=8, show_default=True, help="How many to vary.")
@click.option("--seconds", type=Within(min=0.1), default=30.0, show_default=True, help="Length of a passage.")
@click.option("--loop", type=Path, default=LOOP, help="A loop to vary.  [default: the one that ships]")
@click.option("--keep", multiple=True, default=("periodic:period=7",), show_default=True, help="Hints to keep.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which passages and takes.")
@precision_option
@as_json
def seams(model: str, split_dir: str, loop: Path, keep: Sequence[str], seed: int, **options: Any) -> None:
    """Spectral flux and sample jump where windows meet and where loops meet themselves; 1 is as anywhere."""
    pipeline, prompt = load(model, precision=options["precision"]), Prompt.of(keep=keep)
    turned = audiofile.read(loop)
    found = passages(Path(split_dir), options["count"], options["seconds"], seed, pipeline.grid.sample_rate)
    with progress() as watch:
        scores = window_seams(pipeline, [each.audio for each in found], prompt, seed, watch)
        scores += loop_seams(pipeline, turned, prompt, seed, watch)
    rows = [(each.what, str(each.joins), f"{each.flux:.2f}", f"{each.jump:.2f}") for each in scores]
    text = table([("where", "joins", "flux", "jump"), *rows], indent="")
    show({"model": pipeline.hash, "scores": [asdict(each) for each in scores]}, text, json_wanted=options["as_json"])


@bench.command()
@click.option("--model", metavar="NAME|DIR", help="A model.  [default: random weights of VampNet's published sizes]")
@precision_option
@runtime_option
@click.option(
    "--section",
    "sections",
    multiple=True,
    type=click.Choice(SECTIONS),
    help="What to measure; repeatable.  [default: all]",
)
@click.option(
    "--clock", type=click.Choice(tuple(CLOCKS)), default="wall", show_default=True, help="What seconds are counted."
)
@click.option("--seconds", type=Within(min=0.5), default=10.0, show_default=True, help="Length of the sound.")
@click.option("--steps", type=click.IntRange(min=1), default=36, show_default=True, help="Coarse steps of a take.")
@click.option("--finish", type=click.IntRange(min=1), default=2, show_default=True, help="Fine steps of a take.")
@as_json
def speed(model: str | None, sections: Sequence[str], as_json: bool, **how: Any) -> None:
    """Seconds and memory of each part of a take, beside the published way of working, all in one run.

    The published way does the work that VampNet's code does, from the same weights, in fp32; its take is its passes,
    one after the other, and its codec. Random weights take 2.6 GB in the folder for temporary files while it runs.
    """
    with progress() as watch, TemporaryDirectory() as folder:
        if model is None:
            watch("weights", 0, 1)
            make_twin(Path(folder) / "twin")
        found = measure(model or Path(folder) / "twin", sections=sections or SECTIONS, watch=watch, **how)
    show(plain(found), _speed_text(found), json_wanted=as_json)


@bench.command()
@model_option
@precision_option
@click.option("--split-dir", default=SPLIT, show_default=True, help="Folder of held-out music.")
@click.option(
    "--passages", "count", type=click.IntRange(min=1), default=16, show_default=True, help="How many to vary."
)
@click.option("--seconds", type=Within(min=0.1), default=20.0, show_default=True, help="Length of a passage.")
@click.option("--keep", multiple=True, default=("beats",), show_default=True, help="Hints to keep.")
@click.option("--tracker", default="default", show_default=True, help="Who listens, before and after.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which passages and takes.")
@as_json
def beats(model: str, split_dir: str, keep: Sequence[str], tracker: str, seed: int, **options: Any) -> None:
    """F-measure of the beats of takes, tracked afresh, against those of the music they were made from."""
    pipeline, prompt, ear = load(model, precision=options["precision"]), Prompt.of(keep=keep), load_tracker(tracker)
    found = passages(Path(split_dir), options["count"], options["seconds"], seed, pipeline.grid.sample_rate)
    with progress() as watch:
        scores = following(pipeline, [each.audio for each in found], ear, prompt, seed, watch)
    rows = [(each.what, str(each.passages), f"{each.f:.3f}") for each in scores]
    text = table([("beats of", "passages", "F"), *rows], indent="")
    show({"model": pipeline.hash, "scores": [asdict(each) for each in scores]}, text, json_wanted=options["as_json"])


def _speed_text(found: Speed) -> str:
    rows = [("part", f"{found.clock} seconds", "published way", "times faster", "share of limit")]
    rows += [
        (
            part.what,
            f"{part.seconds:.3f}",
            "" if part.published is None else f"{part.published:.3f}",
            "" if part.ratio is None else f"{part.ratio:.2f}",
            "" if part.share is None else f"{part.share:.0%}",
        )
        for part in found.parts
    ]
    whole = [
        ("precision", f"{found.precision}, {found.threads} threads of {found.runtime}"),
        ("limit", f"{found.limit:.0f} GFLOP/s in matrix products"),
        ("to load", f"{found.load_seconds:.2f} s"),
    ]
    if found.load_mib is not None and found.peak_mib is not None:
        whole.append(("memory", f"{found.load_mib:.0f} MiB once loaded, {found.peak_mib:.0f} MiB at most in a take"))
    whole += [
        (name, f"same token likeliest in {share:.1%} of cells, logits within {found.error[name]:.1e}")
        for name, share in found.agreement.items()
    ]
    return table(rows, indent="") + "\n\n" + table(whole, indent="")


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
    texts = {float: "{:.3f}".format, type(None): lambda _: ""}
    return [texts.get(type(value), str)(value) for value in score.row.values()]


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
