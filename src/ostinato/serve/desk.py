"""What the doors of one server share: its workshop, its queue, its files and limits, and how they wait for a job."""

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from ..errors import AudioError, OstinatoError
from ..ostfile import SUFFIX
from .limits import Limits, admit, plain_name
from .service import Service, Ticket, Work
from .store import Store
from .workshop import Made, Order, Workshop

T = TypeVar("T")
LONGEST_MESSAGE = 200


@dataclass(frozen=True)
class Desk:
    """One server, as its doors see it."""

    workshop: Workshop
    service: Service
    store: Store
    limits: Limits
    events: "WeakValueDictionary[str, Ticket[Any]]" = field(default_factory=WeakValueDictionary)

    async def admit(self, upload: str | None, room: Path | None = None) -> Path:
        """An upload as a sound in a room, a new one unless given.

        Raises:
            AudioError: it is none that we take.
        """
        return await asyncio.to_thread(admit, upload, self.store, room or self.store.room(), self.limits)

    def admit_small(self, upload: str | None) -> Path:
        """An uploaded .ost file.

        Raises:
            AudioError: it is none, not uploaded here, or too big.
        """
        path = Path(upload or "")
        if path.is_symlink() or not self.store.holds(path):
            raise AudioError("that file was not uploaded here, or has expired; upload it again")
        if path.suffix.lower() != SUFFIX or path.stat().st_size > self.limits.bytes:
            raise AudioError(f"{plain_name(path.name)} is no {SUFFIX} file, or too big; choose one that was made here")
        return path

    def order(self, client: str, order: Order, event: str = "") -> Ticket[list[Made]]:
        """Queue an order, its takes at most as many as are allowed; `left` ends it by the name of its event.

        Raises:
            ServiceError: too many jobs are waiting.
        """
        way = replace(order.way, takes=min(order.way.takes, self.limits.takes))
        allowed = replace(order, way=way)
        ticket = self.submit(client, lambda watch: self.workshop.make(allowed, watch), order.sound.parent)
        if event:
            self.events[event] = ticket
        return ticket

    def submit(self, client: str, work: Work[T], *rooms: Path) -> Ticket[T]:
        """Queue any job; the rooms that it needs stay until it is over.

        Raises:
            ServiceError: too many jobs are waiting.
        """
        ticket = self.service.submit(client, work)
        self.store.hold(*rooms)
        ticket.future.add_done_callback(lambda _: self.store.release(*rooms))
        return ticket

    def left(self, event: str) -> None:
        """End the job whose result nobody waits for any more."""
        ticket = self.events.get(event)
        if ticket is not None:
            self.service.give_up(ticket, "the client went away")

    def status(self) -> dict[str, Any]:
        """How the server is: what waits and runs, the models that clients may name, and what is kept."""
        service = self.service
        return {
            "ostinato": metadata.version("ostinato"),
            "running": service.busy,
            "waiting": service.waiting,
            "models": self.workshop.models,
            "waited_p50": _quantile(service.waits, 0.5),
            "waited_p95": _quantile(service.waits, 0.95),
            "bytes": self.store.bytes(),
            "memory": memory(),
        }


async def done(ticket: Ticket[T]) -> T:
    """The result of a job, once it is there; whoever stops waiting gives up its place in the queue.

    Raises:
        What the job raised.
    """
    return await asyncio.wrap_future(ticket.future)


def memory() -> int:
    """Bytes of this process that are in memory; 0 where the system does not tell."""
    told = Path("/proc/self/statm")
    return int(told.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if told.exists() else 0


def _quantile(values: Iterable[float], part: float) -> float:
    ordered = sorted(values)
    return round(ordered[round(part * (len(ordered) - 1))], 3) if ordered else 0.0


def plain_words(error: OstinatoError) -> str:
    """An error as one line of at most 200 letters."""
    line = " ".join(str(error).split())
    return line if len(line) <= LONGEST_MESSAGE else f"{line[: LONGEST_MESSAGE - 3]}..."
