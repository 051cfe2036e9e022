"""What a prompt may know of a sound: the grid, the length, and what has been heard in it."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from .errors import PromptError
from .types import Beats, Grid


@dataclass(frozen=True)
class Heard:
    """What has been heard in a sound: beats, onsets in seconds, surprise in bits for every frame; None if not heard."""

    beats: Beats | None = None
    onsets: tuple[float, ...] | None = None
    surprise: Float[Tensor, " frame"] | None = None


@dataclass(frozen=True)
class Clip:
    """What hints know of the music: its grid and its length, and what has been heard in it, never its tokens.

    A circular clip has `around` frames, all of one length, so that the last one meets the first. What hints ask for
    by their `needs` must be there; see `Heard`.

    Raises:
        PromptError: the clip has no samples.
    """

    grid: Grid
    samples: int
    around: int | None = None
    beats: Beats | None = None
    onsets: tuple[float, ...] | None = None
    surprise: Float[Tensor, " frame"] | None = None

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

    def frame_at(self, sample: int) -> int:
        """The frame that holds sample number `sample`; it may lie outside the clip."""
        return sample * self.around // self.samples if self.around else sample // self.grid.hop

    @property
    def seconds(self) -> float:
        return self.samples / self.grid.sample_rate
