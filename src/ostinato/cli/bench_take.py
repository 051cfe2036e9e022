"""`ostinato bench take`: where the time of a take goes, beside what the machine's matrix products alone would take."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from .. import audiofile
from ..config import parse_named
from ..models import LOOP
from ..pipeline import COARSE, FINE
from ..prompts import Prompt
from ..sampling import samplers
from ..stopwatch import Share, Times, measure_take
from ..types import Audio
from .common import Within, as_json, model_option, precision_option, progress, runtime_option, show, table


@click.command()
@model_option
@precision_option
@runtime_option
@click.option("--loop", type=click.Path(path_type=Path), default=LOOP, help="A sound.  [default: the loop that ships]")
@click.option("--seconds", type=Within(min=0.5), default=10.0, show_default=True, help="Of the sound, repeated.")
@click.option("--keep", multiple=True, default=("periodic:period=7",), show_default=True, help="Hints to keep.")
@click.option("--sampler", metavar="NAME[:knob=value,...]", help="For the coarse codebooks.  [default: as in `vary`]")
@click.option("--finisher", metavar="NAME[:knob=value,...]", help="For the fine ones.  [default: as in `vary`]")
@as_json
def take(
    model: str, precision: str, runtime: str, loop: Path, seconds: float, keep: Sequence[str], as_json: bool, **how: Any
) -> None:
    """Seconds of each part of a take, its share of the whole, and what its matrix products would take at the limit.

    Of three takes the fastest counts; the one before them, right after loading, is told apart.
    """
    audio = repeated(audiofile.read(loop), seconds)
    chosen = {"sampler": COARSE, "finisher": FINE}
    chosen |= {name: parse_named(samplers, text) for name, text in how.items() if text is not None}
    with progress() as watch:
        found = measure_take(
            model, audio, Prompt.of(keep=keep), precision=precision, runtime=runtime, watch=watch, **chosen
        )
    data = asdict(found) | {"seconds": found.seconds, "times_real_time": audio.seconds / found.seconds}
    show(data, report(found, audio.seconds), json_wanted=as_json)


def repeated(audio: Audio, seconds: float) -> Audio:
    """So many seconds of a sound that starts over at its end."""
    samples = max(1, round(seconds * audio.sample_rate))
    times = -(-samples // audio.samples)
    return Audio(audio.wave.repeat(1, 1, times)[..., :samples], audio.sample_rate)


def report(found: Times, seconds: float) -> str:
    """The parts as a table, and a line for each thing that holds for all."""
    rows = [("part", "seconds", "share", "GFLOP", "at the limit", "of the limit")]
    rows += [_row(part, found) for part in [*found.shares, found.whole]]
    whole = [
        ("speed", f"{seconds / found.seconds:.1f} times real time"),
        ("precision", f"{found.precision}, {found.threads} threads of {found.runtime}"),
        ("limit", f"{found.limit:.0f} GFLOP/s in matrix products"),
        ("to load", f"{found.load_seconds:.2f} s"),
        ("first take", f"{found.first:.2f} s"),
    ]
    return table(rows, indent="") + "\n\n" + table(whole, indent="")


def _row(part: Share, found: Times) -> tuple[str, str, str, str, str, str]:
    took = (f"{part.seconds:.2f}", f"{part.seconds / found.seconds:.0%}")
    if not part.gflop:
        return part.what, *took, "", "", ""
    least = part.at(found.limit)
    return part.what, *took, f"{part.gflop:.0f}", f"{least:.2f}", f"{least / part.seconds:.0%}"
