"""The OSC door, as unloop's patch meets it: over real UDP, with a tiny model in the same process."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message_builder import build_msg

from ostinato.errors import ConfigError, OstinatoError, ServiceError
from ostinato.level import loudness_of
from ostinato.serve.desk import Desk
from ostinato.serve.limits import Limits
from ostinato.serve.makers import Far, Near
from ostinato.serve.osc import Door, Maker, Wire
from ostinato.serve.published_api import DEFAULTS
from ostinato.serve.server import Place, open_desk
from ostinato.serve.store import Store
from ostinato.serve.unloop import inside, joined, query_of, split
from ostinato.types import Audio
from tests import sounds
from tests.osc_patch import RATE, USUAL, Patch, read
from tests.server import Server

MENU = "default supermetroid percussion machines choir n64 opera orchestral sample-instrument xeno-canto march-31"
MENU += " saxophone sax-new sax-sep lazaro-ros lazaro-ros-sep cat10"


@pytest.fixture(scope="module")
def desk(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    place = Place(model=str(tiny_model), folder=str(tmp_path_factory.mktemp("kept")))
    with open_desk(place, Limits()) as desk:
        yield desk


@contextmanager
def opened(folder: Path, store: Store, make: Maker) -> Iterator[Patch]:
    """A patch, and a door that answers it."""
    with Patch() as patch:
        door = Door(Wire(port=0, reply_port=patch.port), [folder], store, make)
        running = threading.Thread(target=door.run)
        running.start()
        patch.door = door.port
        try:
            yield patch
        finally:
            until = time.monotonic() + 30
            while door.busy and time.monotonic() < until:
                time.sleep(0.01)
            door.close()
            running.join(10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "audio").mkdir()
    return tmp_path / "audio"


@pytest.fixture
def patch(desk: Desk, folder: Path) -> Iterator[Patch]:
    with opened(folder, desk.store, Near(desk)) as patch:
        yield patch


def saved(folder: Path, seconds: float = 2.0, name: str = "1in.wav", gain: float = 1.0, seed: int = 0) -> Path:
    path = folder / name
    soundfile.write(path, gain * sounds.loop(seconds, RATE, seed=seed), RATE, subtype="FLOAT")
    return path


def slow(seconds: float) -> Maker:
    """A maker that only copies the loop, slowly."""

    def make(loop: Path, query: Any, tell: Any) -> tuple[Path, Path]:
        tell("Status.PROCESSING")
        time.sleep(seconds)
        return loop, loop

    return make


def test_a_heartbeat_is_answered_at_once_also_while_a_job_runs(patch: Patch, folder: Path):
    patch.process(7, saved(folder), steps=64)
    _ = patch.hear("/progress", 7)
    for _ in range(5):
        began = time.monotonic()
        patch.send("/heartbeat")
        assert patch.hear("/heartbeat") == ["pong"]
        assert time.monotonic() - began < 0.1
    assert not {"Status.FINISHED", "Status.CANCELLED"} & set(patch.statuses(7))


def test_a_request_is_told_of_until_it_is_finished_and_then_gives_two_files(desk: Desk, folder: Path):
    with opened(folder, desk.store, slow(1.2)) as patch:
        patch.process(132, saved(folder))
        paths = patch.results(132)
        told = [at for address, values, at in patch.said if address == "/progress" and values[0] == 132]
    assert patch.statuses(132)[-1] == "Status.FINISHED"
    assert [each[0] for each in patch.said].index("/process-result") == len(patch.said) - 1
    assert max(np.diff(told)) < 0.2
    assert len({path.name for path in paths}) == 2
    for path in paths:
        assert path.is_absolute()
        assert soundfile.info(path).samplerate == RATE


def test_what_is_kept_may_be_less_than_what_a_request_needs(folder: Path, tmp_path: Path):
    with Store(tmp_path / "kept", size=0) as store:

        def make(loop: Path, query: Any, tell: Any) -> tuple[Path, Path]:
            store.sweep()
            return loop, loop

        with opened(folder, store, make) as patch:
            patch.process(3, saved(folder))
            assert all(path.is_file() for path in patch.results(3))


def test_the_loop_is_made_anew_and_the_rest_of_the_file_stays_to_the_sample(patch: Patch, folder: Path):
    sound = saved(folder, 2.5)
    before, content = read(sound), sound.read_bytes()
    patch.process(5, sound, length=1000.0, codebooks=1)
    takes = [read(path) for path in patch.results(5)]
    for take in takes:
        assert len(take) == len(before)
        assert (take[RATE:] == before[RATE:]).all()
        assert not (take[:RATE] == before[:RATE]).all()
    assert not (takes[0] == takes[1]).all()
    assert sound.read_bytes() == content


def test_takes_are_as_loud_as_the_loop_and_not_louder(patch: Patch, folder: Path):
    sound = saved(folder, 2.0, gain=0.2, seed=1)
    patch.process(6, sound, length=2000.0, steps=8)
    wanted = loudness_of([Audio(torch.from_numpy(read(sound))[None, None], RATE)])
    for path in patch.results(6):
        wave = read(path)
        assert np.abs(wave).max() < 0.99
        assert loudness_of([Audio(torch.from_numpy(wave)[None, None], RATE)]) == pytest.approx(wanted, abs=1)


@pytest.mark.parametrize("seconds", [1.0, 0.6])
def test_nothing_follows_a_loop_that_is_the_whole_file_or_longer_than_it(patch: Patch, folder: Path, seconds: float):
    patch.process(8, saved(folder, seconds), length=1000.0)
    assert [len(read(path)) for path in patch.results(8)] == [round(seconds * RATE)] * 2


def test_takes_that_are_the_same_still_come_as_two_files_with_the_rest_once(patch: Patch, folder: Path):
    sound = saved(folder, 2.0)
    patch.process(9, sound, periodic=1, codebooks=14)
    one, other = patch.results(9)
    assert one != other
    for path in (one, other):
        assert len(read(path)) == 2 * RATE
        assert np.abs(read(path) - read(sound)).max() < 1e-6


def test_a_result_is_removed_when_it_is_asked_for_and_nothing_else_ever(patch: Patch, folder: Path, tmp_path: Path):
    sound, other = saved(folder), saved(tmp_path, name="mine.wav")
    patch.process(10, sound)
    one, two = patch.results(10)
    link = folder / "link.wav"
    link.symlink_to(other)
    for path in (other, sound, link, f"{one.parent}/../../../{other}", "", "/etc/passwd", "a\0b", one.parent):
        patch.send("/cleanup", str(path))
        assert "cleaned up" in patch.hear("/error")[0]
    patch.send("/cleanup")
    assert patch.hear("/error")
    assert all(path.exists() for path in (one, two, sound, other))
    patch.send("/cleanup", str(one))
    patch.send("/heartbeat")
    assert patch.hear("/heartbeat")
    assert not one.exists()
    assert two.exists()
    patch.send("/cleanup", str(two))
    patch.send("/heartbeat")
    assert patch.hear("/heartbeat")
    assert not one.parent.exists()


def failing(patch: Patch, number: int) -> str:
    """The error that a request ends with, and that it ends."""
    said = patch.hear("/error")[0]
    assert patch.hear("/progress", number)[1] == "Status.CANCELLED"
    return said


def test_every_error_is_said_and_ends_the_request(patch: Patch, folder: Path, tmp_path: Path):
    sound = saved(folder)
    patch.process(11, folder / "none.wav")
    assert failing(patch, 11) == f"File {folder / 'none.wav'} does not exist"
    (folder / "text.wav").write_text("no sound")
    patch.process(12, folder / "text.wav")
    assert "text.wav" in failing(patch, 12)
    patch.process(13, sound, length=0.0)
    assert "looplength_ms" in failing(patch, 13)
    patch.send("/process", 14, "sketch2sound", str(sound), *USUAL)
    assert "vampnet" in failing(patch, 14)
    patch.send("/process", 15, "vampnet")
    assert "18 arguments" in failing(patch, 15)
    patch.send("/process")
    assert failing(patch, 0)
    patch.process(16, sound, periodic="many")
    assert "periodic_p must be a number" in failing(patch, 16)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_error_of_the_model_and_one_that_should_not_happen_are_said(desk: Desk, folder: Path):
    def broken(loop: Path, query: Any, tell: Any) -> tuple[Path, Path]:
        if query.number == 3:
            raise ServiceError("the server is\non fire")
        raise ZeroDivisionError("oh")

    before = set(desk.store.files.iterdir())
    with opened(folder, desk.store, broken) as patch:
        patch.process(3, saved(folder))
        assert failing(patch, 3) == "the server is on fire"
        patch.process(4, saved(folder))
        assert failing(patch, 4) == "this should not happen: ZeroDivisionError: oh"
    assert set(desk.store.files.iterdir()) == before


def test_more_requests_than_are_answered_at_once_are_refused(desk: Desk, folder: Path):
    over = threading.Event()

    def make(loop: Path, query: Any, tell: Any) -> tuple[Path, Path]:
        assert over.wait(30)
        return loop, loop

    with opened(folder, desk.store, make) as patch:
        sound = saved(folder, 0.2)
        for number in range(1, 18):
            patch.process(number, sound)
        assert failing(patch, 17) == "16 requests are being answered already; let one of them finish first"
        over.set()
        assert {patch.hear("/process-result")[0] for _ in range(16)} == set(range(1, 17))


def test_only_this_machine_is_heard_unless_another_address_is_named():
    assert (Wire().host, Wire().port, Wire().reply_host, Wire().reply_port) == ("127.0.0.1", 8001, "127.0.0.1", 8003)


def test_sounds_outside_the_named_folders_are_not_read(patch: Patch, folder: Path, tmp_path: Path):
    outside = saved(tmp_path, name="mine.wav")
    (folder / "link.wav").symlink_to(outside)
    (folder / "out").symlink_to(tmp_path, target_is_directory=True)
    tries = [outside, folder / "link.wav", folder / "out" / "mine.wav", f"{folder}/../mine.wav", "audio/1in.wav"]
    for number, path in enumerate([*tries, "/etc/passwd", "/dev/zero"], start=20):
        patch.process(number, path)
        assert "outside the folders" in failing(patch, number)
    patch.process(40, "a\0b")
    assert failing(patch, 40)


def test_garbage_is_passed_over_and_times_in_bundles_do_not_hold_the_door_up(patch: Patch):
    late = OscBundleBuilder(time.time() + 3600)
    late.add_content(build_msg("/heartbeat", []))
    nested = b"#bundle\0" + bytes(8)
    for _ in range(300):
        nested = b"#bundle\0" + bytes(8) + len(nested).to_bytes(4, "big") + nested
    for datagram in (
        b"",
        b"\0",
        b"/",
        b"/process",
        b"/process\0\0\0\0,iii\0\0\0\0",
        b"#bundle\0",
        nested,
        b"\xff" * 999,
    ):
        patch.send_raw(datagram)
    patch.send("/nothing", 1, "two", 3.0)
    patch.send_raw(late.build().dgram)
    assert patch.hear("/heartbeat", seconds=2.0) == ["pong"]


def test_three_voices_get_their_own_results_and_are_told_that_they_wait(patch: Patch, folder: Path):
    voices = {number: saved(folder, 1 + 0.25 * k, f"{number}in.wav", seed=k) for k, number in enumerate((71, 72, 73))}
    for number, sound in voices.items():
        patch.process(number, sound, length=900.0, steps=8, feedback=2)
    found: dict[int, list[Any]] = {}
    while len(found) < 3:
        number, *paths = patch.hear("/process-result")
        found[number] = paths
    for number, sound in voices.items():
        for path in map(Path, found[number]):
            assert (read(path)[43200:] == read(sound)[43200:]).all()
    assert any("Status.IN_QUEUE" in patch.statuses(number) for number in voices)


EXTREMES: list[dict[str, Any]] = [
    {"periodic": 128, "drop": 1.0, "mass": 0.0, "least": 0, "codebooks": 1, "steps": 8, "temperature": 0.0},
    {"periodic": 0, "mass": 1.0, "least": 1024, "codebooks": 14, "steps": 64, "temperature": 5.0, "top_p": 1.0},
    {"onset": 1024, "beat": 400.0, "typical": 0, "seed": 32767},
    {"feedback": 64, "seed": 0, "steps": 1},
]


@pytest.mark.parametrize("changes", EXTREMES)
def test_the_ends_of_every_control_of_the_patch_make_takes(patch: Patch, folder: Path, changes: dict[str, Any]):
    patch.process(32768, saved(folder, 0.5), length=500.0, **changes)
    assert len(patch.results(32768)) == 2


def test_whole_numbers_stand_for_others_and_others_for_whole_ones(patch: Patch, folder: Path):
    patch.send(
        "/process",
        4.0,
        "vampnet",
        str(saved(folder, 0.5)),
        "default",
        3.0,
        0,
        9.0,
        400,
        1.0,
        0,
        64.0,
        4.0,
        0.0,
        1.0,
        1,
        0,
        0,
        1.0,
    )
    assert len(patch.results(4)) == 2


def test_models_of_the_patch_s_menu_that_are_not_here_mean_the_usual_one(desk: Desk, folder: Path):
    said: list[str] = []
    with opened(folder, desk.store, Near(desk, said.append)) as patch:
        sound = saved(folder, 0.1)
        for number, name in enumerate(MENU.split(), start=1):
            patch.process(number, sound, model=name, length=100.0)
            assert len(patch.results(number)) == 2
    assert len(MENU.split()) == 17
    assert said == [f"there is no model '{name}' here; tiny takes its place" for name in MENU.split()[1:]]


def test_arguments_mean_the_published_parameters():
    made = query_of(
        [
            132,
            "vampnet",
            "/a/1in.wav",
            "lazaro-ros-sep",
            0,
            0.0,
            1958,
            10000.0,
            0,
            0.15,
            64,
            4,
            7,
            32,
            1.0,
            0.8,
            50.0,
            2,
        ]
    )
    assert (made.number, made.path, made.seconds) == (132, "/a/1in.wav", 10.0)
    assert list(made.sent.values()) == [
        None,
        1.0,
        0.8,
        0,
        0.0,
        1,
        7,
        False,
        0.15,
        64,
        1958,
        "lazaro-ros-sep",
        4,
        0,
        1.0,
        32,
        50.0,
        2,
    ]
    with pytest.raises(ConfigError, match="18 arguments"):
        query_of([1])


def test_samples_are_taken_as_48000_a_second_whatever_the_file_says(tmp_path: Path):
    path = tmp_path / "in.wav"
    soundfile.write(path, sounds.loop(1.0, 44100), 44100, subtype="FLOAT")
    loop, rest = split(path, 0.25)
    assert (loop.sample_rate, loop.samples) == (RATE, 12000)
    assert rest is not None
    assert rest.samples == 44100 - 12000
    assert joined(path, loop, rest).samples == 44100


def test_a_folder_that_is_a_link_is_the_folder_it_leads_to(tmp_path: Path, folder: Path):
    (tmp_path / "alias").symlink_to(folder, target_is_directory=True)
    sound = saved(folder)
    assert inside(str(tmp_path / "alias" / sound.name), [tmp_path / "alias"]) == sound.resolve()


def test_the_door_says_when_it_cannot_open(desk: Desk, folder: Path, tmp_path: Path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ServiceError, match="cannot listen"):
            Door(Wire(port=taken.getsockname()[1]), [folder], desk.store, slow(0))
    with pytest.raises(OstinatoError, match="no folder"):
        Door(Wire(port=0), [tmp_path / "none"], desk.store, slow(0))


def test_a_server_elsewhere_makes_the_takes_as_well(server: Server, folder: Path, tmp_path: Path):
    with Store(tmp_path / "kept") as store, opened(folder, store, Far(server.url)) as patch:
        sound = saved(folder, 1.5)
        patch.process(50, sound, steps=8)
        one, other = map(read, patch.results(50))
        assert (one[RATE:] == read(sound)[RATE:]).all()
        assert not (one == other).all()
        assert "Status.PROCESSING" in patch.statuses(50) or patch.statuses(50)[-1] == "Status.FINISHED"


def test_a_server_that_is_not_there_is_an_error_of_the_request(folder: Path, tmp_path: Path):
    with Store(tmp_path / "kept") as store, opened(folder, store, Far("http://127.0.0.1:9")) as patch:
        patch.process(51, saved(folder))
        assert "cannot reach http://127.0.0.1:9" in failing(patch, 51)
    with pytest.raises(ServiceError, match="written like"):
        Far("nonsense")


OLD_CLIENT = Path(sys.prefix).with_name(".venv-unloop-client") / "bin" / "python"
CLIENTS = {
    "newest": sys.executable,
    "1.8.0": pytest.param(
        OLD_CLIENT, marks=pytest.mark.skipif(not OLD_CLIENT.exists(), reason="make test installs it")
    ),
}
USUAL_CALL: dict[str, Any] = {
    **DEFAULTS,
    "periodic_p": 3,
    "typical_mass": 0.15000000596046448,
    "seed": 1958,
    "n_mask_codebooks": 4,
    "sampling_steps": 32,
}


def called(python: Path | str, url: str, sound: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    """What unloop's client, in a process of its own, finds and fetches."""
    told = json.dumps(USUAL_CALL | changes)
    how = [python, Path(__file__).with_name("unloop_client.py"), url, sound, folder, told]
    done = subprocess.run(how, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("python", CLIENTS.values(), ids=CLIENTS)
def test_the_call_of_unloop_s_own_client_works_on_our_server(
    server: Server, folder: Path, tmp_path: Path, python: Path | str
):
    loop = saved(folder, 1.0, gain=0.3)
    found = called(python, server.url, loop, tmp_path / "got")
    assert (found["version"] == "1.8.0") == (python == OLD_CLIENT)
    assert found["parameters"] == list(DEFAULTS)
    assert found["returns"] == ["filepath", "filepath"]
    one, other = map(Path, found["made"])
    assert one.name != other.name
    wanted = loudness_of([Audio(torch.from_numpy(read(loop))[None, None], RATE)])
    for path in (one, other):
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
        assert path.suffix == ".wav"
        assert wave.shape[1] == 1
        assert 0 <= len(wave) / rate - 1.0 <= 0.02
        assert np.abs(wave).max() < 0.99
        assert loudness_of([Audio(torch.from_numpy(wave.T.copy())[None], rate)]) == pytest.approx(wanted, abs=1)
    assert one.read_bytes() != other.read_bytes()
    same = called(python, server.url, loop, tmp_path / "got", periodic_p=1, n_mask_codebooks=14)
    one, other = map(Path, same["made"])
    assert one != other
    assert (soundfile.read(one)[0] == soundfile.read(other)[0]).all()


class Elsewhere(ThreadingHTTPServer):
    """A server of the published application's kind; it hands files out once `takes` jobs were asked for."""

    daemon_threads = True

    def __init__(self, takes: int, error: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.takes, self.error = threading.Barrier(takes + 1), error
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Answers(BaseHTTPRequestHandler):
    server: Elsewhere

    def do_GET(self) -> None:
        if self.path == "/config":
            self._say({"api_prefix": "/gradio_api", "dependencies": [{"api_name": "vamp_1", "id": 0}]})
        elif "queue/data" in self.path:
            output = {"error": self.server.error} if self.server.error else {"data": [{"path": "a"}, {"path": "b"}]}
            done = {"msg": "process_completed", "success": not self.server.error, "output": output}
            log = {"msg": "log", "level": "warning", "log": "by another model"}
            self._send(f"data: {json.dumps(log)}\n\ndata: {json.dumps(done)}\n\n".encode())
        else:
            if self.path.endswith("=a"):
                _ = self.server.takes.wait(20)
            self._send(sounds.file(rate=RATE, seconds=0.5, subtype="FLOAT"))

    def do_POST(self) -> None:
        _ = self.rfile.read(int(self.headers["Content-Length"]))
        self._say({"event_id": "1"} if self.path.endswith("join") else ["/sound.wav"])

    def _say(self, told: Any) -> None:
        self._send(json.dumps(told).encode())

    def _send(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        _ = self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def elsewhere() -> Iterator[Callable[..., Elsewhere]]:
    made: list[Elsewhere] = []

    def start(*how: Any) -> Elsewhere:
        made.append(Elsewhere(*how))
        return made[-1]

    yield start
    for server in made:
        server.shutdown()
        server.server_close()


def test_a_request_is_taken_while_files_of_the_one_before_are_fetched(
    folder: Path, tmp_path: Path, elsewhere: Callable[..., Elsewhere]
):
    place = elsewhere(1)
    said: list[str] = []
    with Store(tmp_path / "kept") as store, opened(folder, store, Far(place.url, said.append)) as patch:
        for number in (1, 2):
            patch.process(number, saved(folder, 0.5, f"{number}in.wav"), length=500.0)
        found = {patch.hear("/process-result")[0] for _ in range(2)}  # each fetches only once the other does too
    assert found == {1, 2}
    assert said == ["by another model"] * 2


def test_an_error_of_a_server_elsewhere_is_said_and_ends_the_request(
    folder: Path, tmp_path: Path, elsewhere: Callable[..., Elsewhere]
):
    with Store(tmp_path / "kept") as store, opened(folder, store, Far(elsewhere(0, "no such voice").url)) as patch:
        patch.process(1, saved(folder))
        assert failing(patch, 1) == "no such voice"
