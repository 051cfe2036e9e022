"""What the README and the user pages tell people to type works as written."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from ostinato import audiofile, models
from ostinato.cli import main
from ostinato.cli import train as cli_train
from ostinato.cli import vary as cli_vary
from ostinato.hints import hints
from ostinato.prompts import presets
from ostinato.types import Audio

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "docs/commands.md", ROOT / "docs/training.md", ROOT / "docs/takes.md"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def lines(page: Path) -> Iterator[list[str]]:
    """Every shell line of a page, as words."""
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            for part in re.split(r"\s&&\s", line):
                yield shlex.split(part, comments=True)


@pytest.fixture
def desk(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four seconds of loop.wav, music to train on, and a tiny model in the default one's place."""
    _ = shutil.copytree(tiny_model, tmp_path / "models/default")
    monkeypatch.setattr(models, "MODELS", tmp_path / "models")
    desk = tmp_path / "desk"
    wave = torch.rand(1, 2, 4 * 44100, generator=torch.Generator().manual_seed(0)) - 0.5
    for name in ("loop.wav", "my-music/a.wav", "my-other-music/b.wav"):
        (desk / name).parent.mkdir(exist_ok=True, parents=True)
        _ = audiofile.write(desk / name, Audio(wave, 44100))
    monkeypatch.setattr(cli_vary, "LOOP", desk / "loop.wav")
    monkeypatch.setattr(cli_train, "_train", lambda run, *_, **__: shutil.copytree(tiny_model / "codec", run / "best"))
    monkeypatch.chdir(desk)
    return desk


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_does_what_the_page_says(page: Path, desk: Path):
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    for program, *rest in lines(page):
        if program == "make":
            assert rest[0] in targets
        if program == "ostinato":
            if "mine" in rest:
                rest[rest.index("mine")] = str(desk.parent / "models/default")
            result = CliRunner().invoke(main, rest, catch_exceptions=False)
            assert result.exit_code == 0, result.stderr
            if "-o" in rest and "--takes" not in rest:
                assert (desk / rest[rest.index("-o") + 1]).exists()


def test_the_python_of_the_readme_makes_a_take_in_under_six_lines(desk: Path):
    (code,) = blocks(ROOT / "README.md", "python")
    assert len([line for line in code.splitlines() if line.strip()]) < 6
    exec(compile(code, "README.md", "exec"), {})
    assert audiofile.info(desk / "take.wav").samples == 4 * 44100


def test_the_python_of_the_page_on_takes_runs(desk: Path):
    (code,) = blocks(ROOT / "docs/takes.md", "python")
    assert CliRunner().invoke(main, ["vary", "loop.wav", "-o", "a.wav"], catch_exceptions=False).exit_code == 0
    made: dict[str, Any] = {}
    exec(compile(code, "takes.md", "exec"), made)
    assert len(made["hops"]) == 2


def test_the_python_of_the_page_on_commands_compresses_and_expands(desk: Path):
    (code,) = blocks(ROOT / "docs/commands.md", "python")
    exec(compile(code, "commands.md", "exec"), {})
    assert audiofile.info(desk / "back.wav").samples == 4 * 44100


def test_the_page_shows_the_command_that_info_tells(desk: Path):
    shown = re.findall(r"`(ostinato vary [^`]*--fine\s[^`]*)`", (ROOT / "docs/commands.md").read_text(encoding="utf-8"))
    for command in ("ostinato vary loop.wav -o take.wav --takes 2 --seed 4", "ostinato info take-2.wav"):
        result = CliRunner().invoke(main, shlex.split(command)[1:], catch_exceptions=False)
    assert [line.strip() for line in result.stdout.splitlines() if "ostinato vary" in line] == [
        " ".join(each.split()) for each in shown
    ]


def test_the_readme_lists_every_hint_and_its_knobs():
    from ostinato.config import knobs

    table = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in hints:
        row = re.search(rf"^\| `{name}` \|.*$", table, flags=re.MULTILINE)
        assert row, name
        assert all(f"`{knob}`" in row[0] for knob in knobs(hints[name]))


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docs/design.md"], ids=lambda page: page.name)
def test_links_inside_the_repository_lead_somewhere(page: Path):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_named_prompts_exist():
    for page in PAGES:
        for name in re.findall(r'--preset "?([a-z ]+?)"?(?: -|$|`| #)', page.read_text(encoding="utf-8"), re.MULTILINE):
            assert name in presets
