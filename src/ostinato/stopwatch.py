"""Where the time of a take goes, part by part, beside what the machine's matrix products alone would take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from .evaluate.estimates import Progress, quiet
from .lm import MaskedModel
from .nn.attend import Bias
from .pipeline import Pipeline, load
from .prompts import Prompt
from .resampling import join
from .sampling import Sampler
from .speed import TYPES, matmul_speed, operations
from .types import Audio, Codes, HiddenLogits, Mask

ROUNDS = 3


@dataclass(frozen=True)
class Share:
    """A part of a take: its seconds, and the billions of operations in its matrix products, if it has any."""

    what: str
    seconds: float
    gflop: float = 0.0

    def at(self, limit: float) -> float:
        """Seconds that its matrix products would take at a limit in GFLOP/s."""
        return self.gflop / limit


@dataclass(frozen=True)
class Times:
    """What was measured in one run; `limit` is what square matrix products reach in this precision, in GFLOP/s.

    `first` is a take right after loading, which has to import and touch what later ones find there; `shares` are of the
    fastest of three that followed.
    """

    model: str
    precision: str
    runtime: str
    threads: int
    limit: float
    load_seconds: float
    first: float
    shares: list[Share]

    @property
    def whole(self) -> Share:
        """The whole take, from samples to samples."""
        return Share("all", self.seconds, sum(share.gflop for share in self.shares))

    @property
    def seconds(self) -> float:
        """Those of the whole take."""
        return sum(share.seconds for share in self.shares)


@dataclass
class _Passes:
    """The passes of a model so far: their number, seconds, and billions of operations."""

    count: int = 0
    seconds: float = 0.0
    gflop: float = 0.0

    def named(self, model: str) -> str:
        return f"{model}, {self.count} {'pass' if self.count == 1 else 'passes'}"


def measure_take(
    model: str | Path,
    audio: Audio,
    prompt: Prompt,
    *,
    sampler: Sampler,
    finisher: Sampler,
    precision: str = "fp32",
    runtime: str = "torch",
    watch: Progress = quiet,
) -> Times:
    """What a take of a sound takes, in the order in which a fresh process meets it.

    Raises:
        As `pipeline.load` and `Pipeline.vary`.
    """
    began = time.perf_counter()
    pipeline = load(model, precision=precision, runtime=runtime)
    loaded = time.perf_counter() - began
    takes = []
    for number in range(ROUNDS + 1):
        watch("takes", number, ROUNDS + 1)
        takes.append(_shares(pipeline, audio, prompt, sampler, finisher))
    first, *later = (sum(share.seconds for share in take) for take in takes)
    best = takes[1 + later.index(min(later))]
    encode, decode = _codec_gflop(pipeline, audio)
    return Times(
        model=pipeline.name,
        precision=precision,
        runtime=runtime,
        threads=torch.get_num_threads(),
        limit=matmul_speed(TYPES[precision]),
        load_seconds=loaded,
        first=first,
        shares=[replace(best[0], gflop=encode), *best[1:-1], replace(best[-1], gflop=decode)],
    )


def _shares(pipeline: Pipeline, audio: Audio, prompt: Prompt, sampler: Sampler, finisher: Sampler) -> list[Share]:
    """The parts of one take, in order; the codec's without their operations."""
    ends: dict[str, float] = {}

    def watch(stage: str, done: int, total: int) -> None:
        ends[stage] = time.perf_counter()

    with _counted(pipeline.coarse) as coarse, _counted(pipeline.fine) as fine:
        began = time.perf_counter()
        codes, origin = pipeline.encode(audio)
        encoded = time.perf_counter()
        draft = pipeline.draft(codes, origin, prompt, sampler=sampler, finisher=finisher, watch=watch)
        drafted = time.perf_counter()
        _ = join(pipeline.sound(draft, lambda: [audio]))
        done = time.perf_counter()
    halfway = ends.get("coarse", encoded)
    return [
        Share("encode", encoded - began),
        Share(coarse.named("coarse model"), coarse.seconds, coarse.gflop),
        Share("coarse sampling", halfway - encoded - coarse.seconds),
        Share(fine.named("fine model"), fine.seconds, fine.gflop),
        Share("fine sampling", drafted - halfway - fine.seconds),
        Share("decode and join", done - drafted),
    ]


@contextmanager
def _counted(model: MaskedModel) -> Iterator[_Passes]:
    """Within, the passes of a model are counted and timed."""
    passes, usual = _Passes(), model.hidden_logits

    def timed(codes: Codes, mask: Mask, bias: Bias) -> HiddenLogits:
        began = time.perf_counter()
        logits = usual(codes, mask, bias)
        passes.seconds += time.perf_counter() - began
        passes.count += 1
        rows, _, frames = codes.shape
        others = (rows - 1) * operations(model.config, frames, 0)
        passes.gflop += (others + operations(model.config, frames, len(logits))) / 1e9
        return logits

    model.hidden_logits = timed
    try:
        yield passes
    finally:
        del model.hidden_logits


def _codec_gflop(pipeline: Pipeline, audio: Audio) -> tuple[float, float]:
    """Billions of operations in the products and convolutions of encoding a sound, and of decoding it."""
    with FlopCounterMode(display=False) as encode:
        codes, origin = pipeline.encode(audio)
    with FlopCounterMode(display=False) as decode:
        _ = pipeline.decode(codes, origin)
    return encode.get_total_flops() / 1e9, decode.get_total_flops() / 1e9
