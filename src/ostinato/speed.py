"""How fast a model is here: codec, passes, a whole take, loading and memory, beside the published way of working."""

import math
import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from .checkpoint import load_model, save
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
SECONDS, FINE_SECONDS = 10.0, 3.0
HIDDEN = 2 / math.pi
"""The share of cells that a cosine schedule has hidden on average."""
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
class Speed:
    """What was measured in one run.

    `limit` is what square matrix products reach in this precision, in GFLOP/s. `load_mib` and `peak_mib` are the most
    memory that the process has had once the model was loaded, and once a take was made; what is mapped from files
    and has been touched counts. `agreement` is the share of hidden cells whose likeliest token is that of the published
    way in fp32, and `error` the largest difference of their logits, for each model.
    """

    model: str
    precision: str
    threads: int
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
    product = torch._int_mm if dtype == torch.int8 else torch.matmul
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
    model: str | Path, precision: str = "fp32", *, steps: int = 36, finish: int = 2, watch: Progress = quiet
) -> Speed:
    """What a model takes, in the order in which a fresh process meets it.

    Args:
        model: its name or folder.
        precision: of its models.
        steps: passes of the coarse model in a take.
        finish: passes of the fine one.
        watch: called with (what, done, total).

    Raises:
        CheckpointError, ConfigError: as `pipeline.load`.
    """
    began = time.perf_counter()
    pipeline = load(model, precision=precision)
    load_seconds, load_mib = time.perf_counter() - began, peak_mib()
    limit = matmul_speed(TYPES[precision])
    watch("take", 0, 3)
    codes, encoding, filling, decoding = _take(pipeline, steps, finish)
    peak = peak_mib()
    watch("the codec, the published way", 1, 3)
    slow_in, slow_out = _published_codec(pipeline.codec, codes)
    watch("passes", 2, 3)
    coarse, agreed, error = _pass("coarse", pipeline, SECONDS, limit)
    fine, fine_agreed, fine_error = _pass("fine", pipeline, FINE_SECONDS, limit)
    slow = published_steps(coarse, fine, steps, finish)
    whole = None if slow_in is None or slow_out is None else slow_in + slow + slow_out
    return Speed(
        model=pipeline.name,
        precision=precision,
        threads=torch.get_num_threads(),
        limit=limit,
        load_seconds=load_seconds,
        load_mib=load_mib,
        peak_mib=peak,
        parts=[
            Part(f"encode {SECONDS:g} s", encoding, slow_in),
            coarse,
            fine,
            Part(f"decode {SECONDS:g} s", decoding, slow_out),
            Part(f"{steps} coarse and {finish} fine steps", filling, slow),
            Part(f"whole take of {SECONDS:g} s", encoding + filling + decoding, whole),
        ],
        agreement={"coarse": agreed, "fine": fine_agreed},
        error={"coarse": error, "fine": fine_error},
    )


def timed(work: Callable[[], Result], times: int = 3) -> tuple[float, Result]:
    """The least seconds that a piece of work takes, after a first time that does not count; and what it gives."""
    result, best = work(), math.inf
    for _ in range(times):
        began = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - began)
    return best, result


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


def published_steps(coarse: Part, fine: Part, steps: int, finish: int) -> float:
    """Seconds of the passes of a take made the published way: fine ones in chunks of 3 s, and all else for nothing."""
    chunks = math.ceil(SECONDS / FINE_SECONDS)
    return steps * (coarse.published or 0) + finish * chunks * (fine.published or 0)


def _take(pipeline: Pipeline, steps: int, finish: int) -> tuple[Codes, float, float, float]:
    """The codes of 10 s, and seconds to encode them, to fill what is hidden, and to decode."""
    rate = pipeline.grid.sample_rate
    chance = torch.Generator().manual_seed(0)
    audio = Audio(0.1 * torch.randn(1, 1, round(SECONDS * rate), generator=chance), rate)
    how: dict[str, Any] = {"sampler": Confidence(steps=steps), "finisher": Confidence(steps=finish)}
    times = [time.perf_counter()]
    codes, origin = pipeline.encode(audio)
    times.append(time.perf_counter())
    draft = pipeline.draft(codes, origin, Prompt.of(keep=["periodic:period=7"]), **how)
    times.append(time.perf_counter())
    _ = join(pipeline.sound(draft, [audio]))
    times.append(time.perf_counter())
    return codes, times[1] - times[0], times[2] - times[1], times[3] - times[2]


def _published_codec(codec: Codec, codes: Codes) -> tuple[float | None, float | None]:
    """Seconds to encode and to decode the published way, which only VampNet's codec has."""
    if not isinstance(codec, LAC):
        return None, None
    whole = torch.zeros(1, 1, codes.shape[-1] * codec.grid.hop)
    times = [time.perf_counter()]
    _ = codec.quantizer.encode(published_wave(codec.encoder, whole).transpose(1, 2))
    times.append(time.perf_counter())
    _ = published_wave(codec.decoder, codec.quantizer.decode(codes).transpose(1, 2))
    times.append(time.perf_counter())
    return times[1] - times[0], times[2] - times[1]


def _pass(name: str, pipeline: Pipeline, seconds: float, limit: float) -> tuple[Part, float, float]:
    """One pass of a model over so many seconds; how often it agrees with the published way, and its largest error."""
    model: MaskedModel = getattr(pipeline, name)
    codes, mask = _question(model.config, pipeline.grid.frames(seconds))
    hidden = mask[:, model.config.given :]
    bias = model.bias(codes.shape[-1])
    took, logits = timed(lambda: model.hidden_logits(codes, mask, bias))
    exact = model if pipeline.precision == "fp32" else load_model(pipeline.folder / name)
    slow, wanted = timed(lambda: published_pass(exact, codes, mask), 2)
    got, right = logits[hidden], wanted[hidden]
    share = operations(model.config, codes.shape[-1], int(hidden.sum())) / took / 1e9 / limit
    agreement = float((got.argmax(-1) == right.argmax(-1)).float().mean())
    return Part(f"{name} pass, {seconds:g} s", took, slow, share), agreement, float((got - right).abs().max())


def _question(config: LMConfig, frames: int) -> tuple[Codes, Mask]:
    """Random codes, of which as many are hidden as halfway through a take."""
    chance = torch.Generator().manual_seed(0)
    shape = (1, config.codebooks, frames)
    mask = torch.rand(shape, generator=chance) < HIDDEN
    mask[:, : config.given] = False
    return torch.randint(config.vocabulary, shape, generator=chance), mask
