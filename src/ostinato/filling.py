"""The hidden cells of a grid of any length are filled: stage by stage, window by window, within a budget."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from .budget import Budget, remembered
from .errors import ConfigError
from .lm import MaskedModel
from .nn.attend import Bias
from .nn.quantize import ResidualQuantizer
from .plan import Windows, batches
from .sampling import Noise, Sampler, derive
from .types import Codes, HiddenLogits, Hurry, Mask, Predict, Watch

SPAN, OVERLAP = 576, 144
FINE_SPAN, FINE_OVERLAP = 192, 48  # fine models are trained on 172 frames, and foretell worse in longer windows

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Stage:
    """Part of the way from hidden cells to filled ones: codebooks `part`, by one model, with one sampler.

    `least` and `later` are what other stages need after each pass of this one, measured in such passes over as many
    frames: at the least, and by the steps they were given, if they have any.
    """

    name: str
    model: MaskedModel
    sampler: Sampler
    part: slice
    seed: int
    quantizer: ResidualQuantizer
    least: float = 0.0
    later: float = 0.0

    def predict(self, given: Codes, bias: Bias) -> Predict:
        """The model as a sampler sees it, which need not know of the codebooks below, over frames of this bias."""

        def predict(codes: Codes, mask: Mask) -> HiddenLogits:
            seen = torch.zeros_like(given, dtype=torch.bool)
            return self.model.hidden_logits(torch.cat([given, codes], dim=1), torch.cat([seen, mask], dim=1), bias)

        return predict

    def coded_mean(self, codes: Codes, mask: Mask, likely: HiddenLogits) -> Codes:
        """What the codec makes of what hidden cells are on average."""
        there = self.quantizer.levels[0].codebook.device
        coded = self.quantizer.coded_mean(codes.to(there), mask.to(there), likely.to(there), self.part.start)
        return coded.to(codes)


def windows_of(model: MaskedModel, frames: int, *, circular: bool = False) -> Windows:
    """The windows in which a model sees a grid: a fine one, which is given the coarse codebooks, needs less around."""
    span, overlap = (FINE_SPAN, FINE_OVERLAP) if model.config.given else (SPAN, OVERLAP)
    return Windows(frames, span, overlap, circular=circular)


def stages(
    quantizer: ResidualQuantizer, coarse: MaskedModel, fine: MaskedModel, how: dict[str, Sampler], seed: int
) -> list[Stage]:
    """The coarse codebooks first, then the fine ones given those; `how` has a sampler for each, by name."""
    given, last = fine.config.given, fine.config.codebooks
    pass_of_fine = sum(p.numel() for p in fine.parameters()) / sum(p.numel() for p in coarse.parameters())
    later = pass_of_fine * getattr(how["fine"], "steps", 0) / getattr(how["coarse"], "steps", 1)
    return [
        Stage("coarse", coarse, how["coarse"], slice(0, given), derive(seed, 0), quantizer, pass_of_fine, later),
        Stage("fine", fine, how["fine"], slice(given, last), derive(seed, 1), quantizer),
    ]


@torch.no_grad()
def fill(
    work: Sequence[Stage],
    codes: Codes,
    mask: Mask,
    *,
    circular: bool = False,
    turned: int = 0,
    batch: int = 1,
    budget: Budget | None = None,
    watch: Progress | None = None,
) -> Codes:
    """Codes with every hidden cell filled.

    Args:
        work: the stages, in order.
        codes: one row a side; what lies under the mask does not matter.
        mask: True where cells are hidden.
        circular: the last frame meets the first.
        turned: by how many frames a circle was turned; what it gets is turned with it.
        batch: windows filled at once, as memory allows; with a deadline always one. The result is the same for any,
            but for the place of a cut.
        budget: what it may cost.
        watch: called as `watch(stage, passes done, passes in all)`.

    Raises:
        ConfigError: `batch` is below 1, or what is not circular was turned.
    """
    if turned and not circular:
        raise ConfigError(f"only a loop can be turned, got turned={turned} for a sound with two ends")
    spent = budget or Budget()
    came_from, there = codes.device, work[0].model.hidden.device
    codes, mask = codes.roll(-turned, -1).to(there), mask.roll(-turned, -1).to(there)
    cuts = [windows_of(stage.model, codes.shape[-1], circular=circular) for stage in work]
    for stage, windows in zip(work, cuts, strict=True):
        larger = cuts[-1].work / windows.work
        scaled = replace(stage, least=stage.least * larger, later=stage.later * larger)
        _fill_stage(scaled, codes, mask, windows, 1 if spent.timed else batch, spent, watch)
    return codes.roll(turned, -1).to(came_from)


def order(part: slice, mask: Mask, windows: Windows, most: int = 1) -> list[list[int]]:
    """The starts of the windows in which codebooks `part` are filled, batch by batch."""
    return batches(windows, mask[:, part].any(1).any(0), mask[:, : part.stop].all(1).any(0), most)


def _fill_stage(
    stage: Stage, codes: Codes, mask: Mask, windows: Windows, most: int, budget: Budget, watch: Progress | None
) -> None:
    """Fill a stage's codebooks, in place; each window sees what those before it filled."""
    part = stage.part
    whole_circle = windows.circular and windows.frames == windows.length
    bias = stage.model.bias(windows.length, circular=whole_circle)
    jobs = [_Job(stage, bias, codes, mask, windows, starts) for starts in order(part, mask, windows, most)]
    if jobs and budget.timed:
        jobs[0].ask = remembered(jobs[0].ask)
    sampler = budget.plan(
        stage.name,
        stage.sampler,
        jobs[0].run if jobs else _nothing,
        stretches=len(jobs),
        least=stage.least,
        later=stage.later,
    )
    done, total = 0, sum(sampler.passes(job.hidden()) for job in jobs)

    def tell(step: int, _codes: Codes, _mask: Mask) -> None:
        nonlocal done
        done += 1
        if watch is not None:
            watch(stage.name, done, total)

    for number, job in enumerate(jobs):
        after = len(jobs) - number - 1 + stage.least * len(jobs)

        def hurry(after: float = after) -> bool:
            return budget.hurry(after)

        job.ask = budget.counted(job.ask)
        job.keep(job.run(sampler, tell, hurry))
    mask[:, part] = False


def _nothing(sampler: Sampler) -> None:
    """What a stage does that has nothing to fill."""


class _Job:
    """The windows of one batch, as rows: for each window one row a side."""

    def __init__(
        self,
        stage: Stage,
        bias: Float[Tensor, "head window window"],
        codes: Codes,
        mask: Mask,
        windows: Windows,
        starts: list[int],
    ) -> None:
        self._stage, self._bias, self._codes, self._mask = stage, bias, codes, mask
        self._places = [windows.places(start) for start in starts]
        seeds = [derive(stage.seed, side) for side in range(len(codes))]
        self._noise = Noise(
            seeds * len(starts),
            first_frame=[start for start in starts for _ in seeds],
            period=windows.frames if windows.circular else None,
        )
        self.ask: Predict = self._predict

    def _predict(self, codes: Codes, mask: Mask) -> HiddenLogits:
        given = self._codes_at(slice(self._stage.part.start))
        return self._stage.predict(given, self._bias)(codes, mask)

    def _codes_at(self, part: slice) -> Codes:
        return torch.cat([self._codes[:, part, places] for places in self._places]).long()

    def hidden(self) -> Mask:
        return torch.cat([self._mask[:, self._stage.part, places] for places in self._places])

    def run(self, sampler: Sampler, watch: Watch | None = None, hurry: Hurry | None = None) -> Codes:
        codes, coded = self._codes_at(self._stage.part), self._stage.coded_mean
        return sampler(self.ask, codes, self.hidden(), self._noise, watch, hurry, coded)

    def keep(self, rows: Codes) -> None:
        """Write the filled rows into the grid; none of their cells is hidden from now on."""
        for places, filled in zip(self._places, rows.split(len(self._codes)), strict=True):
            self._codes[:, self._stage.part, places] = filled.to(self._codes)
            self._mask[:, self._stage.part, places] = False
