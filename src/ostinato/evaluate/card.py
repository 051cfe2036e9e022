"""The model card: measured figures in one JSON file, and the page that is made from it and from nothing else."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ..config import from_json
from ..corpus import read_list
from ..errors import OstinatoError, TrainingError
from ..whole import write_text
from .prediction import Prediction
from .reconstruction import Reconstruction
from .variation import Variation

Figures: TypeAlias = dict[str, Any]
Part: TypeAlias = Reconstruction | Prediction | Variation

PARTS = ("codec", "tokens", "prompts")
FIGURES, PAGE = "card.json", "README.md"


@dataclass(frozen=True)
class About:
    """What the figures are about: a model by name and hash, its codec's hash and grid, and the bytes of its weights.

    `samplers` are those that fill its takes.
    """

    name: str
    hash: str
    codec: str
    grid: dict[str, int]
    bytes: int
    samplers: str = ""

    def hash_for(self, part: str) -> str:
        """What a part of a card measures: the hash of the codec, or of the whole model, of takes with the samplers."""
        return {"codec": self.codec, "prompts": f"{self.hash} {self.samplers}".strip()}.get(part, self.hash)


def read_figures(path: Path) -> Figures:
    """The figures in a card's JSON file; none where there is no file yet.

    Raises:
        OstinatoError: the file is not a table in JSON.
    """
    if not path.is_file():
        return {}
    try:
        found = from_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise OstinatoError(f"{path} is not JSON ({error}); remove it to measure anew") from None
    if not isinstance(found, dict):
        raise OstinatoError(f"{path} must hold a table of figures; remove it to measure anew")
    return found


def write_figures(path: Path, figures: Figures) -> None:
    """Write figures as JSON, whole or not at all.

    Raises:
        OstinatoError: they cannot be written there.
    """
    write_text(path, json.dumps(figures, indent=1, ensure_ascii=False) + "\n")


def measured(part: str, result: Part, command: str, about: About) -> Figures:
    """One part of a card, with the command that measures it and the hash of what was measured."""
    return {"command": command, "hash": about.hash_for(part), "result": asdict(result)}


def stale(figures: Mapping[str, Any], about: About) -> list[str]:
    """The parts that have not been measured on this very model, in order."""
    return [part for part in PARTS if figures.get(part, {}).get("hash") != about.hash_for(part)]


def training(runs: Mapping[str, Path], known: Sequence[Figures] = ()) -> list[Figures]:
    """Steps and hours of training runs, by stage, as their logs tell, after those `known` of other stages.

    Raises:
        TrainingError: a folder has no log of a run.
    """
    table = [run for run in known if run["stage"] not in runs]
    for stage, folder in runs.items():
        try:
            last = json.loads((folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
            table.append({"stage": stage, "steps": int(last["step"]), "hours": float(last["hours"])})
        except (OSError, ValueError, LookupError):
            raise TrainingError(f"{folder} has no log of a training run; name the folder that `train` wrote") from None
    return table


def music(folder: Path) -> list[Figures]:
    """Hours, tracks and packages of each split of a corpus list, and the hours under each licence.

    Raises:
        CorpusError: `folder` holds no corpus list.
    """
    corpus = read_list(folder)
    table = []
    for name in dict.fromkeys(track.split for track in corpus.tracks):
        part = corpus.split(name)
        licences: Counter[str] = Counter()
        for track in part.tracks:
            licences[track.licence] += track.seconds / 3600  # type: ignore[assignment]
        table.append(
            {
                "split": name,
                "hours": sum(track.seconds for track in part.tracks) / 3600,
                "tracks": len(part.tracks),
                "packages": [package.name for package in part.packages],
                "licences": dict(licences.most_common()),
            }
        )
    return table
