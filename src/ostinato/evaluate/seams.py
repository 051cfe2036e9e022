"""Whether joins can be heard: those of the windows of a long take, and the one where a loop meets itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ConfigError
from ..filling import order, windows_of
from ..metrics import seam
from ..pipeline import Pipeline
from ..plan import joins
from ..prompts import Prompt
from ..types import Audio, Mask

TURNS = 12


@dataclass(frozen=True)
class SeamScore:
    """How joins of one kind sound: medians of what `metrics.seam` measures, 1 as anywhere, and how many there were."""

    what: str
    joins: int
    flux: float
    jump: float


def window_seams(
    pipeline: Pipeline, music: Sequence[Audio], prompt: Prompt, seed: int, watch: Callable[[str, int, int], None]
) -> list[SeamScore]:
    """Where the windows of the coarse model meet, in takes and, for comparison, in the codec's reconstruction.

    Raises:
        ConfigError: the music is too short for more than one window.
    """
    found: dict[str, list[Tensor]] = {"windows, take": [], "the same places, reconstruction": []}
    for number, audio in enumerate(music):
        take = pipeline.vary(audio, prompt, seed=seed + number, redraw=True)
        frames = _meetings(pipeline, take.mask)
        if not frames:
            raise ConfigError(f"music of {audio.seconds:g} s has no place where windows meet; choose longer passages")
        places = [frame * pipeline.grid.hop * audio.sample_rate // pipeline.grid.sample_rate for frame in frames]
        for kind, sound in zip(found, (take.audio, pipeline.decode(*pipeline.encode(audio))), strict=True):
            found[kind].append(_measured(sound, places))
        watch("windows", number + 1, len(music))
    return [_score(kind, each) for kind, each in found.items()]


def loop_seams(
    pipeline: Pipeline, loop: Audio, prompt: Prompt, seed: int, watch: Callable[[str, int, int], None]
) -> list[SeamScore]:
    """Where a loop meets itself, cut open at 12 places: takes of it as a loop, takes as a line, and itself."""
    found: dict[str, list[Tensor]] = {"loop, take": [], "loop, take as a line": [], "loop, input": []}
    for turn in range(TURNS):
        audio = Audio(loop.wave.roll(-turn * loop.samples // TURNS, -1), loop.sample_rate)
        for kind, circular in zip(found, (True, False, None), strict=True):
            sound = audio
            if circular is not None:
                sound = pipeline.vary(audio, prompt, seed=seed + turn, redraw=True, loop=circular).audio
            found[kind].append(_measured(sound, [0]))
        watch("loops", turn + 1, TURNS)
    return [_score(kind, each) for kind, each in found.items()]


def _meetings(pipeline: Pipeline, mask: Mask) -> list[int]:
    windows = windows_of(pipeline.coarse, mask.shape[-1])
    return joins(windows, order(slice(pipeline.fine.config.given), mask, windows))


def _measured(audio: Audio, places: Sequence[int]) -> Tensor:
    """Flux and jump at each place, in each channel."""
    return torch.stack(seam(audio.wave[0], places, audio.sample_rate, circular=places[0] == 0)).flatten(1)


def _score(what: str, measured: Sequence[Tensor]) -> SeamScore:
    values = torch.cat(list(measured), dim=1)
    flux, jump = values.median(1).values.tolist()
    return SeamScore(what, values.shape[1], flux, jump)
