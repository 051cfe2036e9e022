"""`ostinato bench unloop` and `bench loop`: the doors for players, over minutes and to their loop points."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from ..serve.limits import Limits
from ..serve.osc import check_parts
from ..serve.server import Place, open_desk
from ..serve.soak import Asks, latencies, soak
from .common import Within, as_json, from_flags, knob_flags, model_option, progress, show, table

LOOPS = (1.0, 2.0, 4.0, 8.0)


@click.command("unloop")
@model_option
@click.option("--minutes", type=Within(min=0.05), default=20.0, show_default=True, help="How long.")
@knob_flags(Asks)
@as_json
def unloop(model: str, minutes: float, as_json: bool, **flags: Any) -> None:
    """Ask for takes over OSC, back to back; tell what grows: memory, open files, results, and how long answers take."""
    check_parts()
    with TemporaryDirectory() as folder, progress() as watch:
        sounds = Path(folder) / "audio"
        sounds.mkdir()
        with open_desk(Place(model=model, folder=str(Path(folder) / "kept")), Limits()) as desk:
            states = soak(desk, sounds, minutes, from_flags(Asks, flags), watch)
    rows = [("minutes", "requests", "slowest", "MiB", "open files", "results")]
    rows += [
        (
            f"{each.minutes:.1f}",
            str(each.requests),
            f"{each.slowest:.1f} s",
            f"{each.mib:.0f}",
            str(each.handles),
            str(each.results),
        )
        for each in states
    ]
    show({"states": [asdict(each) for each in states]}, table(rows, indent=""), json_wanted=as_json)


@click.command("loop")
@model_option
@click.option(
    "--seconds", "loops", type=Within(0.2, 60), multiple=True, default=LOOPS, show_default=True,
    help="Length of a loop; repeatable.",
)  # fmt: skip
@click.option("--points", type=click.IntRange(min=1), default=4, show_default=True, help="Loop points to meet.")
@as_json
def loop(model: str, loops: Sequence[float], points: int, as_json: bool) -> None:
    """Seconds from *generate* to the first swap for each length of a loop, and how many loop points takes meet."""
    with (
        TemporaryDirectory() as folder,
        progress() as watch,
        open_desk(Place(model=model, folder=folder), Limits()) as desk,
    ):
        found = asyncio.run(latencies(desk, loops, points, watch))
    rows = [("loop", "take there", "first swap", "steps", "loop points met")]
    rows += [
        (f"{each.loop:g} s", f"{each.made:.2f} s", f"{each.swap:.2f} s", str(each.steps), f"{each.met} of {each.of}")
        for each in found
    ]
    show({"loops": [asdict(each) for each in found]}, table(rows, indent=""), json_wanted=as_json)
