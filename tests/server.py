"""A live server, as a process of its own."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

MAIN = "from ostinato.cli import main; main()"
STARTS_WITHIN = 120.0


@dataclass(frozen=True)
class Server:
    """Where it is, its process, the folder that it keeps files in, and the file of all that it said."""

    url: str
    process: "subprocess.Popen[bytes]"
    folder: Path
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def status(self) -> dict[str, Any]:
        return httpx.get(f"{self.url}/status", timeout=10).json()

    def until(self, running: bool, seconds: float = 20.0) -> float:
        """Seconds until a job runs, or none does; at most so many."""
        began = time.monotonic()
        while self.status()["running"] != running and time.monotonic() - began < seconds:
            time.sleep(0.02)
        return time.monotonic() - began

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        return made.getsockname()[1]


def command(model: Path, folder: Path, *more: str) -> list[str]:
    return [sys.executable, "-c", MAIN, "serve", "--port", "0", "--model", str(model), "--folder", str(folder), *more]


@contextmanager
def started(model: Path, folder: Path, *more: str, log: Path) -> Iterator[Server]:
    """A server for as long as this lasts; ended by SIGTERM."""
    home = {"OSTINATO_HOME": str(folder / "nobody"), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
    with open(log, "wb") as said:
        process = subprocess.Popen(
            command(model, folder, *more), stdout=said, stderr=said, env={**os.environ, **home, "PYTHONUNBUFFERED": "1"}
        )
        try:
            yield Server(_url(process, log), process, folder, log)
        finally:
            process.terminate()
            try:
                _ = process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                _ = process.wait()


def _url(process: "subprocess.Popen[bytes]", log: Path) -> str:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        found = re.search(r"http://[0-9.]+:[0-9]+", log.read_text(encoding="utf-8", errors="replace"))
        if found is not None:
            while time.monotonic() < until:
                try:
                    _ = httpx.get(f"{found[0]}/status", timeout=10)
                    return found[0]
                except httpx.TransportError:
                    time.sleep(0.05)
        time.sleep(0.05)
    raise AssertionError(f"no server came up: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")
