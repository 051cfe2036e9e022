"""Prompts say which cells of a clip stay and which the model fills; hints, in seconds and codebooks, make them up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool
from torch import Tensor

from .config import config, knob, load, parse_named, plain, unparse_named
from .errors import ConfigError, PromptError
from .masks import every, scatter, span
from .registry import Registry, nearest
from .types import Grid


@dataclass(frozen=True)
class Clip:
    """What hints know of the music: its grid and its length, never its tokens.

    A circular clip has `around` frames, all of one length, so that the last one meets the first.

    Raises:
        PromptError: the clip has no samples.
    """

    grid: Grid
    samples: int
    around: int | None = None

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise PromptError(f"a clip needs at least 1 sample, got {self.samples}")

    @property
    def frames(self) -> int:
        """Frames that cover the clip."""
        return self.around or self.grid.frames_of(self.samples)

    def frames_of(self, samples: int) -> int:
        """Frames of the clip that cover its first `samples` samples."""
        return -(-samples * self.around // self.samples) if self.around else self.grid.frames_of(samples)

    @property
    def seconds(self) -> float:
        return self.samples / self.grid.sample_rate


@runtime_checkable
class Hint(Protocol):
    """A settings object that answers "which cells?" for a clip; whether they stay or go is for the prompt to say."""

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]: ...


hints: Registry[Hint] = Registry("hint")


@hints("all")
@config
class Everything:
    """Every cell."""

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        return _in_all_codebooks(clip, span(clip.frames, 0, clip.frames))


@hints("periodic")
@config
class Periodic:
    """Some frames out of every period, in all codebooks; kept, they hold the rhythm of the input.

    Raises (when asked):
        PromptError: the width is not within the period.

    Source: the periodic prompt of VampNet (arXiv:2307.04686).
    """

    period: int = knob("from one group to the next", default=7, unit="frames", low=1)
    width: int = knob("length of a group, at most the period", default=1, unit="frames", low=1)
    offset: int = knob("start of the first group", default=0, unit="frames")

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        return _in_all_codebooks(clip, every(clip.frames, self.period, width=self.width, offset=self.offset))


@hints("prefix")
@config
class Prefix:
    """The beginning, in all codebooks; kept, the model continues it.

    Raises (when asked):
        PromptError: the prefix is longer than the clip.
    """

    seconds: float = knob("length of the beginning", default=1.0, unit="s", low=0)

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        return _in_all_codebooks(clip, span(clip.frames, 0, _length("prefix", self.seconds, clip)))


@hints("suffix")
@config
class Suffix:
    """The end, in all codebooks; kept, the model leads up to it.

    Raises (when asked):
        PromptError: the suffix is longer than the clip.
    """

    seconds: float = knob("length of the end", default=1.0, unit="s", low=0)

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        start = clip.frames - _length("suffix", self.seconds, clip)
        return _in_all_codebooks(clip, span(clip.frames, start, clip.frames))


@hints("inpaint")
@config
class Inpaint:
    """A range of time, in all codebooks: the frames that start in it; hidden, the model fills the gap.

    Raises:
        ConfigError: the end is not after the start.
        PromptError (when asked): the range leaves the clip, or no frame starts in it.
    """

    start: float = knob("start of the range", default=0.0, unit="s", low=0)
    end: float | None = knob("end of the range; none is the end of the clip", default=None, unit="s", low=0)

    def __post_init__(self) -> None:
        if self.end is not None and self.end <= self.start:
            raise ConfigError(f"Inpaint.end must be after Inpaint.start ({self.start:g} s), got {self.end:g}")

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        start = _length("inpaint start", self.start, clip)
        end = clip.frames if self.end is None else _length("inpaint end", self.end, clip)
        if start == end:
            hop = 1000 * clip.grid.seconds(1)
            raise PromptError(
                f"inpaint from {self.start:g} s holds no start of a frame; make it at least {hop:.1f} ms long"
            )
        return _in_all_codebooks(clip, span(clip.frames, start, end))


@hints("coarsest")
@config
class Coarsest:
    """The lowest codebooks, in all frames; kept, the model makes the others anew (compression).

    Raises (when asked):
        PromptError: the grid has fewer codebooks.
    """

    codebooks: int = knob("how many, from the coarsest up", default=1, unit="codebooks", low=1)

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        _check_codebooks("coarsest codebooks", self.codebooks, clip)
        return _in_all_frames(clip, span(clip.grid.codebooks, 0, self.codebooks))


@hints("finer")
@config
class Finer:
    """The codebooks from one level up, in all frames; hidden, only the coarser ones of the input are used.

    Codebooks are counted from 0, so 3 speaks of all but the lowest three; the number of codebooks speaks of none.

    Raises (when asked):
        PromptError: the grid has fewer codebooks.
    """

    first: int = knob("lowest codebook meant, counted from 0", default=3, low=0)

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        _check_codebooks("finer first", self.first, clip)
        return _in_all_frames(clip, span(clip.grid.codebooks, self.first, clip.grid.codebooks))


@hints("random")
@config
class Random:
    """Frames strewn by chance, in all codebooks: exactly the share, rounded. The seed is its own, not the take's."""

    share: float = knob("part of all frames", default=0.2, low=0, high=1)
    seed: int = knob("another seed chooses other frames", default=0, low=0, high=2**64 - 1)

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        return _in_all_codebooks(clip, scatter(clip.frames, self.share, self.seed))


@dataclass(frozen=True)
class Prompt:
    """Hints to keep, joined, less the hints to hide: `hidden = ~(any keep) | any hide`.

    A prompt without hints hides all. `Prompt.of` reads hints as people write them.
    """

    keep: tuple[Hint, ...] = ()
    hide: tuple[Hint, ...] = ()

    @classmethod
    def of(cls, keep: "Iterable[Hint | str]" = (), hide: "Iterable[Hint | str]" = ()) -> "Prompt":
        """A prompt from hints or their texts; hints to hide alone mean "keep all the rest".

        So `Prompt.of(hide=["inpaint:start=1,end=2"])` keeps `all` but one second.

        Raises:
            ConfigError: a text is not a hint.
        """
        kept, hidden = (tuple(parse_hint(h) if isinstance(h, str) else h for h in part) for part in (keep, hide))
        return cls(keep=(Everything(),) if hidden and not kept else kept, hide=hidden)

    @classmethod
    def load(cls, data: Any) -> "Prompt":
        """Read back what `plain` wrote, strictly.

        Raises:
            ConfigError: an unknown key, hint or knob, or a value that does not fit.
        """
        parts = _table("a prompt", data, known=["keep", "hide"])
        for name, part in parts.items():
            if not isinstance(part, list | tuple):
                raise ConfigError(f"'{name}' of a prompt must be a list of hints, got {part!r}")
        return cls(**{name: tuple(_load_hint(each) for each in part) for name, part in parts.items()})

    def plain(self) -> dict[str, list[dict[str, Any]]]:
        """This prompt as JSON-ready data with every knob written out; `load` reads it back.

        Raises:
            ConfigError: a hint is not a registered one.
        """
        return {
            "keep": [{"hint": _name(hint), **plain(hint)} for hint in self.keep],
            "hide": [{"hint": _name(hint), **plain(hint)} for hint in self.hide],
        }

    def mask(self, clip: Clip) -> Bool[Tensor, "codebook frame"]:
        """True where the model must fill the grid of `clip`.

        Raises:
            PromptError: a hint asks for cells that the clip does not have.
        """
        nowhere = torch.zeros(clip.grid.codebooks, clip.frames, dtype=torch.bool)
        kept, hidden = nowhere, nowhere
        for hint in self.keep:
            kept = kept | hint(clip)
        for hint in self.hide:
            hidden = hidden | hint(clip)
        return ~kept | hidden


def parse_hint(text: str) -> Hint:
    """The hint written as `name` or `name:knob=value,knob=value`.

    Raises:
        ConfigError: no such hint or knob, or a value that does not fit.
    """
    return parse_named(hints, text)


def describe(hint: Hint) -> str:
    """The text that `parse_hint` turns into `hint`; knobs at their defaults are left out.

    Raises:
        ConfigError: the hint is not a registered one.
    """
    return unparse_named(hints, hint)


def preset(name: str) -> Prompt:
    """The prompt called `name`; case does not matter, and a hyphen or an underscore is as good as a space.

    Raises:
        ConfigError: no such preset; the message gives the nearest.
    """
    plainly = name.lower().replace("-", " ").replace("_", " ")
    if plainly not in presets:
        raise ConfigError(f"no preset called '{name}'; {nearest(plainly, list(presets))}")
    return presets[plainly]


_PRESETS: list[tuple[str, str, Prompt]] = [
    (
        "timbre transfer",
        "the notes and the rhythm in another voice",
        Prompt.of(["periodic:period=2"], ["finer:first=1"]),
    ),
    ("small variation", "nearly the same", Prompt.of(["periodic:period=5"], ["finer:first=4"])),
    ("medium variation", "the same piece, played again", Prompt.of(["periodic:period=7"], ["finer:first=4"])),
    (
        "large variation",
        "the same groove, much of it new",
        Prompt.of(["periodic:period=13"], ["finer:first=4", "random:share=0.2"]),
    ),
    ("unconditional", "nothing of the input but its length", Prompt()),
    ("compression", "only the coarsest codebook; the rest is made again", Prompt.of(["coarsest:codebooks=1"])),
    ("polish", "the four coarsest codebooks; the detail is made again", Prompt.of(["coarsest:codebooks=4"])),
    ("continuation", "the first two seconds, and what may follow", Prompt.of(["prefix:seconds=2"])),
    ("bridge", "the first and the last second, and a way between", Prompt.of(["prefix:seconds=1", "suffix:seconds=1"])),
]
"""The first five have the names and values of VampNet's published application, as far as its hints go."""

presets: dict[str, Prompt] = {name: prompt for name, _, prompt in _PRESETS}
preset_help: dict[str, str] = {name: help for name, help, _ in _PRESETS}


def _in_all_codebooks(clip: Clip, frames: Bool[Tensor, " frame"]) -> Bool[Tensor, "codebook frame"]:
    return frames.expand(clip.grid.codebooks, -1)


def _in_all_frames(clip: Clip, codebooks: Bool[Tensor, " codebook"]) -> Bool[Tensor, "codebook frame"]:
    return codebooks[:, None].expand(-1, clip.frames)


def _length(what: str, seconds: float, clip: Clip) -> int:
    """Frames that cover `seconds`, which must lie within the clip (to the nearest sample)."""
    samples = round(seconds * clip.grid.sample_rate)
    if samples > clip.samples:
        raise PromptError(f"{what} of {seconds:g} s is outside the clip; choose at most {_floor_ms(clip.seconds)} s")
    return clip.frames_of(samples)


def _floor_ms(seconds: float) -> str:
    return f"{int(seconds * 1000) / 1000:g}"


def _check_codebooks(what: str, number: int, clip: Clip) -> None:
    if number > clip.grid.codebooks:
        raise PromptError(f"{what}={number} is outside the grid; choose at most {clip.grid.codebooks}, its codebooks")


def _name(hint: Hint) -> str:
    return hints.name(type(hint))


def _load_hint(data: Any) -> Hint:
    if not isinstance(data, Mapping) or not isinstance(data.get("hint"), str):
        raise ConfigError(f"a hint must be a table with the name of the hint under 'hint', got {data!r}")
    return load(hints[data["hint"]], {key: value for key, value in data.items() if key != "hint"})


def _table(what: str, data: Any, known: list[str]) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise ConfigError(f"{what} must be a table with {' and '.join(known)}, got {data!r}")
    for key in data:
        if key not in known:
            raise ConfigError(f"{what} has no part '{key}'; {nearest(key, known)}")
    return dict(data)
