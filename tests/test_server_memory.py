"""What a server remembers of its clients: nothing of a call that is over."""

import gc
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostinato.serve.server import SESSIONS, Place, Running, built
from tests import sounds
from tests.harp_client import Client

PATIENCE = 20.0

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Gradio leaves an event loop of its own open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def near(tiny_model: Path, tmp_path: Path) -> Iterator[Running]:
    """A server in this process, whose objects can be counted."""
    with built(Place(port=0, model=str(tiny_model), folder=str(tmp_path))) as (server, port, up):
        thread = threading.Thread(target=server.run, kwargs={"sockets": [port]})
        thread.start()
        try:
            yield up
        finally:
            server.should_exit = True
            thread.join(30)


def remembered() -> int:
    """How many visits of its page Gradio keeps, each with a copy of all widgets."""
    from gradio.state_holder import SessionState

    _ = gc.collect()
    return sum(type(each) is SessionState for each in gc.get_objects())


def settled(most: int) -> int:
    """How many they are once they are at most so many, or in the end: calls that are still at work keep theirs."""
    until = time.monotonic() + PATIENCE
    while (found := remembered()) > most and time.monotonic() < until:
        time.sleep(0.1)
    return found


def test_calls_that_are_over_leave_nothing_behind(near: Running):
    client = Client(near.url)
    path, before = client.upload("x.wav", sounds.file(seconds=0.2)), remembered()
    for _ in range(3):
        assert client.process(path, steps=1)
    lines = client.lines("controls", client.start("controls", []))
    assert next(lines)
    lines.close()
    assert settled(before) <= before


def test_calls_whose_result_is_never_fetched_are_few(near: Running):
    client, most = Client(near.url), remembered() + SESSIONS
    for _ in range(SESSIONS + 5):
        _ = client.start("cancel", [])
    assert settled(most) <= most
