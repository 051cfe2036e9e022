"""Budgets: how much a take may cost, in seconds or passes, and when to fill what is left at once."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .config import knobs
from .errors import ConfigError
from .sampling import Confidence, Sampler
from .types import Codes, HiddenLogits, Mask, Predict

EVEN = 0.9  # of the time is planned where another stage follows; no machine runs evenly


class Budget:
    """What one take may cost; the clock starts when it is made.

    With a deadline it tries one pass of each model, gives the sampler as many steps as fit (if `capped`, no more than
    it has), and cuts the work short where the machine turns out slower. With a cut, that pass of the models (counted
    from 1 over the whole take) and each later one fills all that it sees hidden; `stop` cuts at the next pass. After
    the work `chosen` holds the samplers by stage and `cut` the pass, if any: with these the take can be made again
    without a clock.

    Args:
        seconds: until the take must be there; None is as long as it takes.
        cut: the pass from which on everything is filled; None is as the samplers have it.
        capped: with a deadline, a sampler never gets more steps than it has.
        clock: seconds since some time.

    Raises:
        ConfigError: the deadline is not above 0 s, or the cut below 1.
    """

    def __init__(
        self,
        seconds: float | None = None,
        *,
        cut: int | None = None,
        capped: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if seconds is not None and not 0 < seconds < float("inf"):
            raise ConfigError(f"a deadline must be more than 0 s, got {seconds:g} s")
        if cut is not None and cut < 1:
            raise ConfigError(f"a cut must be at pass 1 or later, got {cut}")
        self.clock = clock
        self.cut = cut
        self.capped = capped
        self.chosen: dict[str, Sampler] = {}
        self._until = None if seconds is None else clock() + seconds
        self.stopped = False
        self._passes = 0
        self._cost = 0.0

    @property
    def timed(self) -> bool:
        """Whether there is a deadline."""
        return self._until is not None

    @property
    def left(self) -> float:
        """Seconds until the deadline, less what is reserved; infinite without one."""
        return float("inf") if self._until is None else self._until - self.clock()

    def stop(self) -> None:
        """Cut the work short at the next pass. May be called at any time, and by a signal handler."""
        self.stopped = True

    def reserve(self, seconds: float) -> None:
        """Set time aside for what comes after all passes."""
        if self._until is not None:
            self._until -= seconds

    def plan(
        self,
        stage: str,
        sampler: Sampler,
        once: Callable[[Sampler], object],
        *,
        stretches: int,
        least: float = 0.0,
        later: float = 0.0,
    ) -> Sampler:
        """The sampler with as many steps as fit, which `chosen` then holds too.

        Args:
            stage: a name for this part of the work.
            sampler: its steps are replaced if there is a deadline, and if it has any.
            once: fills one stretch with the sampler that it is given; timed with a sampler of one step.
            stretches: how many there are to fill.
            least: seconds that later stages need at the least for each second of one step of this one.
            later: seconds that they shall have for each second of all steps of this one.
        """
        if self.timed and stretches:
            limits = knobs(type(sampler)).get("steps")
            settings: Any = sampler
            began = self.clock()
            _ = once(Confidence(steps=1) if limits is None else dataclasses.replace(settings, steps=1))
            self._cost = self.clock() - began
            if limits is not None:
                step = max(self._cost * stretches, 1e-9)
                fits = self.left * (EVEN if least or later else 1) / step
                fits = fits / (1 + later) if later else fits - least
                most = settings.steps if self.capped else limits.high or fits
                sampler = dataclasses.replace(settings, steps=int(max(1, min(fits, most))))
        self.chosen[stage] = sampler
        return sampler

    def counted(self, predict: Predict) -> Predict:
        """`predict`, with its passes counted."""

        def count(codes: Codes, mask: Mask) -> HiddenLogits:
            self._passes += 1
            return predict(codes, mask)

        return count

    def hurry(self, after: float) -> bool:
        """Whether the latest pass must fill all that is hidden, when at least `after` passes are still to follow it."""
        if self.cut is None and (self.stopped or self.left < self._cost * (1 + after)):
            self.cut = self._passes
        return self.cut is not None and self._passes >= self.cut


def remembered(predict: Predict) -> Predict:
    """`predict` that knows its latest answer, so that asking the same again costs nothing."""
    asked: list[Tensor] = []
    said: list[HiddenLogits] = []

    def answer(codes: Codes, mask: Mask) -> HiddenLogits:
        if not said or not (torch.equal(asked[0], codes) and torch.equal(asked[1], mask)):
            asked[:], said[:] = [codes, mask], [predict(codes, mask)]
        return said[0]

    return answer
