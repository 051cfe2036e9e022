"""The commands around the server: a Space's folder that runs as it is, and the load test."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from click.testing import CliRunner

from ostinato.cli import main
from ostinato.errors import OstinatoError
from ostinato.serve import space
from ostinato.serve.load import share
from tests import sounds
from tests.harp_client import Client
from tests.server import MAIN, free_port

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"


@pytest.fixture(scope="module")
def folder(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("space") / "space"
    names = space.export(target, str(tiny_model))
    assert {"app.py", "requirements.txt", "README.md", "ostinato", "model"} <= set(names)
    return target


def test_the_folder_has_what_a_space_reads(folder: Path):
    readme = (folder / "README.md").read_text(encoding="utf-8")
    head = dict(line.split(": ", 1) for line in readme.split("---")[1].strip().splitlines())
    assert head["sdk"] == "gradio"
    assert head["app_file"] == "app.py"
    assert int(head["sdk_version"].split(".")[0]) == 6
    needs = (folder / "requirements.txt").read_text(encoding="utf-8")
    assert "gradio" in needs
    assert "torch" in needs
    assert "extra ==" not in needs
    assert "/work" not in needs
    assert not list(folder.rglob("__pycache__"))
    assert not list((folder / "ostinato" / "weights").rglob("*.safetensors"))


@contextmanager
def at_work(python: Path, folder: Path, home: Path) -> Iterator[Client]:
    """A client of the folder's app, run by an environment's Python that sees nothing else."""
    port = free_port()
    told = {"OSTINATO_HOME": str(home), "PORT": str(port), "HOST": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen([python, "app.py"], cwd=folder, env={**kept, **told})
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until and process.poll() is None:
            try:
                _ = httpx.get(f"http://127.0.0.1:{port}/status", timeout=5)
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield Client(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        _ = process.wait(60)


def check_take(client: Client) -> None:
    """A take over HTTP, as long as the loop, and not silent."""
    take, _ = client.process(client.upload("x.wav", sounds.file(seconds=0.5)), steps=2)
    wave, rate = sounds.decoded(take)
    assert (len(wave), rate) == (22050, 44100)
    assert np.abs(wave).max() > 0.01


def test_the_folder_runs_as_it_is(folder: Path, tmp_path: Path):
    with at_work(Path(sys.executable), folder, tmp_path / "home") as client:
        assert client.controls()["card"]["name"] == "ostinato"
        assert "Generate" in httpx.get(f"{client.base}/config", timeout=20).text
        check_take(client)


@pytest.mark.slow
def test_the_folder_runs_in_an_empty_environment(folder: Path, tmp_path: Path):
    python = tmp_path / "venv" / "bin" / "python"
    _ = subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    install = [python, "-m", "pip", "install", "-q", "-r", folder / "requirements.txt"]
    _ = subprocess.run(install, check=True, env={**os.environ, "PIP_CONSTRAINT": str(CONSTRAINTS)})
    where = [python, "-c", "import ostinato; print(ostinato.__file__)"]
    assert str(folder) in subprocess.run(where, cwd=folder, capture_output=True, text=True, check=True).stdout
    with at_work(python, folder, tmp_path / "home") as client:
        check_take(client)


def test_a_folder_in_use_is_left_alone(tmp_path: Path):
    _ = (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OstinatoError, match="in use"):
        _ = space.export(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]


def test_under_load_every_client_gets_its_own_and_nothing_is_lost(tiny_model: Path):
    command = ["bench", "serve", "--clients", "3", "--seconds", "3", "--loop-seconds", "0.5", "--steps", "1", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *command, "--model", str(tiny_model)],
        capture_output=True,
        timeout=200,
        check=False,
    )
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert found["answered"] == found["asked"] >= 3
    assert found["lost"] == 0
    assert found["wrong"] == []
    assert found["left"] == 0
    assert 0 < found["latency_p50"] <= found["latency_p95"]
    assert 0 <= found["wait_p50"] <= found["wait_p95"]


def test_shares_of_values():
    assert share([], 0.5) is None
    assert share([1.0, 2.0, 3.0], 0.5) == 2.0


@pytest.mark.parametrize(
    "options", [["--port", "70000"], ["--megabytes", "0"], ["--model", "nonesuch"], ["--host", "1.2.3.4"]]
)
def test_bad_options_end_in_one_line(options: list[str], tmp_path: Path):
    port = [] if "--port" in options else ["--port", "0"]
    done = CliRunner().invoke(main, ["serve", "--folder", str(tmp_path), *port, *options])
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
