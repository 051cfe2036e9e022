"""Run folders: start a training run with resolved settings, or resume one from what its folder says."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..checkpoint import CONFIG
from ..config import load, plain
from ..errors import TrainingError
from ..whole import write_text
from .beats import BeatJob, BeatTraining
from .codec import CodecJob, CodecTraining
from .context import ContextJob, ContextTraining
from .lm import LMJob, LMTraining
from .loop import Job, run

KINDS: dict[str, tuple[type, Callable[[Any], Job]]] = {
    "codec": (CodecTraining, CodecJob),
    "lm": (LMTraining, LMJob),
    "context": (ContextTraining, ContextJob),
    "beats": (BeatTraining, BeatJob),
}


def settings_of(folder: Path, kind: str) -> Any | None:
    """The settings of the run in `folder`, or None where there is none.

    Raises:
        TrainingError: the folder holds a run of another kind.
    """
    if not (folder / CONFIG).is_file():
        return None
    found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if found.get("kind") != kind:
        raise TrainingError(f"{folder} holds a {found.get('kind')} run, not a {kind} run; choose another folder")
    return load(KINDS[kind][0], found["settings"])


def start(
    folder: Path, kind: str, settings: Any = None, *, watch: Callable[[int, dict[str, float]], None] | None = None
) -> None:
    """Start or resume the run in `folder`; a run that exists goes on with its own settings.

    Only its `loop` may be another than before: how long it lasts, and how often it looks up.

    Raises:
        TrainingError: the folder holds a run of another kind or other settings, or there is none and no settings.
    """
    before = settings_of(folder, kind)
    settings = before if settings is None else settings
    if settings is None:
        raise TrainingError(f"{folder} holds no run to resume; name a preset to start one")
    if before is not None and replace(before, loop=settings.loop) != settings:
        raise TrainingError(
            f"{folder} holds a run with other settings; only those of its loop can change. Choose another folder"
        )
    if settings != before:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / CONFIG, json.dumps({"kind": kind, "settings": plain(settings)}, indent=1) + "\n")
    run(KINDS[kind][1](settings), folder, settings.loop, watch=watch)
