"""The published application's endpoints: their names, their parameters, their extremes."""

import itertools
import json
from typing import Any

import httpx
import numpy as np
import pytest

from ostinato.hints.beats import OnBeats
from ostinato.hints.levels import Finer
from ostinato.hints.onsets import Onsets
from ostinato.hints.places import Periodic, Random
from ostinato.prompts import Prompt
from ostinato.serve.prompting import masked, number, whole
from ostinato.serve.published_api import DEFAULTS, change_preset
from ostinato.types import Grid
from tests import sounds
from tests.harp_client import Client, Refused
from tests.server import Server

ROWS = {
    "timbre transfer": (2, 1, 0, 0.0, 0),
    "small variation": (5, 4, 0, 0.0, 0),
    "small variation (follow beat)": (7, 4, 0, 0.0, 50),
    "medium variation": (7, 4, 0, 0.0, 0),
    "medium variation (follow beat)": (13, 4, 0, 0.0, 50),
    "large variation": (13, 4, 0, 0.2, 0),
    "large variation (follow beat)": (0, 4, 0, 0.0, 80),
    "unconditional": (0, 1, 0, 0.0, 0),
}
MENU = [
    "default",
    "supermetroid",
    "percussion",
    "machines",
    "choir",
    "n64",
    "opera",
    "orchestral",
    "sample-instrument",
    "xeno-canto",
    "march-31",
    "saxophone",
    "sax-new",
    "sax-sep",
    "lazaro-ros",
    "lazaro-ros-sep",
    "cat10",
]
QUICK = {"sampling_steps": 1}


@pytest.fixture(scope="module")
def wav(server: Server) -> str:
    return Client(server.url).upload("loop.wav", sounds.file(channels=2, seconds=1.5))


def vamp(server: Server, path: str | None, name: str = "vamp_1", **changes: Any) -> list[tuple[str, bytes]]:
    """The names and bytes of the files that a call gives."""
    client = Client(server.url)
    sent = {**DEFAULTS, **QUICK, **changes}
    sent["input_audio"] = None if path is None else {"path": path, "meta": {"_type": "gradio.FileData"}}
    made = client.call(name, list(sent.values()))
    return [(each["url"].rsplit("/", 1)[1], client.fetch(each)) for each in made]


@pytest.mark.parametrize("name", ["vamp_1", "vamp"])
def test_the_parameters_have_the_published_names_and_order(server: Server, name: str):
    told = Client(server.url).http.get(f"{server.url}/gradio_api/info").json()["named_endpoints"][f"/{name}"]
    assert [each["parameter_name"] for each in told["parameters"]] == list(DEFAULTS)
    assert len(told["parameters"]) == 18
    assert [each["python_type"]["type"] for each in told["returns"]] == ["filepath", "filepath"]


def test_two_different_takes_come_back_as_mono_files_of_the_input_s_length(server: Server, wav: str):
    (one, first), (other, second) = vamp(server, wav, seed=3)
    assert one != other
    assert one.endswith(".wav")
    for content in (first, second):
        wave, rate = sounds.decoded(content)
        assert (len(wave), wave.shape[1], rate) == (66150, 1, 44100)
        assert 0.02 < np.abs(wave).max() < 0.999
    assert first != second
    assert vamp(server, wav, seed=3)[0][1] == first


EXTREMES: list[dict[str, Any]] = [
    {"periodic_p": 128, "dropout": 1.0, "typical_mass": 0, "typical_min_tokens": 0, "n_mask_codebooks": 1},
    {"periodic_p": 0, "typical_mass": 1, "typical_min_tokens": 1024, "n_mask_codebooks": 14, "sampletemp": 0},
    {"periodic_p": 1, "dropout": 0.0, "n_mask_codebooks": 14},
    {"onset_mask_width": 1024, "sampletemp": 5, "top_p": 1, "beat_mask_ms": 400},
    {"num_feedback_steps": 64},
    {"periodic_p": 1e9, "seed": -5, "sampling_steps": 0, "pitch_shift_amt": 99, "stretch_factor": None},
    {"pitch_shift_amt": -3.0, "stretch_factor": 1.0, "typical_mass": 0.15000000596046448, "sample_cutoff": 0.0},
    {"model_choice": None, "periodic_p": None, "beat_mask_ms": 0.0, "typical_filtering": False},
]


@pytest.mark.parametrize("extreme", EXTREMES, ids=lambda each: next(iter(each)))
def test_no_value_is_refused(server: Server, extreme: dict[str, Any]):
    path = Client(server.url).upload("short.wav", sounds.file(seconds=0.5))
    assert len(vamp(server, path, **extreme)) == 2


def test_nothing_to_do_still_gives_two_files(server: Server, wav: str):
    (one, first), (other, second) = vamp(server, wav, periodic_p=1, n_mask_codebooks=14)
    assert one != other
    assert np.array_equal(sounds.decoded(first)[0], sounds.decoded(second)[0])


def test_every_name_of_the_menu_is_taken(server: Server):
    path = Client(server.url).upload("short.wav", sounds.file(seconds=0.2))
    for name in MENU:
        assert len(vamp(server, path, model_choice=name)) == 2


def test_a_model_that_is_not_here_is_told(server: Server):
    client = Client(server.url)
    path = client.upload("short.wav", sounds.file(seconds=0.2))
    told = httpx.get(f"{server.url}/config", timeout=10).json()
    number = next(each["id"] for each in told["dependencies"] if each["api_name"] == "vamp_1")
    sent = {
        **DEFAULTS,
        **QUICK,
        "model_choice": "opera",
        "input_audio": {"path": path, "meta": {"_type": "gradio.FileData"}},
    }
    job = {"data": list(sent.values()), "fn_index": number, "session_hash": "one"}
    assert client.http.post(client.url("queue/join"), json=job).status_code == 200
    with client.http.stream("GET", client.url("queue/data?session_hash=one")) as stream:
        said = [json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:")]
    assert [each["log"] for each in said if each["msg"] == "log"] == [
        "there is no model 'opera' here; tiny takes its place"
    ]


def test_the_next_request_is_taken_while_files_are_fetched(server: Server):
    client = Client(server.url)
    path = client.upload("long.wav", sounds.file(seconds=15))
    sent = {**DEFAULTS, **QUICK, "input_audio": {"path": path, "meta": {"_type": "gradio.FileData"}}}
    one, _ = client.call("vamp_1", list(sent.values()))
    with httpx.stream("GET", one["url"], timeout=60) as file:
        parts = file.iter_raw(4096)
        got = len(next(parts))
        assert len(vamp(server, Client(server.url).upload("short.wav", sounds.file(seconds=0.2)))) == 2
        got += sum(map(len, parts))
    assert got == int(file.headers["content-length"]) > 1_000_000


def test_no_input_is_told(server: Server):
    with pytest.raises(Refused, match="no input audio received"):
        _ = vamp(server, None, name="vamp")


def test_presets_are_those_of_the_published_application(server: Server):
    client = Client(server.url)
    for name, row in ROWS.items():
        assert change_preset(name) == row
        assert tuple(client.call("change_preset", [name])) == row
    with pytest.raises(Refused, match="no preset called"):
        _ = client.call("change_preset", ["nonsense"])


@pytest.mark.parametrize("bad", [None, "", "x", float("nan"), [], {}])
def test_nonsense_is_the_usual_value(bad: Any):
    assert number(bad, 7, 0, 13) == 7
    assert whole(bad, 7, 0, 13) == 7


def test_numbers_are_brought_into_range():
    assert [number(value, 1, 0, 10) for value in (-1, 0.5, 11, "3")] == [0, 0.5, 10, 3]
    assert whole(6.999999, 1, 0, 10) == 7


def test_numbers_mean_hints():
    grid = Grid(codebooks=6)
    full = masked(grid, period=7, width=9, codebooks=4, onset_ms=5, beat_ms=50, dropout=0.2, seed=3)
    assert full.keep == (Periodic(period=7, width=7), Onsets(before=5, after=5), OnBeats(after=50, before=0))
    assert full.hide == (Finer(first=4), Random(share=0.2, seed=3))
    assert masked(grid, period=0, codebooks=1) == Prompt()
    assert masked(grid, period=1, codebooks=14) == Prompt((Periodic(period=1),))


def test_the_menu_and_the_rows_are_whole():
    assert len(MENU) == 17
    assert len(set(itertools.chain(ROWS.values()))) == 8
