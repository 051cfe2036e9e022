"""`ostinato unloop`: what unloop's Max patch, or the one for Pd, talks to; until Ctrl-C."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ..models import home
from ..serve.limits import Limits
from ..serve.makers import Far, Near
from ..serve.osc import Door, Maker, Wire, check_parts
from ..serve.server import Place, open_desk
from ..serve.store import Store
from .common import from_flags, knob_flags, model_option


@click.command()
@click.option(
    "--folder",
    "folders",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Where the patch writes its sounds; repeatable. Nothing else is read.",
)
@click.option("--url", metavar="SERVER", help="A server that makes the takes.  [default: this program makes them]")
@model_option
@knob_flags(Wire)
def unloop(folders: tuple[Path, ...], url: str | None, model: str, **flags: Any) -> None:
    """Make takes for unloop's Max patch, over OSC, in place of the client that comes with it.

    Only this machine may ask, unless --host says otherwise. Ctrl-C ends it and removes all files that it made.
    """
    check_parts()
    wire = from_flags(Wire, flags)
    with maker(url, model) as (make, store):
        door = Door(wire, folders, store, make, say=click.echo)
        click.echo(f"ostinato hears the patch at {wire.host}:{door.port}  (Ctrl-C ends it)")
        try:
            door.run()
        finally:
            door.close()


@contextmanager
def maker(url: str | None, model: str) -> Iterator[tuple[Maker, Store]]:
    """Who makes takes, and the store for their files, which are gone afterwards.

    Raises:
        OstinatoError: the model is missing or damaged, or the address is none.
    """
    folder = home() / "unloop"
    if url is None:
        with open_desk(Place(model=model, folder=str(folder)), Limits()) as desk:
            yield Near(desk, click.echo), desk.store
    else:
        with Store(folder) as store:
            yield Far(url, click.echo), store
