"""Published models are fetched from a hub, again only what is missing, and every failure is one plain line."""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from ostinato.audiofile import write
from ostinato.cli import main
from ostinato.errors import CheckpointError, MissingPartError
from ostinato.interop.hub import fetch
from ostinato.models import installed
from ostinato.pipeline import load
from ostinato.types import Audio
from tests import published_files as files
from tests.fake_hub import FakeHub, serving

pytest.importorskip("huggingface_hub")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Published files, and the fine-tuned models `choir` (whole) and `half` (one file)."""
    folder = tmp_path / "repository"
    for name in ("choir", "half"):
        (folder / "loras" / name).mkdir(parents=True)
    _ = files.write_all(folder)
    files.write(folder / "loras/choir/coarse.pth", files.model_tensors(files.COARSE, 7), files.COARSE)
    files.write(folder / "loras/choir/c2f.pth", files.model_tensors(files.FINE, 8), files.FINE)
    files.write(folder / "loras/half/coarse.pth", files.model_tensors(files.COARSE, 9), files.COARSE)
    for variable in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("OSTINATO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with serving(folder) as served:
        yield served


def fetched(hub: FakeHub, name: str, tmp_path: Path, **other: str) -> dict[str, Path]:
    return fetch(name, **({"endpoint": hub.url, "cache": tmp_path / "cache"} | other))


def downloads(hub: FakeHub) -> list[tuple[str, str | None]]:
    return [
        (path.rsplit("/", 1)[1], part) for method, path, part in hub.asked if method == "GET" and "/resolve/" in path
    ]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


def test_a_model_is_fetched_once(hub: FakeHub, tmp_path: Path):
    first = fetched(hub, "vampnet", tmp_path)
    assert {part: path.read_bytes() for part, path in first.items()} == {
        "codec": (hub.folder / "codec.pth").read_bytes(),
        "coarse": (hub.folder / "coarse.pth").read_bytes(),
        "fine": (hub.folder / "c2f.pth").read_bytes(),
    }
    assert len(downloads(hub)) == 3
    assert fetched(hub, "vampnet", tmp_path) == first
    assert len(downloads(hub)) == 3


def test_a_fine_tuned_model_takes_its_codec_from_the_defaults(hub: FakeHub, tmp_path: Path):
    found = fetched(hub, "choir", tmp_path)
    assert found["codec"].read_bytes() == (hub.folder / "codec.pth").read_bytes()
    assert found["fine"].read_bytes() == (hub.folder / "loras/choir/c2f.pth").read_bytes()


def test_a_download_that_was_cut_goes_on_where_it_stopped(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    hub.cut_after = 5000
    found = fetched(hub, "vampnet", tmp_path)
    assert found["codec"].read_bytes() == (hub.folder / "codec.pth").read_bytes()
    again = [part for name, part in downloads(hub) if name == "codec.pth" and part]
    assert len(again) == 1
    assert again[0] is not None
    assert 0 < int(again[0].removeprefix("bytes=").rstrip("-")) <= 5000


def test_what_was_fetched_is_there_without_the_hub(hub: FakeHub, tmp_path: Path):
    first = fetched(hub, "vampnet", tmp_path)
    assert fetched(hub, "vampnet", tmp_path, endpoint="http://127.0.0.1:9") == first
    with pytest.raises(CheckpointError, match=r"the hub cannot be reached and loras/choir/coarse.pth has not been"):
        _ = fetched(hub, "choir", tmp_path, endpoint="http://127.0.0.1:9")


def test_names_that_are_not_there_are_told_those_that_are(hub: FakeHub, tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"has no loras/choirs/coarse.pth; did you mean 'choir'"):
        _ = fetched(hub, "choirs", tmp_path)
    with pytest.raises(CheckpointError, match=r"has no loras/half/c2f.pth; there are: vampnet, choir"):
        _ = fetched(hub, "half", tmp_path)
    with pytest.raises(CheckpointError, match=r"no fine-tuned model is called '../x'"):
        _ = fetched(hub, "../x", tmp_path)


def test_wrong_repositories_and_revisions_are_named(hub: FakeHub, tmp_path: Path):
    with pytest.raises(CheckpointError, match="the hub has no repository 'nobody/nothing'"):
        _ = fetched(hub, "vampnet", tmp_path, repository="nobody/nothing")
    with pytest.raises(CheckpointError, match="hugggof/vampnet has no revision 'old'"):
        _ = fetched(hub, "vampnet", tmp_path, revision="old")


def test_a_hub_that_is_out_of_order_is_told_in_one_line(hub: FakeHub, tmp_path: Path):
    hub.broken = True
    with pytest.raises(CheckpointError, match=r"the hub refuses codec.pth \(.*503"):
        _ = fetched(hub, "vampnet", tmp_path)


def test_a_download_that_fails_for_good_says_how_to_go_on(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left\non device")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(
        CheckpointError, match=r"codec.pth was cut short; pull again to go on \(no space left on device"
    ):
        _ = fetched(hub, "vampnet", tmp_path)


def test_without_the_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingPartError, match="pip install huggingface_hub"):
        _ = fetch("vampnet")


def test_a_pulled_model_is_a_model_by_its_name(hub: FakeHub):
    result = run("models", "pull", "choir", "--endpoint", hub.url)
    assert result.exit_code == 0, result.stderr
    assert "use it with --model choir" in result.stdout
    assert "not for commercial use" in result.stdout
    assert installed() == ["choir"]
    assert load("choir").grid.codebooks == 5
    told = json.loads(run("models", "list", "--json").stdout)["models"]
    mine = [each for each in told if not each["shipped"]]
    assert [(each["name"], each["licence"]) for each in mine] == [("choir", "cc-by-nc-sa-4.0")]
    assert "choir" in run("models", "list").stdout


def test_a_name_that_is_taken_is_refused_before_anything_is_fetched(hub: FakeHub):
    first = run("models", "pull", "vampnet", "--as", "mine", "--endpoint", hub.url)
    assert first.exit_code == 0
    asked = len(hub.asked)
    again = run("models", "pull", "vampnet", "--as", "mine", "--endpoint", hub.url)
    assert again.exit_code == 2
    assert "already a model called 'mine'" in again.stderr
    assert len(hub.asked) == asked


def test_published_files_are_imported_told_of_and_removed(hub: FakeHub, tmp_path: Path):
    lora = files.write(tmp_path / "lora.pth", files.lora_of(files.model_tensors(files.FINE, 5)), None)
    parts = [f"--{part}={hub.folder / file}" for part, file in PARTS.items()]
    result = run("models", "import", *parts, "--lora", lora, "--name", "tuned", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["licence"] == "cc-by-nc-sa-4.0"
    about = json.loads(run("models", "info", "tuned", "--json").stdout)
    assert (about["name"], about["grid"]["hop"], about["hash"]) == ("tuned", 8, load("tuned").hash)
    assert about == json.loads(run("info", "tuned", "--json").stdout)
    assert run("models", "remove", "tuned", "--yes").exit_code == 0
    assert installed() == []


PARTS = {"codec": "codec.pth", "coarse": "coarse.pth", "fine": "c2f.pth"}


def test_removing_asks_first_and_takes_no_for_an_answer(hub: FakeHub):
    _ = run("models", "pull", "vampnet", "--endpoint", hub.url)
    refused = CliRunner().invoke(main, ["models", "remove", "vampnet"], input="n\n")
    assert refused.exit_code == 130
    assert installed() == ["vampnet"]
    assert CliRunner().invoke(main, ["models", "remove", "vampnet"], input="y\n").exit_code == 0
    assert installed() == []


def test_every_command_of_the_page_does_what_it_says(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(hub.folder)
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    files.write(hub.folder / "lora.pth", files.lora_of(files.model_tensors(files.COARSE)), None)
    wave = torch.rand(1, 1, 8000, generator=torch.Generator().manual_seed(0)) - 0.5
    _ = write(hub.folder / "loop.wav", Audio(wave, 8000))
    page = (Path(__file__).parents[1] / "docs/published.md").read_text(encoding="utf-8")
    for block in re.findall(r"^```sh\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            result = run(*shlex.split(line)[1:])
            assert result.exit_code == 0, f"{line}: {result.stderr}"
    assert installed() == ["vampnet", "vampnet-1"]
    names: dict = {}
    exec(re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)[0], names)
    assert names["made"].shape == (1, 5, 60)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("models", "info", "nobody"), "no model called 'nobody'"),
        (("models", "remove", "nobody", "--yes"), "no model called 'nobody' to remove"),
        (("models", "pull", "a/b"), "a model's name must be letters"),
        (("models", "import", "--codec=a", "--coarse=b", "--fine=c", "--name=d"), "there is no file a"),
        (("models", "import", "--codec=a", "--coarse=b", "--fine=c"), "--name"),
    ],
)
def test_mistakes_end_in_one_line(hub: FakeHub, arguments: tuple[str, ...], message: str):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
