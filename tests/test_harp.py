"""HARP against a live server: the acceptance checks of its wire, over plain HTTP."""

import json
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyloudnorm
import pytest

from ostinato.config import plain
from ostinato.pipeline import COARSE, FINE
from ostinato.prompts import Prompt, preset
from ostinato.sampling import samplers
from ostinato.serve.harp import client_of
from ostinato.takes import read_draft
from tests import sounds
from tests.harp_client import Client, Refused, forwarded
from tests.server import Server, started

GENERATIONS = ("2.2", "3.0", "3.1", "later")
QUICK = {"steps": 2}
LONG = {"steps": 128, "feedback": 64}
MINUTES = 150.0


@pytest.fixture(scope="module")
def wav(server: Server) -> str:
    """A loop that was uploaded."""
    return Client(server.url).upload("a loop.wav", sounds.file())


def begin_long(client: Client, path: str, server: Server) -> str:
    """The event of a job that takes minutes, once it runs."""
    event = client.start("process", client.request(path, **LONG))
    assert server.until(running=True) < 10
    return event


def test_h1_h2_controls_are_there_at_once_even_while_a_take_is_made(server: Server, wav: str):
    busy = Client(server.url, headers={"x-harp-client": "busy"})
    event = begin_long(busy, wav, server)
    began = time.monotonic()
    found = Client(server.url).start("controls", [])
    assert found
    assert time.monotonic() - began < 2
    lines = list(Client(server.url).lines("controls", found))
    text = lines[lines.index("event: complete") + 1]
    assert text.startswith("data: [")
    assert len(json.loads(text.removeprefix("data: "))) == 1
    assert time.monotonic() - began < 5
    _ = busy.call("cancel", [])
    with pytest.raises(Refused):
        _ = busy.wait("process", event)


def test_h3_h4_h5_the_payload_is_one_that_every_generation_loads(server: Server):
    told = Client(server.url).controls()
    assert all(isinstance(told["card"][key], str) for key in ("name", "description", "author"))
    assert all(
        isinstance(each, list) for each in (told["card"]["tags"], told["inputs"], told["outputs"], told["ctrls"])
    )
    kinds = {"audio_track", "midi_track", "slider", "text_box", "toggle", "dropdown", "number_box"}
    assert {each["type"] for each in told["inputs"]} <= kinds
    assert {each["type"] for each in told["outputs"]} <= {"audio_track", "midi_track", "json"}
    for each in (*told["inputs"], *told["outputs"]):
        assert isinstance(each["info"], str)
        assert not each["type"].endswith("track") or isinstance(each["required"], bool)
    for each in (*told["inputs"], *told["ctrls"]):
        if "choices" in each:
            assert all(len(pair) == 2 and pair[0] == pair[1] for pair in each["choices"])
            assert each["value"] in [label for label, _ in each["choices"]]
        if each.get("type") == "toggle" or each.get("ctrl_type") == "toggle":
            assert isinstance(each["value"], bool)


def test_h26_the_older_dialect_has_the_same_controls_in_the_same_order(server: Server):
    told = Client(server.url).controls()
    assert told["ctrls"][0] == {"label": "Input Audio", "ctrl_type": "audio_in"}
    newer = [{**each, "ctrl_type": each["type"]} for each in told["inputs"][1:]]
    dropped = ("type", "info")
    assert told["ctrls"][1:] == [{k: v for k, v in each.items() if k not in dropped} for each in newer]


@pytest.mark.parametrize("end", ["minimum", "maximum", "value"])
def test_h6_ends_of_sliders_as_32_bit_floats_are_taken(server: Server, end: str):
    client = Client(server.url)
    track: dict[str, Any] = {
        "path": client.upload("x.wav", sounds.file(seconds=0.1)),
        "meta": {"_type": "gradio.FileData"},
    }
    sliders = [each for each in client.controls()["inputs"] if each["type"] == "slider"]
    long = {"steps", "feedback"}
    for alone in (None, *long):
        sent = client.request(None)
        for each in sliders:
            calm = each["label"] in long and each["label"] != alone
            sent[_place(client, each["label"])] = float(np.float32(each["minimum" if calm else end]))
        take, _ = client.call("process", [track, *sent[1:]])
        assert client.fetch(take)


def _place(client: Client, label: str) -> int:
    return [each["label"] for each in client.controls()["inputs"]].index(label)


def test_a_take_of_what_harp_shows_at_first_is_one_of_the_usual_settings(server: Server, wav: str, tmp_path: Path):
    client, take = Client(server.url), tmp_path / "take.wav"
    _ = take.write_bytes(client.process(wav)[0])
    draft = read_draft(take)
    assert draft is not None
    for stage, usual in (("coarse", COARSE), ("fine", FINE)):
        assert draft.settings[stage] == {"name": samplers.name(type(usual)), **plain(usual)}
    assert Prompt.load(draft.settings["prompt"]) == preset("medium variation")


@pytest.mark.parametrize(
    ("name", "kind"), [("a b.wav", "WAV"), ("ü.aiff", "AIFF"), ("x.flac", "FLAC"), ("y.mp3", "MP3"), ("z.ogg", "OGG")]
)
def test_h7_h12_files_come_in_as_midi_under_any_name(server: Server, name: str, kind: str):
    client = Client(server.url)
    take, _ = client.process(client.upload(name, sounds.file(kind)), **QUICK)
    wave, rate = sounds.decoded(take)
    assert rate == 44100
    assert abs(len(wave) / rate - 2) < (0.06 if kind in ("MP3", "OGG") else 1e-4)


@pytest.mark.parametrize(
    ("rate", "channels", "subtype", "seconds"),
    [
        (44100, 1, "PCM_16", 0.3),
        (44100, 2, "PCM_24", 0.2),
        (48000, 1, "FLOAT", 0.5),
        (48000, 2, "PCM_16", 0.2),
        (96000, 1, "PCM_24", 0.2),
        (96000, 2, "FLOAT", 0.3),
    ],
)
def test_h9_h12_takes_have_the_length_rate_and_channels_of_the_input(
    server: Server, rate: int, channels: int, subtype: str, seconds: float
):
    client = Client(server.url)
    sound = sounds.file("WAV", subtype, rate=rate, channels=channels, seconds=seconds)
    wave, found = sounds.decoded(client.process(client.upload("x.wav", sound), **QUICK)[0])
    assert (len(wave), wave.shape[1], found) == (round(seconds * rate), channels, rate)


def test_h12_a_minute_is_varied(server: Server):
    client = Client(server.url)
    path = client.upload("long.flac", sounds.file("FLAC", seconds=60))
    wave, rate = sounds.decoded(client.process(path, steps=1)[0])
    assert len(wave) == 60 * rate


def test_h7_thirty_megabytes_come_in_after_a_100_continue(server: Server, tmp_path: Path):
    big = tmp_path / "big.wav"
    _ = big.write_bytes(sounds.file("WAV", "FLOAT", seconds=90, channels=2))
    assert big.stat().st_size > 30e6
    command = ["curl", "-s", "-H", "Expect: 100-continue", "-H", "Authorization: Bearer abc"]
    form = ["-F", f"files=@{big};type=audio/midi", f"{server.url}/gradio_api/upload"]
    found = json.loads(subprocess.run([*command, *form], capture_output=True, check=True, timeout=60).stdout)
    assert len(found) == 1
    assert Path(found[0]).stat().st_size == big.stat().st_size


@pytest.mark.parametrize("generation", GENERATIONS)
def test_h8_h9_h10_h26_every_generation_gets_one_file_and_labels(server: Server, wav: str, generation: str):
    client = Client(server.url, generation)
    result = client.call("process", client.request(wav, **QUICK, seed=5))
    assert all(isinstance(each, dict) and isinstance(each["meta"], dict) for each in result)
    assert [each["meta"]["_type"] for each in result] == ["gradio.FileData", "pyharp.LabelList"]
    url = result[0]["url"]
    name = url.rsplit("/", 1)[1]
    assert url.startswith("http://")
    assert name.isascii()
    assert name.endswith(".wav")
    assert not set(name) & set(" #?&")
    wave, _ = sounds.decoded(client.fetch(result[0]))
    assert np.abs(wave).max() > 0.01
    found = result[1]["labels"]
    assert {each["label_type"] for each in found} == {"AudioLabel"}
    assert found[0]["label"] == "seed 5"
    assert len(found) > 1
    for each in found:
        assert isinstance(each["color"], int)
        assert 0 <= each["color"] < 2**32
        assert 0 <= each["t"] < 2.0
        assert each["description"]


def test_h9_takes_are_as_loud_as_the_input(server: Server, wav: str):
    wave, rate = sounds.decoded(Client(server.url).process(wav, **QUICK)[0])
    meter = pyloudnorm.Meter(rate)
    before, after = (meter.integrated_loudness(each) for each in (sounds.loop(), wave))
    assert abs(before - after) < 1


def test_h11_whole_numbers_may_come_as_floats_and_as_integers(server: Server, wav: str):
    client = Client(server.url)
    sent = client.request(wav, **QUICK, seed=9)
    whole = [int(each) if isinstance(each, float) and each.is_integer() else each for each in sent]
    takes = [client.fetch(client.call("process", each)[0]) for each in (sent, whole)]
    assert takes[0] == takes[1]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_h13_a_missing_track_is_told_in_one_line(server: Server, generation: str):
    with pytest.raises(Refused) as refused:
        _ = Client(server.url, generation).process(None)
    told = json.loads(str(refused.value))
    assert "no input audio" in told["error"]
    assert "\n" not in told["error"]
    assert len(told["error"]) <= 200
    assert not any(word in str(told) for word in ("503", "quota"))


def test_h14_an_unknown_model_means_the_usual_one_and_says_so(server: Server, wav: str):
    _, labels = Client(server.url).process(wav, **QUICK, model="supermetroid")
    assert "no model 'supermetroid'" in labels["labels"][0]["description"]


@pytest.mark.parametrize("headers", [{"x-harp-client": "tab 1"}, {}], ids=["with a header", "without one"])
def test_h15_cancel_stops_the_caller_s_own_job_within_a_step(server: Server, wav: str, headers: dict[str, str]):
    client = Client(server.url, headers=headers)
    event = begin_long(client, wav, server)
    began = time.monotonic()
    assert client.call("cancel", []) == []
    assert time.monotonic() - began < 2
    assert server.until(running=False) < 3
    with pytest.raises(Refused, match=r"Job canceled\."):
        _ = client.wait("process", event)
    began = time.monotonic()
    event = client.start("process", client.request(wav, **QUICK))
    assert server.until(running=True, seconds=3) < 3
    assert client.wait("process", event)


def test_h16_cancel_by_another_client_stops_nothing(server: Server, wav: str):
    ours, theirs = (Client(server.url, headers={"x-harp-client": name}) for name in ("ours", "theirs"))
    event = ours.start("process", ours.request(wav, steps=20))
    assert theirs.call("cancel", []) == []
    take, _ = ours.wait("process", event)
    assert ours.fetch(take)


def test_h16_clients_that_do_not_say_who_they_are_share_a_name_on_this_machine_alone():
    assert client_of({}, "127.0.0.1", "a") == client_of({}, "::1", "b")
    assert client_of({}, "192.168.1.5", "a") != client_of({}, "192.168.1.5", "b")
    assert client_of({"x-harp-client": "tab"}, "127.0.0.1", "a") not in (client_of({}, "127.0.0.1", "a"), "")


def test_h17_cancel_with_nothing_to_cancel_is_complete(server: Server):
    assert Client(server.url).call("cancel", []) == []


def test_h18_a_client_that_goes_away_does_no_harm(server: Server, wav: str):
    client = Client(server.url, headers={"x-harp-client": "leaves"})
    event = begin_long(client, wav, server)
    lines = client.lines("process", event)
    assert next(lines) is not None
    lines.close()
    assert server.until(running=False) < 5
    assert client.process(wav, **QUICK)


def test_h19_tokens_are_ignored(server: Server, wav: str):
    client = Client(server.url, headers={"Authorization": "Bearer hf_secret_token"})
    take, _ = client.process(wav, **QUICK, seed=3)
    assert take == Client(server.url).process(wav, **QUICK, seed=3)[0]
    with pytest.raises(Refused):
        _ = client.process(None)
    assert "hf_secret_token" not in server.said()


def test_h20_h21_a_waiting_stream_is_padded_and_says_nothing_that_ends_it(server: Server, wav: str):
    client = Client(server.url, headers={"x-harp-client": "slow"})
    event, seen, size = begin_long(client, wav, server), [], 0
    began = time.monotonic()
    lines = client.lines("process", event)
    for line in lines:
        seen.append(line)
        size += len(line)
        if time.monotonic() - began > 2.5 or len(seen) > 6:
            break
    lines.close()
    assert size > 2 * 2048
    assert seen[0].startswith(":")
    assert not any(word in line.lower() for line in seen for word in ("complete", "error"))
    _ = client.call("cancel", [])
    assert server.until(running=False) < 3


@pytest.mark.slow
def test_h20_a_job_of_minutes_reaches_a_client_that_gives_up_after_two_silent_ones(tiny_model: Path, tmp_path: Path):
    with started(tiny_model, tmp_path / "serve", log=tmp_path / "said") as server:
        first, client = (Client(server.url, headers={"x-harp-client": name}) for name in ("first", "second"))
        path = client.upload("long.wav", sounds.file(seconds=60))
        _ = begin_long(first, path, server)
        event, began = client.start("process", client.request(path, **QUICK)), time.monotonic()
        turn = threading.Timer(MINUTES, first.call, ("cancel", []))
        turn.start()
        patience = ["--speed-limit", "100", "--speed-time", "120"]
        command = ["curl", "-sS", "-N", *patience, client.url(f"call/process/{event}")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, (early, _, last) = time.monotonic() - began, done.stdout.partition("event: complete")
    print(f"{seconds:.0f} s, {len(early)} bytes before the result")  # noqa: T201
    assert seconds > MINUTES
    assert "url" in last
    assert not any(word in early.lower() for word in ("complete", "error"))


@pytest.mark.parametrize("base", ["http://127.0.0.1:{port}", "http://localhost:{port}/"])
def test_h22_both_names_of_this_machine_work(server: Server, wav: str, base: str):
    client = Client(base.format(port=server.port))
    take, _ = client.call("process", client.request(wav, **QUICK))
    assert take["url"].startswith(client.base.rstrip("/"))
    assert client.fetch(take)


def test_h22_urls_lead_back_through_a_forwarded_port(server: Server, wav: str):
    listener, base = forwarded()
    with listener:
        threading.Thread(target=_forward, args=(listener, server.port), daemon=True).start()
        client = Client(base)
        take, _ = client.call("process", client.request(wav, **QUICK))
        assert take["url"].startswith(base)
        assert client.fetch(take)
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("prefix", ["/vampnet", "one/two/"])
def test_h22_a_path_before_all_addresses_is_kept(tiny_model: Path, tmp_path: Path, prefix: str):
    with started(tiny_model, tmp_path / "serve", "--prefix", prefix, log=tmp_path / "said") as server:
        client = Client(f"{server.url}/{prefix.strip('/')}")
        path = client.upload("x.wav", sounds.file(seconds=0.2))
        take, _ = client.call("process", client.request(path, **QUICK))
        assert take["url"].startswith(f"{client.base}/gradio_api/file=")
        assert client.fetch(take)
        assert f"{server.url}/{prefix.strip('/')} " in server.said()
        assert httpx.get(f"{client.base}/gradio_api/file=/etc/passwd").status_code == 403


def test_h23_two_clients_at_once_get_their_own_results(server: Server):
    takes: dict[int, tuple[str, int]] = {}

    def ask(number: int) -> None:
        client = Client(server.url, headers={"x-harp-client": f"client {number}"})
        path = client.upload("same name.wav", sounds.file(seconds=0.5 + number / 4, seed=number))
        take, _ = client.call("process", client.request(path, **QUICK))
        takes[number] = (take["path"], len(sounds.decoded(client.fetch(take))[0]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert {number: length for number, (_, length) in takes.items()} == {
        number: round((0.5 + number / 4) * 44100) for number in range(4)
    }
    assert len({path for path, _ in takes.values()}) == 4


def test_h24_the_endpoints_have_exactly_these_names(server: Server):
    told = Client(server.url).http.get(f"{server.url}/gradio_api/info").json()["named_endpoints"]
    assert {"/controls", "/process", "/cancel", "/vamp", "/vamp_1", "/change_preset"} == set(told)


def test_h25_a_seed_is_a_take_and_seed_0_draws_one(server: Server, wav: str):
    client = Client(server.url)
    takes = [client.process(wav, **QUICK, seed=seed)[0] for seed in (7, 7, 0, 0)]
    assert takes[0] == takes[1]
    assert len(set(takes)) == 3


def test_part_of_a_region_is_varied_and_the_rest_stays_sample_for_sample(server: Server, wav: str):
    client = Client(server.url)
    sent = {"vary_from_(s)": 0.5, "vary_until_(s)": 1.0, "match_loudness": False}
    wave, rate = sounds.decoded(client.process(wav, **QUICK, **sent)[0])
    original, _ = sounds.decoded(sounds.file())
    changed = np.flatnonzero(np.abs(wave - original).max(1) > 1e-4) / rate
    assert len(changed)
    assert changed.min() > 0.48
    assert changed.max() < 1.02


def test_a_range_after_the_clip_means_all_of_it_and_says_so(server: Server, wav: str):
    client = Client(server.url)
    asked = {**QUICK, "seed": 4}
    take, labels = client.process(wav, **asked, **{"vary_from_(s)": 600.0})
    assert "all of it was varied" in labels["labels"][0]["description"]
    assert take == client.process(wav, **asked)[0]


def test_an_empty_range_is_refused_in_plain_words(server: Server, wav: str):
    sent = {"vary_from_(s)": 1.0, "vary_until_(s)": 0.5}
    with pytest.raises(Refused, match="must be before"):
        _ = Client(server.url).process(wav, **sent)


def _forward(listener: socket.socket, port: int) -> None:
    """Carry all connections to a port of this machine, until the listener is shut."""
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_carry, args=(near, port), daemon=True).start()


def _carry(near: socket.socket, port: int) -> None:
    with near, socket.create_connection(("127.0.0.1", port)) as far:
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join(10)


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
