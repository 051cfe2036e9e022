"""The studio as a folder that a Hugging Face Space runs as it is: the package, a model, and what to install."""

import re
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from ..errors import OstinatoError
from ..models import MODELS, folder_of

PACKAGE = Path(__file__).parents[1]
EXTRA = "serve"
MODEL = "model"
PYTHON = "3.11"
CPU_WHEELS = "--extra-index-url https://download.pytorch.org/whl/cpu"

APP = '''"""The studio of ostinato, for a Hugging Face Space or any machine with Python: python app.py"""

import os
from pathlib import Path

from ostinato.cli import main

HERE = Path(__file__).parent
main(["serve", "--host", os.environ.get("HOST", "0.0.0.0"), "--port", os.environ.get("PORT", "7860"), {model}])
'''
README = """---
title: ostinato
emoji: 🔁
colorFrom: yellow
colorTo: purple
sdk: gradio
sdk_version: {gradio}
python_version: "{python}"
app_file: app.py
license: mit
short_description: A loop in, variations out
---

A loop in, variations out: what the prompt keeps stays, and a masked model makes up the rest. HARP loads this Space
by its name; programs find the endpoints under `/gradio_api/info`.

The code is under the MIT licence; the model's licence is on its card.
"""


def export(target: Path, model: str = "default") -> list[str]:
    """Write the folder of a Space; returns the names in it.

    Args:
        target: a folder that is empty or not there yet.
        model: name or folder of the model that goes along.

    Raises:
        OstinatoError: the folder is in use, or cannot be written.
        CheckpointError: there is no such model.
    """
    source = folder_of(model)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise OstinatoError(f"{target} is in use; name a folder that is empty or not there yet")
    try:
        target.mkdir(parents=True, exist_ok=True)
        ships = source.parent == MODELS
        others = [each.name for each in MODELS.iterdir() if not (ships and each == source)]
        _ = shutil.copytree(PACKAGE, target / "ostinato", ignore=_unwanted(others))
        if not ships:
            _ = shutil.copytree(source, target / MODEL)
        where = f'"--model", "{source.name}"' if ships else f'"--model", str(HERE / "{MODEL}")'
        texts = {
            "app.py": APP.replace("{model}", where),
            "requirements.txt": "\n".join([CPU_WHEELS, *requirements()]) + "\n",
            "README.md": README.format(gradio=metadata.version("gradio"), python=PYTHON),
            f"ostinato-{metadata.version('ostinato')}.dist-info/METADATA": _metadata(),
        }
        for name, text in texts.items():
            (target / name).parent.mkdir(exist_ok=True)
            _ = (target / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OstinatoError(f"cannot write to {target}: {error.strerror}") from None
    return sorted(each.name for each in target.iterdir())


def requirements() -> list[str]:
    """What the package needs to serve, as lines of a requirements file."""
    lines = []
    for each in metadata.requires("ostinato") or []:
        need, _, condition = (part.strip() for part in each.partition(";"))
        extra = re.fullmatch(r"extra == ['\"](\w+)['\"]", condition)
        if not condition or (extra is not None and extra[1] == EXTRA):
            lines.append(need)
    return lines


def _metadata() -> str:
    """So that the package in the folder knows its version."""
    return f"Metadata-Version: 2.1\nName: ostinato\nVersion: {metadata.version('ostinato')}\n"


def _unwanted(models: list[str]) -> Callable[[str, list[str]], set[str]]:
    def ignored(folder: str, names: list[str]) -> set[str]:
        caches = {name for name in names if name == "__pycache__" or name.endswith(".pyc")}
        return caches | (set(models) if Path(folder) == MODELS else set())

    return ignored
