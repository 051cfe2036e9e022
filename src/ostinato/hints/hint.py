"""What a hint is, the names of all hints, and how people write them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Bool
from torch import Tensor

from ..clip import Clip
from ..config import load, parse_named, plain, unparse_named
from ..errors import ConfigError, PromptError
from ..masks import stretches
from ..registry import Registry


@runtime_checkable
class Hint(Protocol):
    """A settings object that answers "which cells?" for a clip; whether they stay or go is for the prompt to say.

    A hint that speaks of something heard names it in a class attribute `needs`: a field of `Clip`.
    """

    def __call__(self, clip: Clip) -> Bool[Tensor, "codebook frame"]: ...


hints: Registry[Hint] = Registry("hint")


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


def needs(*asked: Hint) -> frozenset[str]:
    """The fields of a clip that must have been heard before these hints can answer."""
    return frozenset().union(*(getattr(hint, "needs", frozenset()) for hint in asked))


def plain_hint(hint: Hint) -> dict[str, Any]:
    """A hint as JSON-ready data; `load_hint` reads it back.

    Raises:
        ConfigError: the hint is not a registered one.
    """
    return {"hint": hints.name(type(hint)), **plain(hint)}


def load_hint(data: Any) -> Hint:
    """Read back what `plain_hint` wrote, strictly.

    Raises:
        ConfigError: no such hint or knob, or a value that does not fit.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("hint"), str):
        raise ConfigError(f"a hint must be a table with the name of the hint under 'hint', got {data!r}")
    return load(hints[data["hint"]], {key: value for key, value in data.items() if key != "hint"})


def in_all_codebooks(clip: Clip, frames: Bool[Tensor, " frame"]) -> Bool[Tensor, "codebook frame"]:
    """These frames, in every codebook of the clip."""
    return frames.expand(clip.grid.codebooks, -1)


def in_moments(clip: Clip, edges: Sequence[tuple[float, float]]) -> Bool[Tensor, "codebook frame"]:
    """The frames that hold anything of these stretches of time, in seconds, in every codebook of the clip.

    The frame in which a stretch starts is always one of them. What lies outside the clip is cut off, or wraps where
    the clip is circular.
    """
    places = [[round(edge * clip.grid.sample_rate) for edge in pair] for pair in edges]
    frames = [(clip.frame_at(start), clip.frame_at(max(start, end - 1)) + 1) for start, end in places]
    return in_all_codebooks(clip, stretches(clip.frames, frames, circular=clip.around is not None))


def in_parts(clip: Clip, edges: Sequence[tuple[float, float]]) -> Bool[Tensor, "codebook frame"]:
    """The frames from the one that holds each start up to the one that holds its end, in seconds, in every codebook.

    So the frame that holds a beat goes with what begins there, and parts that meet share no frame.
    """

    def frame(edge: float) -> int:
        sample = round(edge * clip.grid.sample_rate)
        return clip.frames if sample == clip.samples else clip.frame_at(sample)

    frames = [(frame(start), frame(end)) for start, end in edges]
    return in_all_codebooks(clip, stretches(clip.frames, frames, circular=clip.around is not None))


def heard(what: str, times: Sequence[float] | None, cure: str, clip: Clip) -> Sequence[float]:
    """`times`, once it is sure that there are any, and that all lie within the clip (to the nearest sample).

    Raises:
        PromptError: they are not known, there are none, or one lies past the end.
    """
    if times is None:
        raise PromptError(f"the prompt needs {what}: {cure}")
    if not times:
        raise PromptError(f"the prompt needs {what}, and none were found in the sound: {cure}")
    if round(times[-1] * clip.grid.sample_rate) > clip.samples:
        raise PromptError(f"{what} at {times[-1]:g} s lie past the end of the clip at {clip.seconds:g} s; {cure}")
    return times
