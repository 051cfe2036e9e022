"""How a server bears many clients at once: every result its owner's, none lost, and what time and memory that takes."""

import io
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ..errors import OstinatoError, ServiceError

MAIN = "from ostinato.cli import main; main()"
RATE = 44100
STARTS_WITHIN = 120.0
READINGS = 6
KEPT_MEGABYTES = 40


@dataclass
class Tally:
    """What the clients of a run saw: seconds of every job, and jobs that went wrong."""

    latencies: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    asked: int = 0


def run(model: str, *, clients: int, seconds: float, loop: float, steps: int | None = None) -> dict[str, Any]:
    """Start a server, have clients ask for takes one after the other for so many seconds, and tell what came of it.

    Each client has a loop of its own length, by which it knows its own result. Memory and files are read after a first
    take, then at even distances, and in the end.

    Raises:
        ServiceError: the server did not come up.
    """
    with server(model) as url:
        _ask(url, "warm up", loop, steps, Tally())
        tally, began = Tally(), time.monotonic()
        readings, until = [_get(f"{url}/status")], began + seconds
        threads = [
            threading.Thread(target=_client, args=(url, number, loop + number / 50, steps, until, tally))
            for number in range(clients)
        ]
        for each in threads:
            each.start()
        for part in range(1, READINGS):
            time.sleep(max(0.0, began + seconds * part / READINGS - time.monotonic()))
            readings.append(_get(f"{url}/status"))
        for each in threads:
            each.join()
        readings.append(_get(f"{url}/status"))
    return {
        "clients": clients,
        "seconds": seconds,
        "loop_seconds": loop,
        "asked": tally.asked,
        "answered": len(tally.latencies),
        "lost": tally.asked - len(tally.latencies) - len(tally.wrong),
        "wrong": tally.wrong[:5],
        "latency_p50": share(tally.latencies, 0.5),
        "latency_p95": share(tally.latencies, 0.95),
        "wait_p50": readings[-1]["waited_p50"],
        "wait_p95": readings[-1]["waited_p95"],
        "memory_mb": [round(each["memory"] / 1e6, 1) for each in readings],
        "files_mb": [round(each["bytes"] / 1e6, 1) for each in readings],
        "left": readings[-1]["waiting"] + readings[-1]["running"],
    }


def share(values: Sequence[float], part: float) -> float | None:
    """The value that this part of all is not above, to a hundredth; None of none."""
    return round(float(np.quantile(values, part)), 2) if values else None


@contextmanager
def server(model: str) -> Iterator[str]:
    """A server as a process of its own, and its address.

    Raises:
        ServiceError: it did not come up.
    """
    with tempfile.TemporaryDirectory(prefix="ostinato-bench-") as folder, open(Path(folder) / "said", "wb") as said:
        options = ["--port", "0", "--model", model, "--folder", folder, "--kept", str(KEPT_MEGABYTES)]
        process = subprocess.Popen([sys.executable, "-u", "-c", MAIN, "serve", *options], stdout=said, stderr=said)
        try:
            yield _address(process, Path(folder) / "said")
        finally:
            process.terminate()
            _ = process.wait(30)


def _address(process: "subprocess.Popen[bytes]", said: Path) -> str:
    until = time.monotonic() + STARTS_WITHIN
    while process.poll() is None and time.monotonic() < until:
        found = re.search(r"http://[0-9.:]+", said.read_text(encoding="utf-8", errors="replace"))
        if found is not None:
            try:
                _ = _get(f"{found[0]}/status")
            except OSError:
                pass
            else:
                return found[0]
        time.sleep(0.1)
    lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    raise ServiceError(f"the server did not come up: {lines[-1] if lines else 'it said nothing'}")


def _client(url: str, number: int, loop: float, steps: int | None, until: float, tally: Tally) -> None:
    while time.monotonic() < until:
        tally.asked += 1
        _ask(url, f"client {number}", loop, steps, tally)


def _ask(url: str, name: str, loop: float, steps: int | None, tally: Tally) -> None:
    """One take, from upload to download; noted in the tally."""
    began = time.monotonic()
    try:
        told = _call(url, name, "controls", [])[0]["inputs"]
        path = _upload(url, _loop(loop))
        sent = [each.get("value") for each in told]
        sent[0] = {"path": path, "meta": {"_type": "gradio.FileData"}}
        if steps is not None:
            sent[[each["label"] for each in told].index("steps")] = float(steps)
        take = _call(url, name, "process", sent)[0]
        with urllib.request.urlopen(take["url"], timeout=60) as answer, tempfile.TemporaryFile() as file:
            _ = file.write(answer.read())
            _ = file.seek(0)
            found = soundfile.info(file).frames
        if found != round(loop * RATE):
            raise OstinatoError(f"{name} got {found} samples, not its own {round(loop * RATE)}")
    except (OSError, ValueError, RuntimeError, OstinatoError) as error:
        tally.wrong.append(f"{name}: {error}")
    else:
        tally.latencies.append(time.monotonic() - began)


def _call(url: str, name: str, endpoint: str, data: list[Any]) -> Any:
    headers = {"Content-Type": "application/json", "x-harp-client": name}
    body = json.dumps({"data": data}).encode()
    request = urllib.request.Request(f"{url}/gradio_api/call/{endpoint}", body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{url}/gradio_api/call/{endpoint}/{event}", timeout=600) as stream:
        kind = ""
        for line in (raw.decode().strip() for raw in stream):
            kind = line.partition(":")[2].strip() if line.startswith("event:") else kind
            if line.startswith("data:") and kind in ("complete", "error"):
                found = json.loads(line.partition(":")[2])
                if kind == "error":
                    raise OstinatoError(str(found))
                return found
    raise OstinatoError(f"{endpoint} ended without a result")


def _upload(url: str, content: bytes) -> str:
    head = '--edge\r\nContent-Disposition: form-data; name="files"; filename="loop.wav"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=edge"}
    body = head.encode() + content + b"\r\n--edge--\r\n"
    with urllib.request.urlopen(
        urllib.request.Request(f"{url}/gradio_api/upload", body, headers), timeout=60
    ) as answer:
        return json.load(answer)[0]


def _loop(seconds: float) -> bytes:
    """Decaying tones as a WAV file."""
    time_of = np.arange(round(seconds * RATE)) / RATE
    wave = 0.3 * np.sin(2 * np.pi * 220 * time_of) * np.exp(-5 * (time_of % 0.5))
    file = io.BytesIO()
    soundfile.write(file, wave, RATE, format="WAV")
    return file.getvalue()


def _get(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)
