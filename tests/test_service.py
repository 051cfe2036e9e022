"""The queue that all doors share: bounded, fair, and cancelled within a step."""

import threading
from collections.abc import Callable, Iterator

import pytest

from ostinato.errors import AudioError, ServiceError
from ostinato.filling import Progress
from ostinato.serve.service import Cancelled, Service, Ticket

PATIENCE = 10.0


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service(waiting=6, each=4)
    yield made
    made.close()


class Held:
    """A job that goes on step by step until it is let go."""

    def __init__(self, service: Service, client: str = "someone") -> None:
        self.begun, self.go, self.steps = threading.Event(), threading.Event(), 0
        self.ticket: Ticket[str] = service.submit(client, self._work)

    def _work(self, watch: Progress) -> str:
        self.begun.set()
        while not self.go.wait(0.005):
            self.steps += 1
            watch("steps", self.steps, 0)
        return "done"

    def release(self) -> str:
        self.go.set()
        return self.ticket.future.result(PATIENCE)


def noted(order: list[str], name: str) -> Callable[[Progress], None]:
    return lambda watch: order.append(name)


def test_a_job_gives_its_result_and_tells_how_far_it_is(service: Service):
    held = Held(service)
    assert held.begun.wait(PATIENCE)
    assert held.ticket.state.begun
    assert not held.ticket.state.over
    assert held.release() == "done"
    assert held.ticket.state.over
    assert held.ticket.waited is not None


def test_what_a_job_raises_is_its_client_s_and_the_next_one_runs(service: Service):
    def fail(watch: Progress) -> None:
        raise AudioError("no sound")

    with pytest.raises(AudioError, match="no sound"):
        service.submit("a", fail).future.result(PATIENCE)
    assert service.submit("a", lambda watch: 3).future.result(PATIENCE) == 3


def test_clients_take_turns_each_in_its_own_order(service: Service):
    held, order = Held(service), []
    assert held.begun.wait(PATIENCE)
    tickets = [
        service.submit(client, noted(order, f"{client}{n}")) for client, n in ("a1", "a2", "a3", "b1", "b2", "c1")
    ]
    assert [service.place(ticket) for ticket in tickets] == [1, 4, 6, 2, 5, 3]
    _ = held.release()
    for ticket in tickets:
        ticket.future.result(PATIENCE)
    assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]
    assert service.place(tickets[0]) == 0


def test_the_queue_is_bounded_for_all_and_for_each(service: Service):
    held = Held(service)
    assert held.begun.wait(PATIENCE)
    tickets = [service.submit("a", lambda watch: None) for _ in range(4)]
    with pytest.raises(ServiceError, match="4 of your jobs"):
        _ = service.submit("a", lambda watch: None)
    tickets += [service.submit("b", lambda watch: None) for _ in range(2)]
    with pytest.raises(ServiceError, match="busy: 6 jobs"):
        _ = service.submit("c", lambda watch: None)
    _ = held.release()
    for ticket in tickets:
        ticket.future.result(PATIENCE)


def test_cancel_ends_all_jobs_of_one_client_and_no_others(service: Service):
    held = Held(service, "a")
    assert held.begun.wait(PATIENCE)
    waiting, other = service.submit("a", lambda watch: 1), service.submit("b", lambda watch: 2)
    assert service.cancel("a", "Job canceled.") == 2
    for ticket in (held.ticket, waiting):
        with pytest.raises(Cancelled, match="Job canceled"):
            ticket.future.result(PATIENCE)
    assert other.future.result(PATIENCE) == 2
    assert service.cancel("a") == 0


def test_a_running_job_is_cancelled_within_one_step(service: Service):
    held = Held(service)
    assert held.begun.wait(PATIENCE)
    _ = service.cancel("someone")
    before = held.steps
    with pytest.raises(Cancelled):
        held.ticket.future.result(PATIENCE)
    assert held.steps <= before + 1


def test_a_job_that_nobody_waits_for_any_more_is_not_begun(service: Service):
    held, order = Held(service), []
    assert held.begun.wait(PATIENCE)
    left = service.submit("a", noted(order, "left"))
    assert left.future.cancel()
    assert service.waiting == 1
    _ = service.submit("b", noted(order, "b"))
    assert service.waiting == 1
    _ = held.release()
    assert service.submit("c", lambda watch: 0).future.result(PATIENCE) == 0
    assert order == ["b"]


def test_closing_ends_what_runs_and_what_waits_and_takes_nothing_more():
    service = Service()
    held = Held(service)
    assert held.begun.wait(PATIENCE)
    waiting = service.submit("b", lambda watch: None)
    service.close()
    for ticket in (held.ticket, waiting):
        with pytest.raises(Cancelled, match="shutting down"):
            ticket.future.result(PATIENCE)
    with pytest.raises(ServiceError, match="shutting down"):
        _ = service.submit("c", lambda watch: None)


def test_between_jobs_the_house_is_kept():
    swept = threading.Event()
    service = Service(idle=swept.set)
    _ = service.submit("a", lambda watch: None)
    assert swept.wait(PATIENCE)
    service.close()
