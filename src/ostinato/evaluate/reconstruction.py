"""How well the codec keeps a sound, level by level, beside Opus and beside the sound itself."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch

from ..codec import Codec
from ..data import songs
from ..errors import ConfigError
from ..metrics import perplexity
from ..types import Audio, Codes
from . import opus
from .estimates import Estimate, Progress, estimate, quiet
from .judges import JUDGES
from .passages import Passage, passages

System: TypeAlias = Callable[[Audio], tuple[Audio, float]]
OPUS_RATES = (6.0, 12.0, 24.0)


@dataclass(frozen=True)
class Score:
    """What a system needs, in kbit/s, and how near its sound comes, by judge; the input itself needs nothing."""

    system: str
    kbps: float
    judged: dict[str, Estimate]


@dataclass(frozen=True)
class Reconstruction:
    """The codec's part of a card. `speed` is seconds of sound coded and decoded in a second, on `threads` threads."""

    split: str
    tracks: int
    passages: int
    seconds: float
    seed: int
    scores: tuple[Score, ...]
    perplexity: tuple[float, ...]
    tokens: int
    speed: float
    threads: int
    opus: str


def score_codec(
    codec: Codec,
    folder: Path,
    *,
    count: int = 16,
    seconds: float = 6.0,
    seed: int = 0,
    opus_rates: Sequence[float] = OPUS_RATES,
    judges: Sequence[str] = tuple(JUDGES),
    usage: int = 120,
    watch: Progress = quiet,
) -> Reconstruction:
    """Judge the codec at 1, 4 and all codebooks on passages of a split, with Opus and the input itself beside it.

    Args:
        folder: the split's tracks.
        count: passages to judge; ViSQOL takes about as long as a passage lasts.
        seconds: length of a passage.
        seed: which passages.
        opus_rates: bit rates of Opus to compare with, in kbit/s; none needs no opus-tools.
        judges: names from `JUDGES`.
        usage: passages to count tokens in, for the perplexity.
        watch: called with (what, done, total).

    Raises:
        ConfigError: a judge is unknown. CorpusError: the split has too little music.
        MissingPartError: a judge or opus-tools is not installed.
    """
    for name in judges:
        if name not in JUDGES:
            raise ConfigError(f"there is no judge '{name}'; there are: {', '.join(JUDGES)}")
    rate = codec.grid.sample_rate
    chosen = passages(folder, count, seconds, seed, rate)
    scores = _scores(systems(codec, opus_rates), chosen, judges, watch)
    codes = tokens(codec, passages(folder, usage, seconds, seed, rate), watch)
    return Reconstruction(
        split=folder.name,
        tracks=len(songs(folder, least=seconds)),
        passages=count,
        seconds=seconds,
        seed=seed,
        scores=scores,
        perplexity=tuple(perplexity(codes, codec.grid.vocabulary).tolist()),
        tokens=codes.shape[0] * codes.shape[2],
        speed=speed(codec, chosen),
        threads=torch.get_num_threads(),
        opus=opus.version(),
    )


def systems(codec: Codec, opus_rates: Sequence[float] = OPUS_RATES) -> dict[str, System]:
    """What to judge, by name: functions from a mono sound to what is left of it and the bits that it took."""
    table: dict[str, System] = {"the input itself": lambda sound: (sound, 0.0)}
    for levels in levels_of(codec):
        table[f"{levels} codebook{'s' * (levels > 1)}"] = _coder(codec, levels)
    for kbps in opus_rates:
        table[f"Opus at {kbps:g} kbit/s"] = _opus(kbps)
    return table


def levels_of(codec: Codec) -> tuple[int, ...]:
    """The numbers of codebooks that are worth a look: 1, 4 and all."""
    return tuple(sorted({1, min(4, codec.grid.codebooks), codec.grid.codebooks}))


def tokens(codec: Codec, chosen: Sequence[Passage], watch: Progress = quiet) -> Codes:
    """The codes of passages of one length, a passage a row."""
    rows = []
    for number, passage in enumerate(chosen):
        rows.append(codec.encode(passage.audio.wave[:, 0]))
        watch("encoding", number + 1, len(chosen))
    return torch.cat(rows)


def speed(codec: Codec, chosen: Sequence[Passage]) -> float:
    """Seconds of sound that the codec encodes and decodes in a second, over all passages joined to one sound."""
    sound = torch.cat([passage.audio.wave[:, 0] for passage in chosen], dim=-1)
    began = time.perf_counter()
    _ = codec.decode(codec.encode(sound), sound.shape[-1])
    return sound.shape[-1] / codec.grid.sample_rate / (time.perf_counter() - began)


def _coder(codec: Codec, levels: int) -> System:
    def run(sound: Audio) -> tuple[Audio, float]:
        codes = codec.encode(sound.wave[:, 0])[:, :levels]
        bits = codec.grid.bits_per_second / codec.grid.rate * codes.shape[1] * codes.shape[2]
        return Audio(codec.decode(codes, sound.samples)[:, None], sound.sample_rate), bits

    return run


def _opus(kbps: float) -> System:
    def run(sound: Audio) -> tuple[Audio, float]:
        return opus.roundtrip(sound, kbps)

    return run


def _scores(
    table: dict[str, System], chosen: Sequence[Passage], judges: Sequence[str], watch: Progress
) -> tuple[Score, ...]:
    scores, done = [], 0
    for name, system in table.items():
        bits, verdicts = 0.0, {judge: [] for judge in judges}
        for passage in chosen:
            estimated, cost = system(passage.audio)
            bits += cost
            for judge in judges:
                verdicts[judge].append(JUDGES[judge](passage.audio, estimated))
            done += 1
            watch(f"judging {name}", done, len(table) * len(chosen))
        seconds = sum(passage.audio.seconds for passage in chosen)
        judged = {judge: estimate(values) for judge, values in verdicts.items()}
        scores.append(Score(name, bits / seconds / 1000, judged))
    return tuple(scores)
