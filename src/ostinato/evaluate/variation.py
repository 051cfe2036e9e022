"""Whether takes are music of the input's kind: nearer to it than chance in the same gaps, and than other music."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from jaxtyping import Int
from torch import Tensor

from ..chance import derive
from ..codec import Codec
from ..data import draw
from ..errors import CorpusError
from ..metrics import mel_distance, unigram
from ..prompts import Prompt
from ..types import Audio, Codes, Mask, Signal, Take
from .estimates import Estimate, Progress, estimate, quiet
from .passages import Passage, passages
from .reconstruction import tokens

Vary: TypeAlias = Callable[[Audio, Prompt, int], Take]


@dataclass(frozen=True)
class Variation:
    """The takes' part of a card: mel distances to the codec's own reconstruction of the input.

    `take` is the model's, `chance` has the same cells hidden and filled with tokens drawn by their frequencies,
    `other` is another track. `chance_less_take` and `other_less_take` are differences passage by passage: the bar is
    passed where their lower bound is above 0.
    """

    split: str
    passages: int
    seconds: float
    seed: int
    prompt: dict[str, list[dict[str, object]]]
    hidden: float
    take: Estimate
    chance: Estimate
    other: Estimate
    chance_less_take: Estimate
    other_less_take: Estimate


def score_prompts(
    codec: Codec,
    vary: Vary,
    folder: Path,
    *,
    prompt: Prompt | None = None,
    count: int = 24,
    seconds: float = 6.0,
    seed: int = 0,
    usage: int = 120,
    watch: Progress = quiet,
) -> Variation:
    """Vary held-out passages and measure how near the takes stay to what was varied.

    Args:
        codec: of the model that varies.
        vary: makes a take of (sound, prompt, seed).
        folder: the split's tracks.
        prompt: `periodic:period=7` unless given.
        count: passages, a take each.
        seconds: length of a passage.
        seed: which passages, takes and draws.
        usage: passages to count token frequencies in.
        watch: called with (what, done, total).

    Raises:
        CorpusError: the split has too little music, or only one track.
    """
    asked = prompt or Prompt.of(keep=["periodic:period=7"])
    rate = codec.grid.sample_rate
    chosen = passages(folder, count, seconds, seed, rate)
    codes = tokens(codec, chosen)
    known = tokens(codec, passages(folder, usage, seconds, seed, rate), watch)
    takes = []
    for place, passage in enumerate(chosen):
        takes.append(vary(passage.audio, asked, derive(seed, place)))
        watch("varying", place + 1, count)
    heard = codec.decode(codes, chosen[0].audio.samples)
    mask = torch.cat([take.mask for take in takes])
    chance = codec.decode(fill_by_chance(codes, mask, known, codec.grid.vocabulary, seed), heard.shape[-1])
    took = codec.decode(torch.cat([take.codes for take in takes]), heard.shape[-1])
    return _variation(folder, chosen, asked, mask, seed, _distances(heard, took, chance, _others(chosen), rate))


def fill_by_chance(
    codes: Codes, mask: Mask, known: Int[Tensor, "passage codebook place"], vocabulary: int, seed: int
) -> Codes:
    """`codes` with every hidden cell filled by a draw from its codebook's frequencies in `known`."""
    chance = draw(seed, 2)
    rows = []
    for place, share in enumerate(unigram(known, vocabulary).double()):
        drawn = chance.choice(vocabulary, size=(len(codes), codes.shape[2]), p=(share / share.sum()).numpy())
        rows.append(torch.where(mask[:, place], torch.from_numpy(drawn), codes[:, place]))
    return torch.stack(rows, dim=1)


def _others(chosen: Sequence[Passage]) -> list[int]:
    """For each passage, the place of the next one that comes from another track."""
    places = range(len(chosen))
    found = []
    for here in places:
        after = [*places[here + 1 :], *places[:here]]
        found.append(next((there for there in after if chosen[there].track != chosen[here].track), -1))
    if -1 in found:
        raise CorpusError("takes are compared with other tracks, but the split has only one; add more music")
    return found


def _distances(heard: Signal, took: Signal, chance: Signal, others: Sequence[int], rate: int) -> dict[str, Tensor]:
    return {
        "take": mel_distance(heard, took, rate),
        "chance": mel_distance(heard, chance, rate),
        "other": mel_distance(heard, heard[list(others)], rate),
    }


def _variation(
    folder: Path, chosen: Sequence[Passage], prompt: Prompt, mask: Mask, seed: int, found: dict[str, Tensor]
) -> Variation:
    take, chance, other = (found[name].double() for name in ("take", "chance", "other"))
    return Variation(
        split=folder.name,
        passages=len(chosen),
        seconds=chosen[0].audio.seconds,
        seed=seed,
        prompt=prompt.plain(),
        hidden=float(mask.float().mean()),
        take=estimate(take.tolist()),
        chance=estimate(chance.tolist()),
        other=estimate(other.tolist()),
        chance_less_take=estimate((chance - take).tolist()),
        other_less_take=estimate((other - take).tolist()),
    )
