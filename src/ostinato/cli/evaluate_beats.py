"""`ostinato evaluate beats`: trackers on recordings whose beats are known."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import click

from ..evaluate.beats import BeatScore, known_songs, score_beats
from ..tracking import load_tracker
from .common import as_json, progress, show, table

FIGURES = ("f", "cmlt", "amlt", "downbeat_f")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--tracker", "names", multiple=True, default=("default",), show_default=True, help="Which to measure; repeatable."
)
@click.option("--skip", multiple=True, metavar="SONG", help="A song to leave out, by name; repeatable.")
@as_json
def beats(folder: Path, names: tuple[str, ...], skip: tuple[str, ...], as_json: bool) -> None:
    """F-measure and continuity of beat trackers on the songs in FOLDER.

    A song is a folder with a notes.mid (its tempo map says where the beats are) and sounds, or a sound with a
    .beats file beside it: a line a beat, of its time in seconds and its place in the bar.
    """
    trackers = {name: load_tracker(name) for name in names}
    with progress() as watch:
        scores = score_beats(known_songs(folder, skip=skip), trackers, watch=watch)
    means = {name: _means([score for score in scores if score.tracker == name]) for name in trackers}
    data = {"songs": [asdict(score) for score in scores], "means": means}
    rows = [("song", "tracker", "F", "CMLt", "AMLt", "downbeat F")]
    rows += [(score.song, score.tracker, *_shown(asdict(score))) for score in scores]
    rows += [("mean", name, *_shown(figures)) for name, figures in means.items()]
    show(data, table(rows, indent=""), json_wanted=as_json)


def _means(scores: Sequence[BeatScore]) -> dict[str, float]:
    return {figure: fmean(getattr(score, figure) for score in scores) for figure in FIGURES}


def _shown(figures: dict[str, float]) -> list[str]:
    return [f"{figures[figure]:.3f}" for figure in FIGURES]
