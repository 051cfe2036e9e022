"""The one training loop: steps, a log, held-out scores, checkpoints by atomic rename, and resuming to the bit."""

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, runtime_checkable

from ..config import config, knob
from ..errors import TrainingError
from .state import read_state, write_state

STATE, LOG, BEST = "state.safetensors", "log.jsonl", "best"


@config
class LoopConfig:
    """How long a run lasts and how often it looks up."""

    steps: int = knob("steps in all", default=20000, low=1)
    seed: int = knob("where all chance of the run comes from", default=0, low=0)
    log_every: int = knob("distance of log lines after the first", default=20, unit="steps", low=1)
    validate_every: int = knob("distance of held-out scores", default=400, unit="steps", low=1)
    checkpoint_minutes: float = knob("distance of checkpoints", default=10.0, unit="minutes", low=0)


@runtime_checkable
class Job(Protocol):
    """What is being trained. `step(n)` must depend on its state and `n` alone."""

    def step(self, index: int) -> dict[str, float]:
        """Do step number `index`; returns figures for the log."""
        ...

    def validate(self) -> dict[str, float]:
        """Held-out figures; `score` among them is the one to bring down."""
        ...

    def state(self) -> dict[str, Any]: ...

    def load(self, state: dict[str, Any]) -> None: ...

    def export(self, folder: Path) -> None:
        """Write the averaged weights as a checkpoint."""
        ...


def run(
    job: Job, folder: Path, settings: LoopConfig, *, watch: Callable[[int, dict[str, float]], None] | None = None
) -> None:
    """Train until `settings.steps`, from the run's checkpoint if there is one.

    The first interrupt or termination signal ends the run after its step, with a checkpoint.

    Raises:
        TrainingError: a loss is not finite, or the job says that the run has failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    start, seconds, best = _resume(job, folder)
    with _listening() as stop:
        clock = saved = time.monotonic()
        for index in range(start, settings.steps):
            figures = job.step(index)
            bad = [name for name, value in figures.items() if not math.isfinite(value)]
            if bad:
                raise TrainingError(f"{bad[0]} is not finite at step {index}; resume with a lower learning rate")
            done, now = index + 1, time.monotonic()
            seconds, clock = seconds + now - clock, now
            last = done == settings.steps or stop.is_set()
            if done == 1 or done % settings.log_every == 0 or last:
                _log(folder, watch, {"step": done, "hours": seconds / 3600, **figures})
            if done % settings.validate_every == 0 or done == settings.steps:
                scores = job.validate()
                _log(folder, watch, {"step": done, "hours": seconds / 3600, **scores})
                if scores["score"] < best:
                    best = scores["score"]
                    job.export(folder / BEST)
            if last or now - saved >= 60 * settings.checkpoint_minutes:
                write_state(folder / STATE, {"step": done, "seconds": seconds, "best": best, "job": job.state()})
                saved = now
            if stop.is_set():
                return


def _resume(job: Job, folder: Path) -> tuple[int, float, float]:
    if not (folder / STATE).is_file():
        return 0, 0.0, math.inf
    state = read_state(folder / STATE)
    job.load(state["job"])
    return state["step"], state["seconds"], state["best"]


def _log(folder: Path, watch: Callable[[int, dict[str, float]], None] | None, line: dict[str, float]) -> None:
    with (folder / LOG).open("a", encoding="utf-8") as file:
        _ = file.write(json.dumps({key: round(value, 5) for key, value in line.items()}) + "\n")
    if watch is not None:
        watch(int(line["step"]), line)


@contextmanager
def _listening() -> Iterator[threading.Event]:
    """Within, the first interrupt or termination signal sets the event; a second one does what it always does."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    usual = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in usual.items():
            _ = signal.signal(number, handler)

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        restore()

    for number in usual:
        _ = signal.signal(number, end)
    try:
        yield stop
    finally:
        restore()


def rate(index: int, steps: int, *, warm_up: int, floor: float = 0.05) -> float:
    """The learning rate at a step, as a share of its peak: a linear rise, then half a cosine down to `floor`."""
    if index < warm_up:
        return (index + 1) / warm_up
    along = (index - warm_up) / max(1, steps - warm_up)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, along)))
