"""Run folders: start a training run with resolved settings, or resume one from what its folder says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..checkpoint import CONFIG, write_text
from ..config import load, plain
from ..errors import TrainingError
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


def start(
    folder: Path, kind: str, settings: Any = None, *, watch: Callable[[int, dict[str, float]], None] | None = None
) -> None:
    """Start or resume the run in `folder`; a run that exists goes on with its own settings.

    Raises:
        TrainingError: the folder holds a run of another kind or other settings, or there is none and no settings.
    """
    table, make = KINDS[kind]
    known = folder / CONFIG
    if known.is_file():
        found = json.loads(known.read_text(encoding="utf-8"))
        if found.get("kind") != kind:
            raise TrainingError(f"{folder} holds a {found.get('kind')} run, not a {kind} run; choose another folder")
        before = load(table, found["settings"])
        if settings is not None and settings != before:
            raise TrainingError(
                f"{folder} holds a run with other settings; resume it without any, or choose another folder"
            )
        settings = before
    elif settings is None:
        raise TrainingError(f"{folder} holds no run to resume; name a preset to start one")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(known, json.dumps({"kind": kind, "settings": plain(settings)}, indent=1) + "\n")
    run(make(settings), folder, settings.loop, watch=watch)
