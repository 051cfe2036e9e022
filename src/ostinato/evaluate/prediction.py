"""How well the masked models foretell hidden tokens: bits by codebook, beside what bare frequencies know."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..chance import derive
from ..codec import Codec
from ..masks import scatter
from ..metrics import token_bits, unigram, unigram_entropy
from ..types import Codes, Logits, Mask
from .estimates import Progress, quiet
from .passages import passages
from .reconstruction import tokens

HALF = 0.5
BATCH = 8


@dataclass(frozen=True)
class Stage:
    """A model by name: it sees the lowest `codebooks` codebooks and predicts all of them but the lowest `given`."""

    name: str
    codebooks: int
    given: int
    predict: Callable[[Codes, Mask], Logits]


@dataclass(frozen=True)
class Level:
    """One codebook (from 1), in bits a token: by frequencies alone, by the model, and the share that it saves.

    `half` is the model with half the cells hidden, `schedule` the mean over the shares that sampling goes through.
    """

    stage: str
    codebook: int
    unigram: float
    half: float
    schedule: float
    saved: float


@dataclass(frozen=True)
class Prediction:
    """The models' part of a card. `hidden` is the mean share of hidden cells over the schedule."""

    split: str
    passages: int
    seconds: float
    seed: int
    tokens: int
    unigram_from: str
    hidden: float
    levels: tuple[Level, ...]


def score_tokens(
    codec: Codec,
    stages: Sequence[Stage],
    folder: Path,
    *,
    train: Path | None = None,
    count: int = 64,
    seconds: float = 6.0,
    seed: int = 0,
    shares: int = 8,
    watch: Progress = quiet,
) -> Prediction:
    """Bits a token on hidden cells of held-out passages, by codebook, for every stage.

    Args:
        codec: makes the tokens.
        stages: the models; each is given all that is coarser than what it predicts.
        folder: the split's tracks.
        train: where frequencies are counted; where it is None they are those of the measured tokens themselves,
            which no coder can know beforehand and so is the harder rival.
        count: passages to measure on, and to count in.
        seconds: length of a passage.
        seed: which passages, and which cells are hidden.
        shares: hidden shares that stand for the cosine schedule.
        watch: called with (what, done, total).

    Raises:
        CorpusError: a split has too little music.
    """
    grid = codec.grid
    codes = tokens(codec, passages(folder, count, seconds, seed, grid.sample_rate), watch)
    if train is None:
        rival = unigram_entropy(codes, grid.vocabulary)
    else:
        known = tokens(codec, passages(train, count, seconds, seed, grid.sample_rate), watch)
        rival = frequency_bits(codes, known, grid.vocabulary)
    levels = [level for stage in stages for level in _levels(stage, codes, rival, cosine_shares(shares), seed, watch)]
    return Prediction(
        split=folder.name,
        passages=count,
        seconds=seconds,
        seed=seed,
        tokens=codes.shape[0] * codes.shape[2],
        unigram_from="the measured tokens themselves" if train is None else f"{count} passages of {train.name}",
        hidden=sum(cosine_shares(shares)) / shares,
        levels=tuple(levels),
    )


def cosine_shares(count: int) -> list[float]:
    """`count` hidden shares, evenly spaced in time along the quarter of a cosine that sampling follows."""
    return [math.cos(math.pi / 2 * (step + 0.5) / count) for step in range(count)]


def frequency_bits(
    codes: Codes, known: Int[Tensor, "passage codebook place"], vocabulary: int
) -> Float[Tensor, " codebook"]:
    """Bits a token of `codes` costs by the frequencies of `known`, every value seen half a time more.

    Raises:
        OstinatoError: there are no tokens, or one lies outside the vocabulary.

    Source: the estimator of Krichevsky and Trofimov, 1981.
    """
    counts = unigram(known, vocabulary) * (known.shape[0] * known.shape[2]) + 0.5
    bits = -(counts / counts.sum(-1, keepdim=True)).log2()
    return (unigram(codes, vocabulary) * bits).sum(-1)


def hidden_bits(stage: Stage, codes: Codes, share: float, seed: int) -> Float[Tensor, " predicted"]:
    """Mean bits of a hidden token, for each codebook that `stage` predicts, with `share` of those cells hidden."""
    seen = codes[:, : stage.codebooks]
    cost = torch.zeros(stage.codebooks - stage.given)
    hidden = torch.zeros(stage.codebooks - stage.given)
    for start in range(0, len(seen), BATCH):
        rows = seen[start : start + BATCH]
        mask = _mask(stage, rows, share, [derive(seed, start + row) for row in range(len(rows))])
        with torch.no_grad():
            logits = stage.predict(rows, mask)
        predicted = mask[:, stage.given :]
        cost += (token_bits(logits, rows[:, stage.given :]) * predicted).sum((0, 2))
        hidden += predicted.sum((0, 2))
    return cost / hidden


def _mask(stage: Stage, codes: Codes, share: float, seeds: Sequence[int]) -> Mask:
    """Hides exactly `share` of the predicted cells of each row."""
    _, codebooks, frames = codes.shape
    rows = [scatter((codebooks - stage.given) * frames, share, seed).view(-1, frames) for seed in seeds]
    return torch.nn.functional.pad(torch.stack(rows), (0, 0, stage.given, 0))


def _levels(
    stage: Stage, codes: Codes, rival: Float[Tensor, " codebook"], shares: Sequence[float], seed: int, watch: Progress
) -> list[Level]:
    found = []
    for number, share in enumerate([HALF, *shares]):
        found.append(hidden_bits(stage, codes, share, derive(seed, number)))
        watch(f"{stage.name} model", number + 1, len(shares) + 1)
    half, schedule = found[0], torch.stack(found[1:]).mean(0)
    return [
        Level(
            stage=stage.name,
            codebook=stage.given + place + 1,
            unigram=float(rival[stage.given + place]),
            half=float(half[place]),
            schedule=float(schedule[place]),
            saved=1 - float(half[place] / rival[stage.given + place]),
        )
        for place in range(len(half))
    ]
