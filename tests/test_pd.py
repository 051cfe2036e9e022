"""The Pd patch, run without a window or a sound card, against the door that it talks to."""

import itertools
import re
import shutil
import socket
import subprocess
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ostinato.serve.osc import Door, Maker, Wire
from ostinato.serve.store import Store
from tests import sounds

PATCH = Path(__file__).parents[1] / "unloop" / "pd" / "unloop.pd"
PD = shutil.which("pd")
PATIENCE = 60.0
GRAPHICAL = ("tgl", "nbx", "hsl", "bng")

pytestmark = pytest.mark.skipif(PD is None, reason="needs Pure Data: apt-get install puredata-core")


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(("127.0.0.1", 0))
        return port.getsockname()[1]


def quieter(queries: list[Any]) -> Maker:
    """A maker whose takes are the loop at a half and at a quarter of its level, less for each request."""

    def make(loop: Path, query: Any, tell: Any) -> tuple[Path, Path]:
        queries.append(query)
        wave, rate = soundfile.read(loop, dtype="float32")
        targets = loop.with_name("a.wav"), loop.with_name("b.wav")
        for target, level in zip(targets, (0.5, 0.25), strict=True):
            soundfile.write(target, wave * level / len(queries), rate, subtype="FLOAT")
        return targets

    return make


@contextmanager
def running(
    folder: Path, door: int, listen: int, *orders: str, beside: Path | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """Pd with the patch, and another one `beside` it, told these orders once it has begun."""
    places = f"unloop-listen {listen}; unloop-connect 127.0.0.1 {door}; unloop-folder symbol {folder}"
    sent = "; ".join([places, "pd dsp 1", *orders])
    how = ["-nogui", "-noaudio", "-noprefs", "-stderr", "-open", str(PATCH), "-send", sent]
    how += [] if beside is None else ["-open", str(beside)]
    process = subprocess.Popen([str(PD), *how], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        _ = process.wait(10)
        assert process.stderr is not None
        process.stderr.close()


def until(condition: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "loop.wav", sounds.loop(0.5, 44100), 44100, subtype="FLOAT")
    return tmp_path


def test_the_patch_asks_for_takes_plays_them_in_turn_and_asks_again(folder: Path, tmp_path: Path):
    queries: list[Any] = []
    listen = free_port()
    with Store(tmp_path / "kept") as store:
        door = Door(Wire(port=0, reply_port=listen), [folder], store, quieter(queries))
        thread = threading.Thread(target=door.run)
        thread.start()
        orders = [f"unloop-load symbol {folder}/loop.wav", "unloop-periodic 5", "unloop-generate 1"]
        said: list[str] = []
        try:
            with running(folder, door.port, listen, *orders) as process:
                reader = threading.Thread(target=lambda: said.extend(process.stderr or []), daemon=True)
                reader.start()
                until(lambda: len(queries) >= 3 and sum("unloop-take" in line for line in said) >= 4)
        finally:
            door.close()
            thread.join(10)
        left = [path for path in store.files.rglob("*.wav") if path.is_file()]
    query = queries[0]
    assert 1 <= query.number <= 32767
    assert query.path == f"{folder}/unloop-in.wav"
    assert query.seconds == pytest.approx(0.5, abs=1e-4)
    assert (query.sent["periodic_p"], query.sent["n_mask_codebooks"]) == (5, 4)
    written, _ = soundfile.read(folder / "unloop-in.wav", dtype="float32")
    assert np.abs(written - sounds.loop(0.5, 44100)[:, 0]).max() < 1e-6
    turns = [line.split()[-1] for line in said if "unloop-take" in line]
    assert {"0", "1"} <= set(turns)
    assert all(one != other for one, other in itertools.pairwise(turns))
    assert not any("error" in line.lower() for line in said), said
    assert len(left) <= 4  # those of requests that it has not heard the end of


HAND = """#N canvas 0 0 300 300 10;
#X obj 9 9 loadbang;
#X obj 9 39 delay 500;
#X msg 99 69 \\; unloop-record 1;
#X obj 9 99 delay 700;
#X msg 99 129 \\; unloop-record 0;
#X obj 9 159 delay 300;
#X msg 9 189 \\; unloop-generate 1;
#X connect 0 0 1 0;
#X connect 1 0 2 0;
#X connect 1 0 3 0;
#X connect 3 0 4 0;
#X connect 3 0 5 0;
#X connect 5 0 6 0;
"""


def test_a_recording_is_a_loop_as_long_as_it_lasted(folder: Path, tmp_path: Path):
    queries: list[Any] = []
    listen = free_port()
    (tmp_path / "hand.pd").write_text(HAND, encoding="utf-8")
    with Store(tmp_path / "kept") as store:
        door = Door(Wire(port=0, reply_port=listen), [folder], store, quieter(queries))
        thread = threading.Thread(target=door.run)
        thread.start()
        try:
            with running(folder, door.port, listen, beside=tmp_path / "hand.pd"):
                until(lambda: queries)
        finally:
            door.close()
            thread.join(10)
    assert queries[0].seconds == pytest.approx(0.7, abs=0.05)
    assert soundfile.info(folder / "unloop-in.wav").duration == pytest.approx(0.7, abs=0.06)


def boxes(patch: Path) -> list[tuple[str, range, range]]:
    """Where objects, messages and comments lie: their text, and the pixels across and down that they take at least."""
    found = []
    for record in re.findall(r"#X (?:obj|msg|text) (.*?)(?<!\\\\);\n", patch.read_text(encoding="utf-8"), re.S):
        x, y, text = record.split(" ", 2)
        text, _, most = text.partition(", f ")
        lines = [] if text.startswith(GRAPHICAL) else text.replace("\\;", ";\n").replace("\\", "").split("\n")
        lines = [part for line in lines for part in textwrap.wrap(line, int(most or 60))] or [""]
        found.append(
            (text, range(int(x), int(x) + 6 * max(map(len, lines)) + 10), range(int(y), int(y) + 13 * len(lines) + 4))
        )
    return found


def test_no_boxes_of_the_patch_lie_over_one_another():
    found = boxes(PATCH)
    assert len(found) == 181
    for (one, across, down), (other, wide, high) in itertools.combinations(found, 2):
        apart = not set(across) & set(wide) or not set(down) & set(high)
        assert apart, f"'{one}' lies over '{other}'"
