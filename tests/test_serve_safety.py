"""What a server must not do: serve others' files, listen to other sites, tell secrets, leave debris."""

import contextlib
import json
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import sounds
from tests.harp_client import Client, Refused
from tests.server import Server, started


def get(server: Server, path: str) -> "subprocess.CompletedProcess[str]":
    """A request with its path exactly as written, by curl; stdout ends with the status."""
    command = ["curl", "-s", "--path-as-is", "-w", "\n%{http_code}", server.url + path]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("elsewhere") / "secret.wav"
    _ = path.write_bytes(sounds.file(seconds=0.1))
    return path


@pytest.mark.parametrize("prefix", ["/gradio_api/file=", "/file=", "/gradio_api/file/", "/file/"])
def test_no_file_but_the_server_s_own_is_served(server: Server, secret: Path, prefix: str):
    [folder] = server.folder.glob("serve-*")
    upload = Path(Client(server.url).upload("x.wav", sounds.file(seconds=0.1)))
    link = upload.with_name("link.wav")
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    paths = [
        "/etc/passwd",
        str(secret),
        f"{upload.parent}/../../../../../../../../..{secret}",
        f"{upload.parent}/%2e%2e/%2e%2e/%2e%2e/{secret.name}",
        str(link),
        str(folder / "lock"),
        "../../../../etc/passwd",
        "~/.bashrc",
        "file:///etc/passwd",
        "https://example.com/x.wav",
        "http://127.0.0.1:1/x.wav",
        str(upload) + "%00.wav",
        "src/ostinato/__init__.py",
    ]
    for path in paths:
        answer = get(server, prefix + path)
        assert answer.stdout.rsplit("\n", 1)[1] in ("400", "403", "404"), path
        assert "root:" not in answer.stdout
        assert "RIFF" not in answer.stdout


def test_what_was_uploaded_is_served_to_who_knows_its_name(server: Server):
    content = sounds.file(seconds=0.1)
    path = Client(server.url).upload("x.wav", content)
    answer = httpx.get(f"{server.url}/gradio_api/file={path}")
    assert answer.content == content
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["process", "vamp_1"])
def test_inputs_must_have_been_uploaded(server: Server, secret: Path, name: str):
    client = Client(server.url)
    told = client.http.get(f"{server.url}/gradio_api/info").json()["named_endpoints"][f"/{name}"]["parameters"]
    rest = [each["parameter_default"] for each in told[1:]]
    for path in ("/etc/passwd", str(secret), "https://example.com/x.wav", "file:///etc/passwd", "../x.wav"):
        for extra in ({}, {"url": "https://example.com/x.wav"}, {"is_stream": True}):
            sent: dict[str, Any] = {"path": path, "meta": {"_type": "gradio.FileData"}, **extra}
            with pytest.raises(Refused):
                _ = client.call(name, [sent, *rest])


@pytest.mark.parametrize("name", ["../../up.wav", "/etc/up.wav", "..", "a\x00b.wav", "n" * 300 + ".wav", "CON", "."])
def test_names_do_not_lead_out_of_the_upload_s_folder(server: Server, name: str):
    try:
        path = Path(Client(server.url).upload(name.replace("\x00", "%00"), sounds.file(seconds=0.1)))
    except AssertionError:
        return
    assert path.resolve().is_relative_to(server.folder.resolve())


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "empty"), (b"hello", "not a sound file"), (sounds.file("AU", seconds=0.1), "is AU")],
    ids=["0 bytes", "a text", "another format"],
)
def test_a_bad_upload_is_told_by_name_in_plain_words(server: Server, content: bytes, said: str):
    client = Client(server.url)
    try:
        path = client.upload("notes.wav", content)
    except AssertionError:
        assert content == b""
        return
    with pytest.raises(Refused) as refused:
        _ = client.process(path)
    told = json.loads(str(refused.value))["error"]
    assert said in told
    assert "notes.wav" in told
    assert str(server.folder) not in told


def test_what_is_too_big_is_refused_before_it_is_sent(server: Server):
    head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 9999999999\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.sendall(head.encode())
        answer = wire.recv(4096).decode()
        assert answer.startswith("HTTP/1.1 413")


def test_what_turns_out_too_big_is_refused_and_not_kept(tiny_model: Path, tmp_path: Path):
    edge = b'--edge\r\nContent-Disposition: form-data; name="files"; filename="x.wav"\r\n\r\n'
    with started(tiny_model, tmp_path / "serve", "--megabytes", "1", log=tmp_path / "said") as server:
        parts = (edge, *[b"0" * 100_000] * 30, b"\r\n--edge--\r\n")
        kind = {"content-type": "multipart/form-data; boundary=edge"}
        answer = httpx.post(f"{server.url}/gradio_api/upload", content=iter(parts), headers=kind, timeout=60)
        assert answer.status_code in (400, 413)
        assert server.status()["bytes"] < 1_000_000


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:1", "http://127.0.0.1.evil.example"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_pages_of_other_sites_get_nothing(server: Server, origin: str, method: str):
    headers = {"origin": origin, "access-control-request-method": "POST"}
    answer = httpx.request(method, f"{server.url}/gradio_api/info", headers=headers)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_its_own_page_may_ask_and_nothing_is_granted_to_others(server: Server):
    answer = httpx.get(f"{server.url}/gradio_api/info", headers={"origin": server.url})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_names_that_are_not_this_machine_s_are_refused(server: Server):
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1.evil.example", ""):
        assert httpx.get(f"{server.url}/status", headers={"host": host}).status_code in (400, 403)
    assert httpx.get(f"{server.url}/status", headers={"host": "localhost:9"}).status_code == 200


def test_it_listens_on_this_machine_alone(server: Server):
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("no /proc/net/tcp here")
    rows = [line.split()[1] for line in table.read_text().splitlines()[1:] if line.split()[3] == "0A"]
    assert [row for row in rows if row.endswith(f":{server.port:04X}")] == [f"0100007F:{server.port:04X}"]


def test_malformed_calls_end_in_an_error_and_the_server_stays_up(server: Server):
    for body in ("", "[]", "{", '{"data": 3}', '{"data": [[]]}', '{"data": [{"path": 3}]}'):
        answer = httpx.post(f"{server.url}/gradio_api/call/process", content=body)
        assert answer.status_code < 600
    with contextlib.suppress(httpx.HTTPError):
        _ = httpx.get(f"{server.url}/gradio_api/call/process/no-such-event", timeout=5)
    assert Client(server.url).controls()


def test_a_killed_server_leaves_nothing_for_the_next_and_a_stopped_one_leaves_nothing(tiny_model: Path, tmp_path: Path):
    base = tmp_path / "base"
    with started(tiny_model, base, log=tmp_path / "first.log") as first:
        client = Client(first.url)
        path = client.upload("x.wav", sounds.file())
        _ = client.start("process", client.request(path, steps=128, feedback=64))
        assert first.until(running=True) < 20
        [killed] = base.glob("serve-*")
        assert list((killed / "files").rglob("*.wav"))
        first.process.kill()
        _ = first.process.wait(10)
    assert killed.exists()
    with started(tiny_model, base, log=tmp_path / "second.log") as second:
        assert not killed.exists()
        client = Client(second.url)
        path = client.upload("x.wav", sounds.file())
        event = client.start("process", client.request(path, steps=128, feedback=64))
        assert second.until(running=True) < 20
        began = time.monotonic()
        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(20) == 143
        assert time.monotonic() - began < 15
        assert event
    assert not list(base.glob("serve-*"))


def test_a_port_that_is_taken_is_named_in_one_line(server: Server, tiny_model: Path, tmp_path: Path):
    import sys

    from tests.server import MAIN

    command = [sys.executable, "-c", MAIN, "serve", "--port", str(server.port), "--model", str(tiny_model)]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "choose another --port" in done.stderr
