"""The models there are by name: those that ship with the package, and those in a folder of the user's own."""

import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from .checkpoint import CONFIG, WEIGHTS, digest, read_codec_config
from .errors import CheckpointError
from .lm import LMConfig
from .registry import nearest
from .types import Grid

MODELS = Path(__file__).parent / "weights"
LOOP = Path(__file__).parent / "assets" / "loop.flac"
PARTS = ("codec", "coarse", "fine")


@dataclass(frozen=True)
class ModelFacts:
    """What a model folder holds; `megabytes` by part, `licence` as its card states it."""

    name: str
    folder: Path
    grid: Grid
    megabytes: dict[str, float]
    licence: str


def home() -> Path:
    """The user's folder for what ostinato keeps: OSTINATO_HOME, or the usual place of the platform."""
    if named := os.environ.get("OSTINATO_HOME"):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "ostinato"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "ostinato"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "ostinato"


def shipped() -> list[str]:
    """Names of the models inside the package."""
    return _names(MODELS)


def installed() -> list[str]:
    """Names of the models in the user's folder."""
    return _names(home() / "models")


def folder_of(model: str | Path) -> Path:
    """The folder of a model: one that ships, else one in the user's folder, else the folder that `model` is.

    Raises:
        CheckpointError: there is no such model, or no whole model in the folder.
    """
    name = str(model)
    folder = MODELS / name if name in shipped() else home() / "models" / name if name in installed() else Path(model)
    if not folder.is_dir():
        known = ", ".join([*shipped(), *installed()]) or "none"
        raise CheckpointError(f"no model called '{model}'; there are: {known}; or give the path of a model folder")
    for part in PARTS:
        for file in (CONFIG, WEIGHTS):
            if not (folder / part / file).is_file():
                raise CheckpointError(f"{folder} is not a model: it lacks {part}/{file}")
    return folder


def new_folder(name: str) -> Path:
    """Where a new model of the user's goes.

    Raises:
        CheckpointError: the name is taken, or is not one that a folder and a command line can bear.
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise CheckpointError(f"a model's name must be letters, digits, '-', '_' and '.', got '{name}'")
    if name in shipped() or (home() / "models" / name).exists():
        raise CheckpointError(f"there is already a model called '{name}'; remove it, or choose another name")
    return home() / "models" / name


def remove(name: str) -> Path:
    """Delete a model of the user's; returns the folder that it was in.

    Raises:
        CheckpointError: there is no such model in the user's folder.
    """
    if name not in installed():
        why = "it ships with ostinato" if name in shipped() else nearest(name, installed())
        raise CheckpointError(f"no model called '{name}' to remove; {why}")
    folder = home() / "models" / name
    shutil.rmtree(folder)
    return folder


def facts(folder: Path) -> ModelFacts:
    """What a model folder holds.

    Raises:
        CheckpointError: it is not a model folder, or its codec is of no known kind. ConfigError: its codec's config
            does not fit.
    """
    return ModelFacts(
        name=folder.name,
        folder=folder,
        grid=read_codec_config(folder / "codec").grid,
        megabytes={part: round((folder / part / WEIGHTS).stat().st_size / 1e6, 2) for part in PARTS},
        licence=_licence(folder),
    )


def fingerprint(folder: Path) -> str:
    """A hash over all that a model folder's results depend on; it reads the whole folder."""
    return digest(*(folder / part for part in PARTS))


def check_fit(grid: Grid, coarse: LMConfig, fine: LMConfig, folder: Path) -> None:
    """See that a codec and two models belong together.

    Raises:
        CheckpointError: they do not; the message names `folder` and the rule.
    """
    rules = {
        "the coarse model must predict from codebook 0": coarse.given == 0,
        "the fine model must be given what the coarse one predicts": fine.given == coarse.codebooks,
        f"the fine model must see all {grid.codebooks} codebooks": fine.codebooks == grid.codebooks,
        f"both must have the codec's vocabulary of {grid.vocabulary}": (
            coarse.vocabulary == fine.vocabulary == grid.vocabulary
        ),
    }
    for rule, held in rules.items():
        if not held:
            raise CheckpointError(f"the parts of {folder} do not fit: {rule}")


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    inside = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path.name for path in inside if (path / "codec" / CONFIG).is_file())


def _licence(folder: Path) -> str:
    """The `license:` line at the head of the model's card."""
    card = folder / "README.md"
    lines = card.read_text(encoding="utf-8").splitlines() if card.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines[:20] if line.startswith("license:")]
    return named[0] if named else "not stated"
