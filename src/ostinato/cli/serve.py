"""`ostinato serve`, `ostinato studio export` and `ostinato bench serve`: all doors on one port."""

from pathlib import Path
from typing import Any

import click

from ..errors import OstinatoError
from ..serve import load, space
from ..serve.limits import Limits
from ..serve.server import Place, built, check_parts
from .common import Within, as_json, from_flags, knob_flags, model_option, show


@click.command()
@knob_flags(Place)
@knob_flags(Limits)
def serve(**flags: Any) -> None:
    """Open the studio, and the doors for HARP and other programs, at one address.

    Only this machine may ask, unless --host says otherwise. Ctrl-C ends it and removes all files that it kept.
    """
    with built(from_flags(Place, flags), from_flags(Limits, flags)) as (server, port, up):
        click.echo(f"ostinato is at {up.url}  (Ctrl-C ends it)")
        server.run(sockets=[port])


@click.group()
def studio() -> None:
    """Take the studio elsewhere."""


@studio.command("export")
@click.argument("folder", type=click.Path(path_type=Path))
@model_option
@as_json
def export_studio(folder: Path, model: str, as_json: bool) -> None:
    """Write FOLDER, which a Hugging Face Space runs as it is, and any machine with `python app.py`."""
    check_parts()
    names = space.export(folder, model)
    told = f"{folder}: {', '.join(names)}\npush it to a Space, or: pip install -r requirements.txt && python app.py"
    show({"folder": str(folder), "files": names}, told, json_wanted=as_json)


@click.command("serve")
@click.option("--clients", type=click.IntRange(1, 24), default=8, show_default=True, help="How many at once.")
@click.option("--seconds", type=Within(min=0.1), default=300.0, show_default=True, help="For how long.")
@click.option("--loop-seconds", type=Within(0.1, 60), default=4.0, show_default=True, help="Of each loop.")
@click.option("--steps", type=click.IntRange(1, 128), help="Of the coarse model.  [default: as HARP shows it]")
@model_option
@as_json
def bench_serve(
    clients: int, seconds: float, loop_seconds: float, steps: int | None, model: str, as_json: bool
) -> None:
    """Many clients of one server: is every result its owner's, and what do time, memory and files come to?"""
    check_parts()
    found = load.run(model, clients=clients, seconds=seconds, loop=loop_seconds, steps=steps)
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in found.items()]
    show(found, "\n".join(lines), json_wanted=as_json)
    if found["lost"] or found["wrong"] or found["left"]:
        raise OstinatoError(f"{found['lost']} results were lost and {len(found['wrong'])} were wrong")
