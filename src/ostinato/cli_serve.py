"""`ostinato serve`: all doors on one port, until Ctrl-C."""

from typing import Any

import click

from .cli_common import from_flags, knob_flags
from .serve.limits import Limits
from .serve.server import Place, built


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
