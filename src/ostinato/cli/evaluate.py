"""`ostinato evaluate`: measure a model on held-out music and write its card."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..errors import ConfigError
from ..evaluate import card, page
from ..evaluate.passages import passages
from ..evaluate.picture import listen as draw_levels
from ..evaluate.prediction import score_tokens
from ..evaluate.reconstruction import OPUS_RATES, score_codec
from ..evaluate.subject import about, codec_of, stages
from ..evaluate.variation import score_prompts
from ..pipeline import Pipeline, load
from ..prompts import Prompt
from ..types import Audio, Take
from ..whole import writable, write_text
from .common import Within, as_json, command_line, model_option, progress, show

SPLIT = "music/test"


def shared(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every measurement has."""
    options = [
        model_option,
        click.option("--split-dir", default=SPLIT, show_default=True, help="Folder of held-out music."),
        click.option("--seconds", type=Within(min=0.1), default=6.0, show_default=True, help="Length of a passage."),
        click.option(
            "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which passages, masks and takes."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


into = click.option(
    "-o",
    "--out",
    type=Path,
    callback=lambda _, __, out: out and writable(out, (".json",)),
    help="A card's JSON file to put the figures into.",
)
usage = click.option(
    "--usage", type=click.IntRange(min=1), default=120, show_default=True, help="How many passages to count tokens in."
)


@click.group()
def evaluate() -> None:
    """Measure a model on held-out music, and write its card."""


@evaluate.command()
@shared
@click.option(
    "--passages", "count", type=click.IntRange(min=1), default=16, show_default=True, help="How many passages to judge."
)
@click.option("--judge", "judges", multiple=True, help="mel, zimtohrli or visqol; all unless given.")
@click.option("--opus/--no-opus", default=True, show_default=True, help="Judge Opus beside it.")
@usage
@into
@as_json
@click.pass_context
def codec(context: click.Context, model: str, split_dir: str, count: int, out: Path | None, **options: Any) -> None:
    """What the codec keeps at 1, 4 and all codebooks, beside Opus. MODEL may be a codec checkpoint."""
    coder, subject = codec_of(model)
    chosen = {"judges": options["judges"]} if options["judges"] else {}
    with progress() as watch:
        result = score_codec(
            coder,
            Path(split_dir),
            count=count,
            seconds=options["seconds"],
            seed=options["seed"],
            opus_rates=OPUS_RATES if options["opus"] else (),
            usage=options["usage"],
            watch=watch,
            **chosen,
        )
    _deliver("codec", result, subject, context, out, options["as_json"])


@evaluate.command()
@shared
@click.option(
    "--passages",
    "count",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="How many passages to measure on.",
)
@click.option("--train-dir", help="Folder in which to count token frequencies; the split itself unless given.")
@into
@as_json
@click.pass_context
def tokens(
    context: click.Context, model: str, split_dir: str, count: int, train_dir: str | None, out: Path | None, **rest: Any
) -> None:
    """Bits a hidden token costs, by codebook, beside what token frequencies alone can do."""
    pipeline = load(model)
    with progress() as watch:
        result = score_tokens(
            pipeline.codec,
            stages(pipeline),
            Path(split_dir),
            train=Path(train_dir) if train_dir else None,
            count=count,
            seconds=rest["seconds"],
            seed=rest["seed"],
            watch=watch,
        )
    _deliver("tokens", result, about(pipeline), context, out, rest["as_json"])


@evaluate.command()
@shared
@click.option(
    "--passages", "count", type=click.IntRange(min=1), default=24, show_default=True, help="How many passages to vary."
)
@click.option("--keep", multiple=True, default=("periodic:period=7",), show_default=True, help="Hints to keep.")
@usage
@into
@as_json
@click.pass_context
def prompts(
    context: click.Context, model: str, split_dir: str, count: int, keep: tuple[str, ...], out: Path | None, **rest: Any
) -> None:
    """How near takes stay to their input, beside chance in the same gaps and another track."""
    pipeline = load(model)
    with progress() as watch:
        result = score_prompts(
            pipeline.codec,
            _vary(pipeline),
            Path(split_dir),
            prompt=Prompt.of(keep=keep),
            count=count,
            seconds=rest["seconds"],
            seed=rest["seed"],
            usage=rest["usage"],
            watch=watch,
        )
    _deliver("prompts", result, about(pipeline), context, out, rest["as_json"])


@evaluate.command()
@shared
@click.option("-o", "--out", type=Path, required=True, help="The PNG to write.")
@as_json
def listen(model: str, split_dir: str, seconds: float, seed: int, out: Path, as_json: bool) -> None:
    """A picture of one passage and its reconstructions. MODEL may be a codec checkpoint."""
    _ = writable(out, (".png",))
    coder, _ = codec_of(model)
    passage = passages(Path(split_dir), 1, seconds, seed, coder.grid.sample_rate)[0]
    draw_levels(coder, passage.audio, out)
    told = {"path": str(out), "track": passage.track, "start": round(passage.start, 3)}
    show(told, f"{out}: {passage.track} from {passage.start:.1f} s", json_wanted=as_json)


@evaluate.command(name="card")
@model_option
@click.option("--split-dir", default=SPLIT, show_default=True, help="Folder of held-out music.")
@click.option("--run", "runs", multiple=True, metavar="STAGE=FOLDER", help="A training run, to tell its hours.")
@click.option("--corpus", type=Path, help="Folder of the corpus list.")
@click.option("-o", "--out", type=Path, help="Folder for card.json and README.md; the model's own unless given.")
@click.pass_context
def write_card(
    context: click.Context, model: str, split_dir: str, runs: tuple[str, ...], corpus: Path | None, out: Path | None
) -> None:
    """Measure what card.json lacks of this model, then write card.json and README.md."""
    pipeline = load(model)
    folder = out or pipeline.folder
    _ = writable(folder / card.FIGURES, (".json",))
    subject = about(pipeline)
    figures = card.read_figures(folder / card.FIGURES) | {"model": asdict(subject)}
    if runs:
        figures["training"] = card.training(dict(_run(text) for text in runs), figures.get("training", ()))
    if corpus:
        figures["corpus"] = card.music(corpus)
    for part in card.stale(figures, subject):
        _ = context.invoke(evaluate.commands[part], model=model, split_dir=split_dir, out=folder / card.FIGURES)
        figures |= {part: card.read_figures(folder / card.FIGURES)[part]}
    card.write_figures(folder / card.FIGURES, figures)
    write_text(folder / card.PAGE, page.page(figures))
    click.echo(folder / card.PAGE)


def _vary(pipeline: Pipeline) -> Callable[[Audio, Prompt, int], Take]:
    return lambda sound, prompt, seed: pipeline.vary(sound, prompt, seed=seed, redraw=True)


def _deliver(
    part: str, result: card.Part, subject: card.About, context: click.Context, out: Path | None, json_wanted: bool
) -> None:
    """Print the figures, and put them into a card's file if there is one."""
    figures = card.measured(part, result, _command(context), subject)
    if out is not None:
        known = card.read_figures(out)
        card.write_figures(out, known | {"model": asdict(subject), part: figures})
    show(figures, page.tables(part, figures["result"]), json_wanted=json_wanted)


def _command(context: click.Context) -> str:
    """What to type to run this command again: its options where they differ from the defaults."""
    words = ["ostinato", "evaluate", str(context.command.name)]
    for option in context.command.params:
        value = context.params.get(str(option.name))
        if option.name in ("out", "as_json") or value in (None, (), option.get_default(context)):
            continue
        if isinstance(value, bool):
            words += option.opts[:1] if value else option.secondary_opts[:1]
            continue
        for each in value if isinstance(value, tuple) else (value,):
            words += [option.opts[0], str(each)]
    return command_line(words)


def _run(text: str) -> tuple[str, Path]:
    stage, equals, folder = text.partition("=")
    if not equals:
        raise ConfigError(f"--run is written stage=folder, got '{text}'")
    return stage, Path(folder)
