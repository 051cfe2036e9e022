"""The tree of takes: which file was made from which, by the SHA-256 that every take keeps of its source."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import audiofile
from .data import SUFFIXES
from .errors import AudioError, OstinatoError

TOKENS = "tokens"


@dataclass(frozen=True)
class Link:
    """What a take says of a file that it was made from."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Node:
    """A sound in a tree of takes: a take, the sound that all began with, or a file that is not there (no `path`).

    `about` is what a take tells of its making, and empty for other sounds; `children` are the takes made from it.
    """

    link: Link
    path: Path | None = None
    about: dict[str, Any] = field(default_factory=dict)
    children: tuple["Node", ...] = ()

    @property
    def source(self) -> Link | None:
        """What it was made from: of a blend the first take, of what is no take None."""
        return _link(self.about, "input")

    @property
    def other(self) -> Link | None:
        """The second take of a blend."""
        return _link(self.about, "with")


def node(path: str | Path) -> Node:
    """A sound file as a node without children.

    Raises:
        AudioError: the file cannot be read.
    """
    path = Path(path)
    return Node(Link(path.name, audiofile.sha256(path)), path, about(path))


def about(path: str | Path) -> dict[str, Any]:
    """What a take tells of its making, without its tokens; nothing where the file is no take.

    Raises:
        AudioError: the file cannot be read.
    """
    told = audiofile.about(path) or {}
    return {key: value for key, value in told.items() if key != TOKENS} if "ostinato" in told else {}


def tree(folder: str | Path) -> list[Node]:
    """The takes of a folder and what they were made from, as trees, by name.

    A source that is not in the folder is a node without a path; files that are neither takes nor sources are left out.

    Raises:
        AudioError: there is no such folder.
    """
    found = [each for path in _sounds(Path(folder)) if (each := _readable(path)) is not None]
    there = {each.link.sha256 for each in found}
    above: dict[str, list[Node]] = {}
    for each in found:
        if each.source is not None:
            above.setdefault(each.source.sha256, []).append(each)
    missing = {n.source.sha256: Node(n.source) for n in found if n.source and n.source.sha256 not in there}

    roots = [each for each in found if each.source is None and each.link.sha256 in above]
    order = sorted([*roots, *missing.values()], key=lambda each: each.link.name)
    top = len(order)
    for each in order:
        order += above.pop(each.link.sha256, [])
    return _grown(order)[:top]


def lineage(path: str | Path) -> list[Node]:
    """A take, what it was made from, what that was made from and so on, as far as their folder has it.

    Where the trail is lost, the last node has no path.

    Raises:
        AudioError: the file cannot be read.
    """
    trail = [node(path)]
    while (source := trail[-1].source) is not None:
        found = find(Path(path).parent, source)
        if found is None:
            return [*trail, Node(source)]
        trail.append(node(found))
    return trail


def parent(path: str | Path) -> Path:
    """The file that a take was made from, in the take's folder, whatever it is called now.

    Raises:
        AudioError: the file is no take, or its source is not there.
    """
    source = node(path).source
    if source is None:
        raise AudioError(f"{path} is not a take of ours; it does not say what it was made from")
    found = find(Path(path).parent, source)
    if found is None:
        known = f"{source.name} (sha256 {source.sha256[:16]}...)"
        there = (Path(path).parent / source.name).exists()
        how = "the file of that name beside it is another one" if there else "that file is not beside it"
        raise AudioError(f"{path} was made from {known}, and {how}; put the right one there")
    return found


def find(folder: Path, link: Link) -> Path | None:
    """The file of a folder that a link means: the one of its name first, else any sound with its hash."""
    named = folder / link.name
    others = (path for path in _sounds(folder) if path != named)
    for path in [*([named] if named.is_file() else []), *others]:
        if audiofile.sha256(path) == link.sha256:
            return path
    return None


def _grown(order: list[Node]) -> list[Node]:
    """Nodes with their children, given in an order in which parents come first."""
    children: dict[str, list[Node]] = {}
    grown: list[Node] = []
    for each in reversed(order):
        below = tuple(reversed(children.pop(each.link.sha256, [])))
        grown.append(replace(each, children=below))
        if each.source is not None:
            children.setdefault(each.source.sha256, []).append(grown[-1])
    return grown[::-1]


def _link(about: dict[str, Any], key: str) -> Link | None:
    told = about.get(key)
    if not isinstance(told, dict):
        return None
    name, sha256 = told.get("name"), told.get("sha256")
    return Link(name, sha256) if isinstance(name, str) and isinstance(sha256, str) else None


def _sounds(folder: Path) -> Iterator[Path]:
    """The files of a folder that may be sounds, by name."""
    if not folder.is_dir():
        raise AudioError(f"there is no folder {folder}")
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            yield path


def _readable(path: Path) -> Node | None:
    try:
        return node(path)
    except OstinatoError:
        return None
