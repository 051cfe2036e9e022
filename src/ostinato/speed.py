"""How fast a model is here: codec, passes, a whole take, loading and memory, beside the published way of working."""

import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from .checkpoint import load_model, read_codec_config, save
from .codec import Codec
from .errors import OstinatoError
from .evaluate.estimates import Progress, quiet
from .interop.published_pass import published_pass, published_wave
from .lac import LAC, LACConfig
from .lm import LMConfig, MaskedModel
from .pipeline import PARTS, Pipeline, load
from .prompts import Prompt
from .resampling import join
from .sampling import Confidence
from .types import Audio, Codes, Mask

SIZES: dict[str, Any] = {
    "codec": LACConfig(),
    "coarse": LMConfig(codebooks=4, width=1280, layers=20, heads=20),
    "fine": LMConfig(codebooks=14, given=4, width=1280, layers=16, heads=20),
}
"""The published sizes; the width of the codec's decoder is the default of the published code."""
SECTIONS = ("take", "codec", "passes")
CHUNK = 3.0
"""Seconds that the published way has its fine model see at once."""
ROUNDS = 3
HIDDEN = 2 / math.pi
"""The share of cells that a cosine schedule has hidden on average."""
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}
"""Processor seconds, of all threads together, tell more on a machine that others use, too."""
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}

Result = TypeVar("Result")


@dataclass(frozen=True)
class Part:
    """Seconds that a part of the work takes here and done the published way; its share of the limit, if it has one."""

    what: str
    seconds: float
    published: float | None = None
    share: float | None = None

    @property
    def ratio(self) -> float | None:
        """How many times faster it is than the published way."""
        return None if self.published is None else self.published / self.seconds


@dataclass(frozen=True)
class Pass:
    """A pass of a model, beside the published way in fp32.

    `agreement` is the share of hidden cells in which the same token is likeliest, `error` the largest difference of
    their logits.
    """

    part: Part
    agreement: float
    error: float


@dataclass(frozen=True)
class Speed:
    """What was measured in one run.

    `limit` is what square matrix products reach in this precision, in GFLOP/s. `load_mib` and `peak_mib` are the most
    memory that the process has had once the model was loaded, and once a take was made; what is mapped from files
    and has been touched counts. `agreement` and `error` are those of `Pass`, by model.
    """

    model: str
    precision: str
    runtime: str
    threads: int
    clock: str
    limit: float
    load_seconds: float
    load_mib: float | None
    peak_mib: float | None
    parts: list[Part]
    agreement: dict[str, float]
    error: dict[str, float]


def matmul_speed(dtype: torch.dtype, *, size: int = 1024, seconds: float = 0.4, device: str = "cpu") -> float:
    """Billions of multiplications and additions a second in square matrix products of `size`: the best of many."""
    left, right = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(2))
    product: Any = torch.ops.aten._int_mm if dtype == torch.int8 else torch.matmul
    _ = product(left, right)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        _ = float(product(left, right)[0, 0])
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def write_twin(folder: Path) -> None:
    """Write a model of the published sizes with random weights, the same every time."""
    for part, settings in SIZES.items():
        with torch.random.fork_rng():
            _ = torch.manual_seed(0)
            made = LAC(settings) if part == PARTS[0] else MaskedModel(settings)
            if isinstance(made, MaskedModel):
                _ = made.vectors.normal_()
        save(folder / part, settings, made)


def make_twin(folder: Path) -> None:
    """`write_twin` in a process of its own, so that its memory is not this one's.

    Raises:
        OstinatoError: there is not the space for 2.6 GB on the disk, or the memory.
    """
    maker = multiprocessing.get_context("spawn").Process(target=write_twin, args=(folder,))
    maker.start()
    maker.join()
    if maker.exitcode:
        raise OstinatoError(f"random weights could not be written to {folder}; they need 2.6 GB")


@torch.inference_mode()
def measure(
    model: str | Path,
    precision: str = "fp32",
    *,
    runtime: str = "torch",
    clock: str = "wall",
    sections: Collection[str] = SECTIONS,
    seconds: float = 10.0,
    steps: int = 36,
    finish: int = 2,
    watch: Progress = quiet,
) -> Speed:
    """What a model takes, in the order in which a fresh process meets it.

    Args:
        model: its name or folder.
        precision: of its models.
        runtime: what computes what is in fp32.
        clock: what seconds are counted, of `CLOCKS`.
        sections: what is measured, of `SECTIONS`; of a take only with the codec also the published way as a whole.
        seconds: length of the sound.
        steps: passes of the coarse model in a take.
        finish: passes of the fine one.
        watch: called with (what, done, total).

    Raises:
        CheckpointError, ConfigError: as `pipeline.load`.
    """
    now = CLOCKS[clock]
    load_seconds, pipeline = timed(lambda: load(model, precision=precision, runtime=runtime), now)
    load_mib = peak_mib()
    limit = matmul_speed(TYPES[precision])
    take = slow = codec = None
    passes: dict[str, Pass] = {}
    if "take" in sections:
        watch("take", 0, 4)
        take = _take(pipeline, seconds, steps, finish, now)
    peak = peak_mib()
    if "codec" in sections:
        watch("codec", 1, 4)
        codec = _codec(pipeline.codec, seconds, now)
    if "passes" in sections:
        watch("passes", 2, 4)
        lengths = {"coarse": seconds, "fine": min(seconds, CHUNK)}
        passes = {name: _pass(name, pipeline, length, limit, now) for name, length in lengths.items()}
    if take is not None:
        watch("take, the published way", 3, 4)
        slow = _published_steps(pipeline.folder, seconds, steps, finish, now)
    return Speed(
        model=pipeline.name,
        precision=precision,
        runtime=runtime,
        threads=torch.get_num_threads(),
        clock=clock,
        limit=limit,
        load_seconds=load_seconds,
        load_mib=load_mib,
        peak_mib=peak,
        parts=[
            *(codec or []),
            *(each.part for each in passes.values()),
            *_whole(take, slow, codec, f"{steps} coarse and {finish} fine steps"),
        ],
        agreement={name: each.agreement for name, each in passes.items()},
        error={name: each.error for name, each in passes.items()},
    )


def _whole(take: tuple[float, float] | None, slow: float | None, codec: list[Part] | None, steps: str) -> list[Part]:
    """A take's steps and all of it; the published way is its steps and the codec, and all else comes for nothing."""
    if take is None:
        return []
    around = [part.published for part in codec or [] if part.published is not None]
    whole = slow + sum(around) if slow is not None and around else None
    return [Part(steps, take[0], slow), Part("whole take", take[1], whole)]


def timed(work: Callable[[], Result], now: Callable[[], float]) -> tuple[float, Result]:
    """The seconds that a piece of work takes, and what it gives."""
    began = now()
    result = work()
    return now() - began, result


def peak_mib() -> float | None:
    """The most memory this process has had, in MiB; none where the platform does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def operations(config: LMConfig, frames: int, hidden: int) -> int:
    """Multiplications and additions that one pass needs: linear layers, attention, and logits of `hidden` cells."""
    linear = 2 * frames * 10 * config.width**2
    return config.layers * (linear + 4 * frames**2 * config.width) + 2 * hidden * config.width * config.vocabulary


def _take(pipeline: Pipeline, seconds: float, steps: int, finish: int, now: Callable[[], float]) -> tuple[float, float]:
    """Seconds of all steps, and of the whole take from samples to samples."""
    rate = pipeline.grid.sample_rate
    audio = Audio(_noise(round(seconds * rate))[:, None], rate)
    how: dict[str, Any] = {"sampler": Confidence(steps=steps), "finisher": Confidence(steps=finish)}
    began = now()
    codes, origin = pipeline.encode(audio)
    encoded = now()
    draft = pipeline.draft(codes, origin, Prompt.of(keep=["periodic:period=7"]), **how)
    filled = now()
    _ = join(pipeline.sound(draft, lambda: [audio]))
    return filled - encoded, now() - began


def _published_steps(folder: Path, seconds: float, steps: int, finish: int, now: Callable[[], float]) -> float:
    """Seconds of a take's passes one after the other, done the published way: fine ones in chunks of 3 s."""
    grid, chunks = read_codec_config(folder / PARTS[0]).grid, math.ceil(seconds / CHUNK)
    total = 0.0
    for name, length, count in (("coarse", seconds, steps), ("fine", min(seconds, CHUNK), finish * chunks)):
        model = load_model(folder / name)
        codes, mask = _question(model.config, grid.frames(length))
        for _ in range(count):
            total += timed(partial(published_pass, model, codes, mask), now)[0]
    return total


def _codec(codec: Codec, seconds: float, now: Callable[[], float]) -> list[Part]:
    """To encode and to decode; VampNet's codec in turns with the published way, which takes a sound as a whole."""
    limit = matmul_speed(torch.float32)
    signal = _noise(codec.grid.frames(seconds) * codec.grid.hop)
    whole = signal[:, None]
    best: dict[str, float] = {}

    def note(what: str, work: Callable[[], Result]) -> Result:
        took, result = timed(work, now)
        best[what] = min(best.get(what, math.inf), took)
        return result

    for _ in range(ROUNDS):
        codes = note("encode", lambda: codec.encode(signal))
        _ = note("decode", lambda codes=codes: codec.decode(codes, signal.shape[-1]))
        if isinstance(codec, LAC):
            features = codec.quantizer.decode(codes).transpose(1, 2)
            _ = note(
                "slow encode", lambda: codec.quantizer.encode(published_wave(codec.encoder, whole).transpose(1, 2))
            )
            _ = note("slow decode", lambda features=features: published_wave(codec.decoder, features))
    return [
        Part(f"{what} {seconds:g} s", best[what], best.get(f"slow {what}"), work and work / best[what] / 1e9 / limit)
        for what, work in zip(("encode", "decode"), _work(codec, seconds), strict=True)
    ]


def _work(codec: Codec, seconds: float) -> tuple[float | None, float | None]:
    """Multiplications and additions in the layers of VampNet's codec, counted over a second."""
    if not isinstance(codec, LAC):
        return None, None
    counts, x = [], _noise(codec.grid.frames(1.0) * codec.grid.hop)[:, None]
    for part in (codec.encoder, codec.decoder):
        with FlopCounterMode(display=False) as counter:
            x = published_wave(part, x)
        counts.append(counter.get_total_flops() * seconds)
    return counts[0], counts[1]


def _pass(name: str, pipeline: Pipeline, seconds: float, limit: float, now: Callable[[], float]) -> Pass:
    """One pass of a model over so many seconds, in turns with the published way."""
    model: MaskedModel = getattr(pipeline, name)
    codes, mask = _question(model.config, pipeline.grid.frames(seconds))
    hidden, bias = mask[:, model.config.given :], model.bias(codes.shape[-1])
    exact = load_model(pipeline.folder / name)
    took = slow = math.inf
    got = right = torch.empty(0)
    for _ in range(ROUNDS):
        again, got = timed(lambda: model.hidden_logits(codes, mask, bias), now)
        slow_again, wanted = timed(lambda: published_pass(exact, codes, mask), now)
        took, slow, right = min(took, again), min(slow, slow_again), wanted[hidden]
    share = operations(model.config, codes.shape[-1], int(hidden.sum())) / took / 1e9 / limit
    return Pass(
        part=Part(f"{name} pass, {seconds:g} s", took, slow, share),
        agreement=float((got.argmax(-1) == right.argmax(-1)).float().mean()),
        error=float((got - right).abs().max()),
    )


def _question(config: LMConfig, frames: int) -> tuple[Codes, Mask]:
    """Random codes, of which as many are hidden as halfway through a take."""
    chance = torch.Generator().manual_seed(0)
    shape = (1, config.codebooks, frames)
    mask = torch.rand(shape, generator=chance) < HIDDEN
    mask[:, : config.given] = False
    return torch.randint(config.vocabulary, shape, generator=chance), mask


def _noise(samples: int) -> Float[Tensor, "1 sample"]:
    return 0.1 * torch.randn(1, samples, generator=torch.Generator().manual_seed(0))
