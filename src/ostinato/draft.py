"""A take before it is heard: its tokens, which of them are new, and what its sound is made with."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from .clip import Clip
from .codesfile import Origin
from .errors import PromptError
from .hints import Hint
from .splice import Turn, carried, turns
from .types import Audio, Codes, Mask, Take


@dataclass(frozen=True)
class Draft:
    """The tokens of a take, and all but its sound; cells that are `locked` stay in every take made from this one."""

    codes: Codes
    mask: Mask
    origin: Origin
    seed: int
    settings: dict[str, Any]
    model: str
    locked: Bool[Tensor, "codebook frame"] | None = None

    def take(self, audio: Audio) -> Take:
        """The take, once it has a sound."""
        return Take(
            audio,
            self.codes.long(),
            self.mask,
            self.seed,
            self.settings,
            self.model,
            gain=self.origin.gain,
            codec=self.origin.hash,
            locked=self.locked,
        )


def cells(clip: Clip, hints: Iterable[Hint]) -> Bool[Tensor, "codebook frame"]:
    """The cells of a clip that any of the hints speaks of.

    Raises:
        PromptError: a hint asks for what the clip does not have.
    """
    found = torch.zeros(clip.grid.codebooks, clip.frames, dtype=torch.bool)
    for hint in hints:
        found = found | hint(clip)
    return found


def unlocked(
    hidden: Bool[Tensor, "codebook frame"], locked: Bool[Tensor, "codebook frame"]
) -> Bool[Tensor, "codebook frame"]:
    """What is hidden and not locked.

    Raises:
        PromptError: the locks leave nothing of what is hidden.
    """
    free = hidden & ~locked
    if bool(hidden.any()) and not bool(free.any()):
        raise PromptError("all that the prompt hides is locked; hide something else, or unlock")
    return free


def voices(hidden: Bool[Tensor, "codebook frame"], origin: Origin) -> list[Turn]:
    """Whose samples each stretch of a sound has where these cells are not the original's; see `splice`."""
    last = hidden.shape[-1]
    over, under = origin.grid.hop * origin.sample_rate, origin.grid.sample_rate
    if origin.circular:
        over, under = origin.samples, last

    def edge(frame: int) -> int:
        return origin.samples if frame == last else -(-frame * over // under)

    frames = carried(hidden, circular=origin.circular)
    return turns(frames, edge, over // (2 * under), circular=origin.circular)
