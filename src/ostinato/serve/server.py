"""A server: one port, one service, all doors."""

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..config import config, knob
from ..errors import MissingPartError, OstinatoError
from ..runtime import DEVICES
from . import looper
from .desk import Desk
from .guard import LOCAL, Guard
from .limits import Limits
from .service import Service
from .store import Store
from .workshop import Workshop

GRACE = 3
SESSIONS = 128  # that Gradio remembers: open pages, and calls whose result was not fetched; 0.4 MB each


@config
class Place:
    """Where a server listens, and where it keeps its files."""

    host: str = knob("address to listen at; 0.0.0.0 lets the whole network in", default="127.0.0.1")
    port: int = knob("port to listen at; 0 takes a free one", default=7860, low=0, high=65535)
    model: str = knob("the usual model: a name or a folder", default="default")
    device: str = knob("where the models compute", default="cpu", choices=DEVICES)
    folder: str = knob("where files are kept while it runs; nothing means the user's folder", default="")
    prefix: str = knob("path before all addresses, where a proxy in front of it has one, such as /loops", default="")
    pad: float = knob("time between signs of life on a program's stream", default=10.0, unit="s", low=0.1, high=60)

    @property
    def path(self) -> str:
        """The prefix, with a slash before it and none after it."""
        return f"/{self.prefix.strip('/')}" if self.prefix.strip("/") else ""


@dataclass(frozen=True)
class Running:
    """A server that is up."""

    url: str
    desk: Desk


def check_parts() -> None:
    """See that what a server needs is installed.

    Raises:
        MissingPartError: it is not.
    """
    if find_spec("gradio") is None:
        raise MissingPartError("the server needs gradio: pip install 'ostinato[serve]'")


@contextmanager
def open_desk(place: Place, limits: Limits) -> Iterator[Desk]:
    """The service behind all doors, its models loaded; all its files are gone afterwards."""
    workshop = Workshop(place.model, place.device)
    kept = {"age": limits.hours * 3600, "size": limits.kept * 1_000_000}
    with Store(Path(place.folder) if place.folder else None, **kept) as store:
        service = Service(idle=store.sweep)
        try:
            yield Desk(workshop, service, store, limits)
        finally:
            service.close()


def application(desk: Desk, place: Place) -> Any:
    """The guarded ASGI application: Gradio's pages and endpoints, all of whose files lie in the desk's store."""
    os.environ["GRADIO_TEMP_DIR"] = str(desk.store.files)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"  # in its list of calls, of which it would make a table after each
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(sys.maxsize)
    tempfile.tempdir = str(desk.store.arriving)
    import gradio as gr
    from fastapi import FastAPI

    from .web import look, page

    outer = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    outer.add_api_route("/status", desk.status)
    outer.router.routes.extend(looper.routes(desk))
    blocks = page(desk)
    blocks.state_session_capacity = SESSIONS
    app = gr.mount_gradio_app(
        outer,
        blocks,
        path="/",
        root_path=place.path,
        server_name=place.host,
        server_port=place.port,
        show_error=True,
        max_file_size=desk.limits.bytes,
        run_history=False,
        footer_links=[],
        ssr_mode=False,
        enable_monitoring=False,
        **look(),
    )
    blocks.has_launched = True  # only then Gradio checks that what it is sent was uploaded to it
    local, largest = place.host in LOCAL, desk.limits.bytes
    told = {"left": desk.left, "over": partial(forget, blocks)}
    return Guard(app, desk.store, largest=largest, local=local, pad_seconds=place.pad, prefix=place.path, **told)


def forget(blocks: Any, event: str) -> None:
    """Have Gradio forget a call that is over.

    It takes each call for a visit of the page, and would keep a copy of all widgets for each, for clients that return.
    """
    visits, queue = blocks.state_holder, blocks._queue
    for kept in (
        visits.session_data,
        visits.time_last_used,
        queue.pending_messages_per_session,
        queue.pending_event_ids_session,
    ):
        _ = kept.pop(event, None)


def listening(place: Place) -> socket.socket:
    """A socket at the place.

    Raises:
        OstinatoError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
        made.bind((place.host, place.port))
    except OSError as error:
        made.close()
        why = error.strerror or error
        raise OstinatoError(f"cannot listen at {place.host}:{place.port}: {why}; choose another --port") from None
    return made


@contextmanager
def built(place: Place, limits: Limits | None = None) -> Iterator[tuple[Any, socket.socket, Running]]:
    """A server that only needs to be run: uvicorn's, its socket, and what is behind it.

    Raises:
        MissingPartError: an optional package is missing.
        OstinatoError: it cannot listen there, or the model is missing or damaged.
    """
    check_parts()
    import uvicorn

    usual = tempfile.tempdir
    with listening(place) as port, open_desk(place, limits or Limits()) as desk:
        try:
            app = application(desk, place)
            settings = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE)
            shown = "127.0.0.1" if place.host in ("0.0.0.0", "127.0.0.1") else place.host
            host = f"[{shown}]" if ":" in shown else shown
            url = f"http://{host}:{port.getsockname()[1]}{place.path}"
            yield uvicorn.Server(settings), port, Running(url, desk)
        finally:
            tempfile.tempdir = usual
