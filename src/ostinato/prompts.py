"""Prompts say which cells of a clip stay and which the model fills; hints make them up."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from .chance import derive
from .clip import Clip
from .errors import ConfigError
from .hints import Everything, Hint, load_hint, needs, parse_hint, plain_hint
from .masks import thinned
from .registry import nearest

DROPS = 2  # after 0 and 1, which are the seeds of the two models


@dataclass(frozen=True)
class Prompt:
    """Hints to keep, joined, less the hints to hide: `hidden = ~(any keep) | any hide`.

    Of the cells that are kept, the share `dropout` is hidden too, by chance: other ones for each seed of a take. A
    prompt without hints hides all. `Prompt.of` reads hints as people write them.

    Raises:
        ConfigError: `dropout` is not between 0 and 1.
    """

    keep: tuple[Hint, ...] = ()
    hide: tuple[Hint, ...] = ()
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.dropout <= 1:
            raise ConfigError(f"dropout must be between 0 and 1, got {self.dropout}")

    @classmethod
    def of(cls, keep: "Iterable[Hint | str]" = (), hide: "Iterable[Hint | str]" = (), dropout: float = 0.0) -> "Prompt":
        """A prompt from hints or their texts; hints to hide alone mean "keep all the rest".

        So `Prompt.of(hide=["inpaint:start=1,end=2"])` keeps `all` but one second.

        Raises:
            ConfigError: a text is not a hint.
        """
        kept, hidden = (tuple(parse_hint(h) if isinstance(h, str) else h for h in part) for part in (keep, hide))
        return cls(keep=(Everything(),) if hidden and not kept else kept, hide=hidden, dropout=dropout)

    @classmethod
    def load(cls, data: Any) -> "Prompt":
        """Read back what `plain` wrote, strictly.

        Raises:
            ConfigError: an unknown key, hint or knob, or a value that does not fit.
        """
        parts = _table("a prompt", data, known=["keep", "hide", "dropout"])
        dropout = parts.pop("dropout", 0.0)
        if isinstance(dropout, bool) or not isinstance(dropout, int | float):
            raise ConfigError(f"'dropout' of a prompt must be a number, got {dropout!r}")
        for name, part in parts.items():
            if not isinstance(part, list | tuple):
                raise ConfigError(f"'{name}' of a prompt must be a list of hints, got {part!r}")
        return cls(**{name: tuple(load_hint(each) for each in part) for name, part in parts.items()}, dropout=dropout)

    def plain(self) -> dict[str, Any]:
        """This prompt as JSON-ready data with every knob written out, but a dropout of 0; `load` reads it back.

        Raises:
            ConfigError: a hint is not a registered one.
        """
        return {
            "keep": [plain_hint(hint) for hint in self.keep],
            "hide": [plain_hint(hint) for hint in self.hide],
            **({"dropout": self.dropout} if self.dropout else {}),
        }

    @property
    def needs(self) -> frozenset[str]:
        """The fields of a clip that must have been heard before this prompt can be answered."""
        return needs(*self.keep, *self.hide)

    def mask(self, clip: Clip, *, seed: int = 0, turned: int = 0) -> Bool[Tensor, "codebook frame"]:
        """True where the model must fill the grid of `clip`.

        Args:
            clip: what hints may know.
            seed: that of the take, which decides what drops out.
            turned: by how many frames a circular clip was turned; what drops out is turned with it.

        Raises:
            PromptError: a hint asks for cells that the clip does not have.
        """
        nowhere = torch.zeros(clip.grid.codebooks, clip.frames, dtype=torch.bool)
        kept, hidden = nowhere, nowhere
        for hint in self.keep:
            kept = kept | hint(clip)
        for hint in self.hide:
            hidden = hidden | hint(clip)
        left = kept & ~hidden
        return ~left | thinned(left, self.dropout, derive(seed, DROPS), first_frame=-turned)


def preset(name: str) -> Prompt:
    """The prompt called `name`; case does not matter, and neither does what stands between its words.

    Raises:
        ConfigError: no such preset; the message gives the nearest.
    """
    plainly = " ".join(re.findall(r"[a-z0-9]+", name.lower()))
    if plainly not in presets:
        raise ConfigError(f"no preset called '{name}'; {nearest(plainly, list(presets))}")
    return presets[plainly]


_PRESETS: list[tuple[str, str, Prompt]] = [
    (
        "timbre transfer",
        "the notes and the rhythm in another voice",
        Prompt.of(["periodic:period=2"], ["finer:first=1"]),
    ),
    (
        "timbre transfer follow beat",
        "another voice, freer between the beats",
        Prompt.of(["periodic:period=5", "beats:after=50,before=0"], ["finer:first=1"]),
    ),
    ("small variation", "nearly the same", Prompt.of(["periodic:period=5"], ["finer:first=4"])),
    (
        "small variation follow beat",
        "nearly the same, freer between the beats",
        Prompt.of(["periodic:period=7", "beats:after=50,before=0"], ["finer:first=4"]),
    ),
    ("medium variation", "the same piece, played again", Prompt.of(["periodic:period=7"], ["finer:first=4"])),
    (
        "medium variation follow beat",
        "the same piece, played again on its beats",
        Prompt.of(["periodic:period=13", "beats:after=50,before=0"], ["finer:first=4"]),
    ),
    (
        "large variation",
        "the same groove, much of it new",
        Prompt.of(["periodic:period=13"], ["finer:first=4", "random:share=0.2"]),
    ),
    (
        "large variation follow beat",
        "only what is on the beats, a little longer",
        Prompt.of(["beats:after=80,before=0"], ["finer:first=4"]),
    ),
    (
        "beat driven",
        "all of the sound around each beat, and a new piece between",
        Prompt.of(["beats"]),
    ),
    ("unconditional", "nothing of the input but its length", Prompt()),
    ("compression", "only the coarsest codebook; the rest is made again", Prompt.of(["coarsest:codebooks=1"])),
    ("polish", "the four coarsest codebooks; the detail is made again", Prompt.of(["coarsest:codebooks=4"])),
    ("continuation", "the first two seconds, and what may follow", Prompt.of(["prefix:seconds=2"])),
    ("bridge", "the first and the last second, and a way between", Prompt.of(["prefix:seconds=1", "suffix:seconds=1"])),
]
"""Down to `unconditional` they have the names and values of VampNet's published application, as far as its hints go.

It has no `timbre transfer follow beat`, which is made as the others are: the next longer period, and 50 ms of each
beat. `beat driven` is the prompt of its paper (arXiv:2307.04686, section 3.4), with more of each beat than its 75 ms.
"""

presets: dict[str, Prompt] = {name: prompt for name, _, prompt in _PRESETS}
preset_help: dict[str, str] = {name: help for name, help, _ in _PRESETS}


def _table(what: str, data: Any, known: list[str]) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise ConfigError(f"{what} must be a table with {', '.join(known[:-1])} and {known[-1]}, got {data!r}")
    for key in data:
        if key not in known:
            raise ConfigError(f"{what} has no part '{key}'; {nearest(key, known)}")
    return dict(data)
