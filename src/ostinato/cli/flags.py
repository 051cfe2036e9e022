"""The flags that say where the beats are, and what a take remembers of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from .. import audiofile, beatsfile
from ..errors import ConfigError
from ..grids import FASTEST, SLOWEST, steady, tapped
from ..types import Beats
from .common import Command, Finite

SOURCES = {"bpm": "--bpm", "taps": "--taps", "labels": "--beats", "tracker": "--tracker"}
OPTIONS = (
    click.option("--bpm", type=Finite(), help=f"Beats at one tempo, {SLOWEST:g} to {FASTEST:g} a minute."),
    click.option("--offset", type=Finite(), metavar="SECONDS", help="With --bpm, where a bar begins.  [default: 0]"),
    click.option("--meter", help="With --bpm or --taps, beats in a bar, such as 3/4 or 6/8.  [default: 4/4]"),
    click.option("--taps", metavar="SECONDS,...", help="Beats as tapped, such as 0.1,0.62,1.1."),
    click.option(
        "--beats", "labels", type=click.Path(path_type=Path), help="Beats as labels, as Audacity exports them."
    ),
    click.option("--tracker", metavar="NAME", help="Who listens for beats that are not given.  [default: default]"),
)


@dataclass(frozen=True)
class Given:
    """Beats that flags give, or the tracker that they name; `told` is what a take remembers of it."""

    beats: Beats | None = None
    tracker: str = "default"
    told: dict[str, Any] = field(default_factory=lambda: {"tracker": "default"})


def beat_options(command: Command) -> Command:
    """The flags that `given` reads."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def given(flags: Mapping[str, Any], seconds: float) -> Given:
    """The beats that flags mean for a sound of so many seconds.

    Raises:
        AudioError: the label file cannot be read.
        ConfigError: flags do not go together, or a value is out of range.
    """
    sources = [name for name in SOURCES if flags[name] is not None]
    if len(sources) > 1:
        raise ConfigError(f"beats come from one source, got {' and '.join(SOURCES[name] for name in sources)}")
    source = sources[0] if sources else None
    if flags["offset"] is not None and source != "bpm":
        raise ConfigError(f"--offset needs --bpm, got --offset {flags['offset']:g} without it")
    if flags["meter"] is not None and source not in ("bpm", "taps"):
        raise ConfigError(f"--meter needs --bpm or --taps, got --meter {flags['meter']} without them")
    told = {name: flags[name] for name in ("bpm", "offset", "meter", "taps") if flags[name] is not None}
    bars = {name: flags[name] for name in ("offset", "meter") if flags[name] is not None}
    if source == "bpm":
        return Given(steady(seconds, bpm=flags["bpm"], **bars), told=told)
    if source == "taps":
        return Given(tapped(_times(flags["taps"]), **bars), told=told)
    if source == "labels":
        file = flags["labels"]
        return Given(beatsfile.read(file), told={"beats": file.name, "sha256": audiofile.sha256(file)})
    return Given() if source is None else Given(tracker=flags["tracker"], told={"tracker": flags["tracker"]})


def flags_of(told: Mapping[str, Any]) -> list[str]:
    """The flags that give again what a take was told of beats."""
    usual = {"tracker": "default"}
    said = {name: value for name, value in told.items() if name != "sha256" and usual.get(name) != value}
    return [part for name, value in said.items() for part in (f"--{name}", str(value))]


def notes_on(told: Mapping[str, Any], folder: Path) -> list[str]:
    """What stands in the way of giving the same beats again, beside a take in `folder`."""
    if "sha256" not in told:
        return []
    file = folder / told["beats"]
    if not file.is_file():
        return [f"note: {file} is not here; the take needs the beats in it"]
    return [] if audiofile.sha256(file) == told["sha256"] else [f"note: {file} is not the file it was made with"]


def _times(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"taps are written 0.1,0.62,1.1, in seconds, got '{text}'") from None
