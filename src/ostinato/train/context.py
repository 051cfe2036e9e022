"""Training a context model: a float network over tokens, then its integers."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..checkpoint import load_codec, write_tensors
from ..config import config, knob
from ..context import (
    CONTEXT,
    GAPS,
    HIDDEN,
    INNER,
    MOST_HIDDEN,
    MOST_INNER,
    PAST,
    SCORE,
    VECTOR,
    ContextModel,
    gap_class,
)
from ..data import draw
from ..types import Codes
from .loop import LoopConfig
from .state import load_optimizer, optimizer_state
from .tokens import TokenExcerpts, tokens

STRIDES = (1, 1, 1, 2, 2, 2, 3, 4, 8, 16)
LOUDEST = 127
ROWS, SIDES = (("#0", max(STRIDES)), ("#1", 4)), 0.25


@config
class ContextTraining:
    """Everything that decides a run of a context model."""

    loop: LoopConfig = knob("how long", default=LoopConfig(steps=3000, validate_every=250))
    codec: str = knob("checkpoint of the codec, which stays as it is", default="runs/codec/best")
    train: str = knob("folder of music to train on", default="music/train")
    validation: str = knob("folder of held-out music", default="music/val")
    cache: str = knob("folder of cached tokens", default="runs/tokens")
    longest: float = knob("how much of a song is encoded", default=3600.0, unit="s", low=1)
    hidden: int = knob("hidden units of each codebook", default=64, low=1, high=512)
    inner: int = knob("numbers that score the tokens of each codebook", default=24, low=1, high=64)
    batch: int = knob("excerpts in a step", default=8, low=1)
    frames: int = knob("kept frames in an excerpt, as in a block", default=57, unit="frames", low=2)
    rate: float = knob("peak learning rate", default=3e-3, low=0)
    warm_up: int = knob("steps until the peak", default=50, low=1)
    held_out: int = knob("held-out excerpts in a score", default=48, low=1)


class ContextNet(nn.Module):
    """The float network whose rounded weights are a `ContextModel`; scores are in bits."""

    seen: Tensor

    def __init__(self, vectors: Float[Tensor, "codebook vocab dim"], hidden: int, inner: int) -> None:
        super().__init__()
        books, vocabulary, dim = vectors.shape
        places = (PAST + 1) * books * dim
        self.inner = inner
        self.vectors = nn.Parameter(F.pad(_standard(vectors), (0, 0, 0, 1)))
        self.first = nn.Parameter(torch.randn(books, places, inner + hidden) * (0.5 / math.sqrt(places)))
        self.bias = nn.Parameter(torch.zeros(books, 2 * GAPS, inner + hidden))
        self.second = nn.Parameter(torch.randn(books, hidden, inner) * 0.05)
        self.last = nn.Parameter(torch.randn(books, inner, vocabulary) * 0.02)
        self.prior = nn.Parameter(torch.zeros(books, vocabulary))
        below = torch.tril(torch.ones(books, books), -1).repeat_interleave(dim, 1)
        self.register_buffer("seen", torch.cat([below, torch.ones(books, PAST * books * dim)], 1)[..., None])
        with torch.no_grad():
            _ = self.last[:, : min(dim, inner)].copy_(0.5 * _standard(vectors).transpose(1, 2)[:, :inner])

    def forward(
        self, codes: Int[Tensor, "batch codebook frame"], state: Int[Tensor, "batch frame"]
    ) -> Float[Tensor, "codebook batch frame vocab"]:
        """Scores of every token; codes may hold the vocabulary's size for none."""
        books, none = self.vectors.shape[0], self.vectors.shape[1] - 1
        before = F.pad(codes, (PAST, 0), value=none)
        frames = codes.shape[-1]
        seen = torch.stack([before[..., PAST - n : PAST - n + frames] for n in range(PAST + 1)], 1)
        looked_up = self.vectors[torch.arange(books)[:, None], seen].permute(0, 3, 1, 2, 4).flatten(2).flatten(0, 1)
        sums = torch.einsum("bi,kio->kbo", looked_up, self.first * self.seen) + self.bias[:, state.flatten()]
        hidden = sums[..., self.inner :].clamp(0, MOST_HIDDEN / (1 << HIDDEN))
        point = sums[..., : self.inner] + torch.bmm(hidden, self.second)
        point = point.clamp(-MOST_INNER / (1 << INNER), MOST_INNER / (1 << INNER))
        return torch.baddbmm(self.prior[:, None], point, self.last).unflatten(1, (len(codes), frames))

    @torch.no_grad()
    def integers(self) -> ContextModel:
        """The nearest whole numbers, as many bits after the point as int8 allows."""
        first = _point(self.first * self.seen, 1, INNER - VECTOR)
        second, last = _point(self.second, (1, 2), INNER - HIDDEN), _point(self.last, (1, 2), SCORE - INNER)
        return ContextModel(
            vectors=_whole(self.vectors, torch.tensor(VECTOR)),
            first=_whole(self.first * self.seen, first[:, None]),
            first_point=first.numpy(),
            bias=(self.bias * (1 << INNER)).round().int().numpy(),
            second=_whole(self.second, second[:, None, None]),
            second_point=second.numpy(),
            last=_whole(self.last, last[:, None, None]),
            last_point=last.numpy(),
            prior=(self.prior * (1 << SCORE)).round().int().numpy(),
        )


class ContextJob:
    """One run of a context model."""

    def __init__(self, settings: ContextTraining) -> None:
        self.settings = s = settings
        vectors = load_codec(Path(s.codec)).vectors()
        with torch.random.fork_rng():
            _ = torch.manual_seed(s.loop.seed)
            self.net = ContextNet(vectors, s.hidden, s.inner)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=s.rate, betas=(0.9, 0.99))
        music = self._tokens(s.train, "train")
        self.rows = [self._excerpts(music, row, s.loop.seed) for row in ROWS]
        self.held_out = self._excerpts(self._tokens(s.validation, "validation"), ROWS[0], 1).batch(0, s.held_out)
        with torch.no_grad():
            _ = self.net.prior.copy_(_log_shares(music, self.net.prior.shape))

    def _tokens(self, folder: str, name: str) -> dict[str, Int[Tensor, "codebook frame"]]:
        s = self.settings
        return tokens(Path(folder), Path(s.codec), Path(s.cache) / f"{name}.safetensors", longest=s.longest)

    def _excerpts(self, music: dict[str, Tensor], row: tuple[str, int], seed: int) -> TokenExcerpts:
        name, frames = row[0], row[1] * self.settings.frames
        chosen = {song: grid for song, grid in music.items() if song.endswith(name) and grid.shape[1] >= frames}
        return TokenExcerpts(chosen, frames, seed)

    def step(self, index: int) -> dict[str, float]:
        """One step on excerpts with every so many frames kept, and codebooks up to some level in each."""
        s = self.settings
        chance = draw(s.loop.seed, 2, index)
        side = int(bool(self.rows[1].songs) and chance.random() < SIDES)
        stride = min(int(chance.choice(STRIDES)), ROWS[side][1])
        codes = self.rows[side].batch(index, s.batch)[..., : s.frames * stride : stride]
        for group in self.optimizer.param_groups:
            group["lr"] = s.rate * min(1, (index + 1) / s.warm_up) * (1 - index / s.loop.steps)
        loss = self.bits(codes, gap_class(stride), _levels(codes.shape[1], codes.shape[2], chance), side)
        self.optimizer.zero_grad()
        _ = loss.backward()
        _ = self.optimizer.step()
        return {"bits": loss.item()}

    def bits(self, codes: Codes, gap: int, levels: Int[Tensor, " frame"], side: int) -> Float[Tensor, ""]:
        """What a token costs on average, in bits, where each frame keeps so many codebooks, at least one.

        Frames lie a class of gaps apart.
        """
        kept = torch.arange(codes.shape[1])[:, None] < levels
        state = torch.full(codes[:, 0].shape, side * GAPS + gap)
        state[:, 0] = side * GAPS
        scores = self.net(codes.masked_fill(~kept, self.net.prior.shape[1]), state).transpose(0, 1)
        cells = kept.expand(codes.shape)
        return F.cross_entropy(scores[cells] * math.log(2), codes[cells]) / math.log(2)

    def validate(self) -> dict[str, float]:
        """Bits of a held-out token, by codebook, as the whole numbers have it; `score` is the mean."""
        frames = self.settings.frames
        codes = self.held_out[..., :frames].numpy()
        each = integer_bits(self.net.integers(), codes)
        return {"score": float(each.mean())} | {f"codebook_{n}": float(bits) for n, bits in enumerate(each)}

    def state(self) -> dict[str, Any]:
        return {"net": self.net.state_dict(), "optimizer": optimizer_state(self.optimizer)}

    def load(self, state: dict[str, Any]) -> None:
        load_optimizer(self.optimizer, state["optimizer"])
        _ = self.net.load_state_dict(state["net"])

    def export(self, folder: Path) -> None:
        """Write the whole numbers."""
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(folder / CONTEXT, self.net.integers().tensors())


def _levels(books: int, frames: int, chance: np.random.Generator) -> Int[Tensor, " frame"]:
    """How many codebooks each frame keeps: all, or some; in a third of the draws fewer in frames strewn by chance."""
    most = books if chance.random() < 0.5 else int(chance.integers(1, books + 1))
    least = int(chance.integers(1, most + 1)) if chance.random() < 1 / 3 else most
    return torch.from_numpy(np.where(chance.random(frames) < chance.random(), least, most))


def integer_bits(model: ContextModel, codes: Int[np.ndarray, "batch codebook frame"]) -> Float[np.ndarray, " codebook"]:
    """What a token costs on average under a context model, by codebook, all frames and codebooks kept."""
    none = model.vocabulary
    before = np.pad(codes, ((0, 0), (0, 0), (PAST, 0)), constant_values=none)
    frames = codes.shape[2]
    seen = np.stack([before[..., PAST - n : PAST - n + frames] for n in range(PAST + 1)], 1)
    lanes = seen.transpose(0, 3, 1, 2).reshape(-1, PAST + 1, codes.shape[1])
    state = np.zeros(len(lanes), dtype=np.int64)
    found = []
    for book in range(codes.shape[1]):
        table = model.table(book, lanes, state)
        shares = table[np.arange(len(lanes)), lanes[:, 0, book]] / table.sum(1)
        found.append(-np.log2(shares).mean())
    return np.array(found)


def _standard(vectors: Float[Tensor, "codebook vocab dim"]) -> Float[Tensor, "codebook vocab dim"]:
    """Vectors about zero, of unit deviation in each codebook."""
    centred = vectors - vectors.mean(1, keepdim=True)
    return centred / centred.square().mean((1, 2), keepdim=True).sqrt().clamp_min(1e-6)


def _log_shares(music: dict[str, Tensor], shape: torch.Size) -> Float[Tensor, "codebook vocab"]:
    """How often each token comes, in bits, less the mean of its codebook."""
    books, vocabulary = shape
    counts = torch.ones(books, vocabulary)
    for grid in music.values():
        counts += torch.stack([torch.bincount(row.long(), minlength=vocabulary) for row in grid])
    bits = counts.log2()
    return bits - bits.mean(1, keepdim=True)


def _point(weights: Tensor, over: Any, low: int) -> Tensor:
    """The bits after the point with which the greatest weight still fits int8."""
    most = weights.abs().amax(over).clamp_min(1e-6)
    return (LOUDEST / most).log2().floor().clamp(low, 20).int()


def _whole(weights: Tensor, point: Tensor) -> np.ndarray:
    return (weights * 2.0**point).round().clamp(-LOUDEST, LOUDEST).to(torch.int8).numpy()
