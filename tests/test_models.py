"""Models are found by name: those that ship, then the user's own; names that no folder can bear are refused."""

import shutil
import sys
from pathlib import Path

import pytest

from ostinato import models
from ostinato.errors import CheckpointError
from ostinato.models import facts, fingerprint, folder_of, home, installed, new_folder, remove, shipped
from ostinato.pipeline import load


@pytest.fixture
def houses(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`default` and `both` ship; `both` and `mine` are the user's."""
    for place in ("shipped/default", "shipped/both", "own/models/both", "own/models/mine"):
        _ = shutil.copytree(tiny_model, tmp_path / place)
    (tmp_path / "own/models/.mine.x.part/codec").mkdir(parents=True)
    (tmp_path / "own/models/no-model").mkdir()
    monkeypatch.setattr(models, "MODELS", tmp_path / "shipped")
    monkeypatch.setenv("OSTINATO_HOME", str(tmp_path / "own"))
    return tmp_path


def test_a_name_is_looked_for_among_those_that_ship_first(houses: Path):
    assert shipped() == ["both", "default"]
    assert installed() == ["both", "mine"]
    assert folder_of("both") == houses / "shipped/both"
    assert folder_of("mine") == houses / "own/models/mine"
    assert folder_of(houses / "own/models/both") == houses / "own/models/both"
    assert load("mine").name == "mine"


def test_an_unknown_name_is_told_all_there_are(houses: Path):
    with pytest.raises(CheckpointError, match="no model called 'yours'; there are: both, default, both, mine; or give"):
        _ = load("yours")


def test_a_folder_that_is_no_model_says_what_it_lacks(houses: Path):
    (houses / "own/models/mine/fine/weights.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"is not a model: it lacks fine/weights.safetensors"):
        _ = folder_of("mine")


def test_only_the_users_models_can_be_removed(houses: Path):
    assert remove("mine") == houses / "own/models/mine"
    assert installed() == ["both"]
    with pytest.raises(CheckpointError, match="no model called 'mine' to remove; there are: both"):
        _ = remove("mine")
    with pytest.raises(CheckpointError, match="no model called 'default' to remove; it ships with ostinato"):
        _ = remove("default")


@pytest.mark.parametrize("name", ["default", "mine", "no-model"])
def test_a_name_is_taken_once(houses: Path, name: str):
    with pytest.raises(CheckpointError, match=f"already a model called '{name}'"):
        _ = new_folder(name)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../up", "with space", "-flag"])
def test_a_name_must_do_for_a_folder_and_a_command_line(houses: Path, name: str):
    with pytest.raises(CheckpointError, match="must be letters, digits"):
        _ = new_folder(name)


def test_a_free_name_has_a_place_that_is_not_made_yet(houses: Path):
    assert new_folder("vampnet-1.0") == houses / "own/models/vampnet-1.0"
    assert not new_folder("vampnet-1.0").exists()


def test_the_facts_of_a_model_are_those_of_its_folder(houses: Path):
    card = houses / "own/models/mine/README.md"
    card.write_text("---\nlicense: cc0-1.0\n---\n# mine\n", encoding="utf-8")
    about = facts(folder_of("mine"))
    assert (about.name, about.licence, about.grid.codebooks) == ("mine", "cc0-1.0", 6)
    assert set(about.megabytes) == {"codec", "coarse", "fine"}
    assert facts(folder_of("both")).licence == "not stated"
    assert fingerprint(folder_of("mine")) == fingerprint(folder_of("both")) == load("mine").hash


@pytest.mark.parametrize(
    ("platform", "variable", "wanted"),
    [
        ("linux", "XDG_DATA_HOME", "{data}/ostinato"),
        ("linux", None, "{home}/.local/share/ostinato"),
        ("darwin", None, "{home}/Library/Application Support/ostinato"),
        ("win32", "LOCALAPPDATA", "{data}/ostinato"),
        ("win32", None, "{home}/AppData/Local/ostinato"),
    ],
)
def test_home_is_where_the_platform_keeps_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, variable: str | None, wanted: str
):
    for name in ("OSTINATO_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "data"))
    assert home() == Path(wanted.format(home=tmp_path, data=tmp_path / "data"))
    assert installed() == []
