"""One queue for all doors: bounded, fair to its clients, with one worker. It knows neither wire nor music."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..errors import ServiceError
from ..filling import Progress

T = TypeVar("T")
Work = Callable[[Progress], T]

WAITING, EACH, IDLE = 24, 8, 30.0
REMEMBERED = 4096


class Cancelled(ServiceError):
    """The job was cancelled, by its client or because the server is shutting down."""


@dataclass(frozen=True)
class State:
    """How far a job is: passes or seconds `done` of `total` in a `stage`, and whether it has begun and is over."""

    stage: str
    done: int
    total: int
    begun: bool
    over: bool


class Ticket(Generic[T]):
    """One job of one client. `future` has its result, or the error that ended it; cancel it only through the service.

    `waited` is how many seconds it stood in the queue, once it has begun.
    """

    def __init__(self, client: str, work: Work[T]) -> None:
        self.client = client
        self.future: Future[T] = Future()
        self.waited: float | None = None
        self._work = work
        self._since = time.monotonic()
        self._at = ("", 0, 0)
        self._end: str | None = None

    @property
    def state(self) -> State:
        return State(*self._at, begun=self.waited is not None, over=self.future.done())

    def run(self) -> None:
        """Do the work here and now, if it is still wanted."""
        if not self.future.set_running_or_notify_cancel():
            return
        self.waited = time.monotonic() - self._since
        try:
            self._watch("", 0, 0)
            made = self._work(self._watch)
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(made)

    def end(self, why: str) -> None:
        """Have the work raise `Cancelled` at its next step."""
        self._end = why

    def refuse(self, why: str) -> None:
        """End a job that has not begun."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(Cancelled(why))

    def _watch(self, stage: str, done: int, total: int) -> None:
        self._at = (stage, done, total)
        if self._end is not None:
            raise Cancelled(self._end)


class Service:
    """Runs jobs one at a time on a thread of its own; clients take turns, each in its own order.

    Work is a function of a watcher, `watch(stage, done, total)`; what that raises must end the work. `waits` has the
    seconds that the latest jobs stood in the queue.

    Args:
        waiting: how many jobs may wait.
        each: how many of them may be one client's.
        idle: called on the worker's thread after each job, and every half a minute between jobs.
    """

    def __init__(self, *, waiting: int = WAITING, each: int = EACH, idle: Callable[[], object] | None = None) -> None:
        self._most, self._each, self._between = waiting, each, idle
        self._lines: OrderedDict[str, deque[Ticket[Any]]] = OrderedDict()
        self._current: Ticket[Any] | None = None
        self._closed = False
        self.waits: deque[float] = deque(maxlen=REMEMBERED)
        self._change = threading.Condition()
        self._worker = threading.Thread(target=self._serve, name="ostinato-service", daemon=True)
        self._worker.start()

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return sum(len(line) for line in self._lines.values())

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self._current is not None

    def submit(self, client: str, work: Work[T]) -> Ticket[T]:
        """Queue a job.

        Raises:
            ServiceError: too many jobs wait, or too many of this client, or the server is shutting down.
        """
        ticket = Ticket(client, work)
        with self._change:
            self._forget_abandoned()
            if self._closed:
                raise ServiceError("the server is shutting down; try again later")
            if self.waiting >= self._most:
                raise ServiceError(f"the server is busy: {self._most} jobs are waiting; try again in a minute")
            if len(self._lines.get(client, ())) >= self._each:
                raise ServiceError(f"{self._each} of your jobs are waiting already; let one of them finish first")
            self._lines.setdefault(client, deque()).append(ticket)
            self._change.notify()
        return ticket

    def place(self, ticket: Ticket[Any]) -> int:
        """How many jobs are before this one, the running one included; 0 for one that has begun."""
        with self._change:
            turns = sorted(
                (turn, number, each)
                for number, line in enumerate(self._lines.values())
                for turn, each in enumerate(map(id, line))
            )
            order = [each for *_, each in turns]
        return order.index(id(ticket)) + 1 if id(ticket) in order else 0

    def cancel(self, client: str, why: str = "cancelled") -> int:
        """End all jobs of a client, the running one within one step; tells how many there were."""
        with self._change:
            line = self._lines.pop(client, deque())
            current = self._current if self._current is not None and self._current.client == client else None
        for ticket in line:
            ticket.refuse(why)
        if current is not None:
            current.end(why)
        return len(line) + (current is not None)

    def give_up(self, ticket: Ticket[Any], why: str = "cancelled") -> None:
        """End one job, within one step if it runs; of one that is over nothing changes."""
        with self._change:
            line = self._lines.get(ticket.client, deque())
            waits = ticket in line
            if waits:
                line.remove(ticket)
            self._forget_abandoned()
        if waits:
            ticket.refuse(why)
        else:
            ticket.end(why)

    def close(self, patience: float = 10.0) -> None:
        """End all jobs and stop the worker; waits at most `patience` seconds for its last step."""
        why = "the server is shutting down"
        with self._change:
            self._closed = True
            clients = [*self._lines, *([self._current.client] if self._current else [])]
            self._change.notify()
        for client in clients:
            _ = self.cancel(client, why)
        self._worker.join(patience)

    def _serve(self) -> None:
        while (ticket := self._next()) is not None:
            ticket.run()
            if ticket.waited is not None:
                self.waits.append(ticket.waited)
            with self._change:
                self._current = None
            if self._between is not None:
                _ = self._between()

    def _next(self) -> Ticket[Any] | None:
        with self._change:
            while not self._closed:
                self._forget_abandoned()
                if self._lines:
                    client, line = self._lines.popitem(last=False)
                    self._current = line.popleft()
                    if line:
                        self._lines[client] = line
                    return self._current
                if not self._change.wait(IDLE) and self._between is not None:
                    _ = self._between()
        return None

    def _forget_abandoned(self) -> None:
        """Drop jobs that nobody waits for any more."""
        for client, line in list(self._lines.items()):
            for ticket in [each for each in line if each.future.cancelled()]:
                line.remove(ticket)
            if not line:
                del self._lines[client]
