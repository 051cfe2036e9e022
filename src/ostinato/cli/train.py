"""`ostinato train` and `ostinato corpus`: get the music, and make a model from it."""

import functools
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from .. import corpus as music
from ..checkpoint import CONFIG
from ..config import from_json, load, plain
from ..errors import ConfigError
from ..models import folder_of
from ..prepare import Report, prepare, prepare_folder
from ..train import presets
from ..train.beats import BeatTraining
from ..train.codec import CodecTraining
from ..train.context import ContextTraining
from ..train.lm import LMTraining
from ..train.loop import BEST, LOG
from ..train.runs import settings_of, start
from .common import as_json, progress, show, table

Settings = TypeVar("Settings", CodecTraining, LMTraining, BeatTraining, ContextTraining)
RECIPE = Path("recipes/default")

folder = click.Path(path_type=Path)
run_folder = click.argument("run", type=folder)
settings_file = click.option("--config", "file", type=folder, help="JSON file of settings; the rest keep defaults.")
changes = click.option(
    "--set", "changes", multiple=True, metavar="KNOB=VALUE", help="Such as loop.steps=100; repeatable."
)
begin_with = click.option(
    "--from", "begin", metavar="MODEL", help="A model, by name or folder, whose part a new run begins with."
)
recipe = click.option("--list", "recipe", type=folder, default=RECIPE, show_default=True, help="Folder of the list.")
splits = click.option(
    "--split", "splits", multiple=True, metavar="NAME", help=f"{', '.join(music.SPLITS)}; repeatable; all unless given."
)


@click.group()
def train() -> None:
    """Train the parts of a model; the same command goes on with a run that was stopped."""


@train.command()
@run_folder
@begin_with
@settings_file
@changes
@as_json
def codec(run: Path, begin: str | None, file: Path | None, changes: Sequence[str], as_json: bool) -> None:
    """Train a codec in the folder RUN, or go on with the run that is there."""

    def fresh() -> CodecTraining:
        return presets.codec() if begin is None else presets.codec_from(folder_of(begin))

    _train(run, "codec", _settings(run, "codec", fresh, merged(file, changes)), json_wanted=as_json)


@train.command()
@run_folder
@click.option("--stage", type=click.Choice(list(presets.STAGES)), help="Which model; needed to start a run.")
@click.option("--codec", type=folder, default=Path("runs/codec/best"), show_default=True, help="Its codec, trained.")
@begin_with
@settings_file
@changes
@as_json
def lm(
    run: Path,
    stage: str | None,
    codec: Path,
    begin: str | None,
    file: Path | None,
    changes: Sequence[str],
    as_json: bool,
) -> None:
    """Train a masked model in the folder RUN, or go on with the run that is there."""

    def fresh() -> LMTraining:
        if stage is None:
            raise ConfigError("a new run needs --stage coarse or --stage fine")
        return presets.STAGES[stage](codec) if begin is None else presets.model_from(folder_of(begin), stage)

    settings = _settings(run, "lm", fresh, merged(file, changes))
    if stage is not None and (settings.model.given > 0) != (stage == "fine"):
        raise ConfigError(f"{run} holds a run of the other model, not of the {stage} one; choose another folder")
    _train(run, "lm", settings, json_wanted=as_json)


@train.command()
@run_folder
@settings_file
@changes
@as_json
def beats(run: Path, file: Path | None, changes: Sequence[str], as_json: bool) -> None:
    """Train a beat tracker in the folder RUN, or go on with the run that is there."""
    _train(run, "beats", _settings(run, "beats", presets.beats, merged(file, changes)), json_wanted=as_json)


@train.command()
@run_folder
@click.option("--codec", type=folder, default=Path("runs/codec/best"), show_default=True, help="Its codec, trained.")
@settings_file
@changes
@as_json
def context(run: Path, codec: Path, file: Path | None, changes: Sequence[str], as_json: bool) -> None:
    """Train a context model, which foretells tokens to `compress`, in the folder RUN, or go on with it."""
    settings = _settings(run, "context", lambda: presets.context(codec), merged(file, changes))
    _train(run, "context", settings, json_wanted=as_json)


@click.group()
def corpus() -> None:
    """The music that the default model is made from: list it, fetch it, prepare it."""


@corpus.command("list")
@recipe
@splits
@as_json
def list_music(recipe: Path, splits: Sequence[str], as_json: bool) -> None:
    """What the list holds: tracks, hours and licences by package."""
    chosen = _listed(recipe, splits)
    data: list[dict[str, Any]] = []
    for package in chosen.packages:
        tracks = chosen.of(package)
        data.append(
            {
                "package": package.name,
                "version": package.version,
                "split": package.split,
                "tracks": len(tracks),
                "hours": round(sum(track.seconds for track in tracks) / 3600, 3),
                "licences": sorted({track.licence for track in tracks}),
            }
        )
    rows = [("package", "split", "tracks", "hours", "licences")]
    rows += [(d["package"], d["split"], str(d["tracks"]), f"{d['hours']:.2f}", ", ".join(d["licences"])) for d in data]
    hours: dict[str, float] = defaultdict(float)
    for track in chosen.tracks:
        hours[track.split] += track.seconds / 3600
    total = ", ".join(f"{split} {value:.2f} h" for split, value in hours.items())
    show({"packages": data, "hours": dict(hours)}, f"{table(rows, indent='')}\n{total}", json_wanted=as_json)


@corpus.command("fetch")
@click.argument("root", type=folder)
@recipe
@splits
@click.option("--debs", type=folder, help="Folder to keep the packages in.")
@as_json
def fetch_music(root: Path, recipe: Path, splits: Sequence[str], debs: Path | None, as_json: bool) -> None:
    """Fetch the listed tracks into the folder ROOT (Debian and Ubuntu); goes on where it was stopped."""
    chosen = _listed(recipe, splits)
    with progress() as watch:
        folders = music.fetch(chosen, root, debs=debs, watch=watch)
    text = f"{len(chosen.tracks)} tracks of {len(folders)} packages in {root}"
    show({"root": str(root), "packages": len(folders), "tracks": len(chosen.tracks)}, text, json_wanted=as_json)


@corpus.command("prepare")
@click.argument("root", type=folder)
@click.argument("out", type=folder)
@recipe
@splits
@click.option("--own", is_flag=True, help="ROOT is a folder of your own audio, not one that `fetch` made.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes at work.")
@as_json
def prepare_music(
    root: Path, out: Path, recipe: Path, splits: Sequence[str], own: bool, workers: int, as_json: bool
) -> None:
    """Make the tracks in ROOT ready for training: one rate, one loudness, in the folder OUT."""
    with progress() as watch:
        if own:
            report = prepare_folder(root, out, workers=workers, watch=watch)
        else:
            report = prepare(_listed(recipe, splits), root, out, workers=workers, watch=watch)
    show(_report(report, out), "\n".join([str(report), *_skipped(report)]), json_wanted=as_json)


@corpus.command("thanks")
@recipe
def thank(recipe: Path) -> None:
    """Print the attribution page: title, author, source and licence of each track that is trained on."""
    click.echo(music.attribution(music.read_list(recipe)), nl=False)


def merged(file: Path | None, changes: Sequence[str]) -> dict[str, Any]:
    """Settings from a JSON file, with `path.to.knob=value` changes on top.

    Raises:
        ConfigError: the file is not a JSON table, or a change is not written that way.
    """
    settings = _table(file) if file is not None else {}
    for change in changes:
        path, equals, text = change.partition("=")
        if not equals:
            raise ConfigError(f"--set is written knob=value, such as loop.steps=100; got '{change}'")
        *outer, last = path.split(".")
        place = functools.reduce(lambda node, key: node.setdefault(key, {}), outer, settings)
        if not isinstance(place, dict):
            raise ConfigError(f"'{'.'.join(outer)}' is a single value; it has no '{last}'")
        place[last] = _value(text)
    return settings


def over(base: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The settings in `base` with those in `given` in their place, table by table."""
    both = base | given
    nested = {key for key in base if isinstance(base[key], dict) and isinstance(given.get(key), dict)}
    return both | {key: over(base[key], given[key]) for key in nested}


def _settings(run: Path, kind: str, preset: Callable[[], Settings], given: dict[str, Any]) -> Settings:
    """The settings of the run that is there, or else of the preset, with those given in their place."""
    base = settings_of(run, kind) or preset()
    return load(type(base), over(plain(base), given))


def _value(text: str) -> Any:
    try:
        return from_json(text)
    except ValueError:
        return text


def _table(file: Path) -> dict[str, Any]:
    try:
        found = from_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{file} is not JSON ({error})") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{file} must hold a table of settings, got {found!r}")
    return found


def _train(run: Path, kind: str, settings: Settings, *, json_wanted: bool) -> None:
    with progress() as watch:

        @functools.cache
        def steps() -> int:
            return json.loads((run / CONFIG).read_text(encoding="utf-8"))["settings"]["loop"]["steps"]

        def tell(step: int, figures: dict[str, float]) -> None:
            shown = {key: value for key, value in figures.items() if key not in ("step", "hours")}
            name, value = next(iter(shown.items()))
            watch(f"{name} {value:.3f}", step, steps())

        start(run, kind, settings, watch=tell)
    last = json.loads((run / LOG).read_text(encoding="utf-8").splitlines()[-1])
    made = {"run": str(run), "best": str(run / BEST), "last": last}
    show(
        made, f"{run}: step {last['step']:g}, {last['hours']:.2f} hours; best in {run / BEST}", json_wanted=json_wanted
    )


def _listed(recipe: Path, splits: Sequence[str]) -> music.Corpus:
    found = music.read_list(recipe)
    return found.split(*splits) if splits else found


def _report(report: Report, out: Path) -> dict[str, Any]:
    skipped = [{"path": str(path), "reason": reason} for path, reason in report.skipped]
    return {"out": str(out), "files": len(report.ready), "hours": report.seconds / 3600, "skipped": skipped}


def _skipped(report: Report) -> list[str]:
    return [f"skipped {path}: {reason}" for path, reason in report.skipped]
