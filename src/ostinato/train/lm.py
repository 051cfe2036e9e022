"""Training a masked model: hide cells, guess them, pay for the hidden ones only."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from ..checkpoint import load_codec, save
from ..config import config, knob
from ..data import draw
from ..errors import ConfigError
from ..lm import LMConfig, MaskedModel
from ..types import Codes, Mask
from .loop import LoopConfig, rate
from .state import Average, load_optimizer, muon, optimizer_state, start_from
from .tokens import TokenExcerpts, tokens


@config
class LMTraining:
    """Everything that decides a run of a masked model."""

    model: LMConfig = knob("the model", default=LMConfig())
    loop: LoopConfig = knob("how long", default=LoopConfig())
    start: str = knob("checkpoint whose weights a new run begins with; empty is none", default="")
    moved: int = knob("codebooks that are new to what it begins with, below those that it predicted", default=0, low=0)
    codec: str = knob("checkpoint of the codec, which stays as it is", default="runs/codec/best")
    train: str = knob("folder of music to train on", default="music/train")
    validation: str = knob("folder of held-out music", default="music/val")
    cache: str = knob("folder of cached tokens", default="runs/tokens")
    longest: float = knob("how much of a song is encoded", default=3600.0, unit="s", low=1)
    batch: int = knob("excerpts in a step", default=16, low=1)
    frames: int = knob("length of an excerpt", default=288, unit="frames", low=1)
    rate: float = knob("peak learning rate", default=1e-3, low=0)
    warm_up: int = knob("steps until the peak", default=300, low=1)
    decay: float = knob("weight decay", default=0.05, low=0)
    average: float = knob("memory of the averaged weights", default=0.999, low=0, high=1)
    shaped: float = knob("share of masks made of whole frames, stretches or codebooks", default=0.5, low=0, high=1)
    held_out: int = knob("held-out excerpts in a score", default=48, low=1)

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise ConfigError(f"LMTraining.frames must be at least 2, got {self.frames}")
        if self.moved >= self.model.predicted or (self.moved and not self.start):
            raise ConfigError(
                f"LMTraining.moved must be below {self.model.predicted}, the number of codebooks that are predicted, "
                f"and only a run that begins with a checkpoint has any, got {self.moved}"
            )


def ratio(chance: np.random.Generator) -> float:
    """A share of cells to hide, from the cosine schedule (MaskGIT, arXiv:2202.04200, section 3.3)."""
    return math.cos(math.pi / 2 * chance.random())


def random_mask(
    chance: np.random.Generator, codebooks: int, frames: int, share: float
) -> Bool[Tensor, "codebook frame"]:
    """Hide `share` of all cells, and at least one."""
    flat = np.zeros(codebooks * frames, dtype=bool)
    flat[chance.permutation(flat.size)[: max(1, round(share * flat.size))]] = True
    return torch.from_numpy(flat.reshape(codebooks, frames))


def shaped_mask(
    chance: np.random.Generator, codebooks: int, frames: int, share: float
) -> Bool[Tensor, "codebook frame"]:
    """Hide cells in the shapes that prompts have: whole frames, one stretch, and codebooks from some level up."""
    across = np.zeros(frames, dtype=bool)
    hidden = max(1, round(share * frames))
    if chance.random() < 0.5:
        across[chance.permutation(frames)[:hidden]] = True
    else:
        across[(int(chance.integers(frames)) + np.arange(hidden)) % frames] = True
    mask = np.broadcast_to(across, (codebooks, frames)).copy()
    if codebooks > 1 and chance.random() < 0.6:
        level = int(chance.integers(1, codebooks))
        mask[level:] = True
        if chance.random() < 0.5:
            mask[:level] = False
        mask &= random_mask(chance, codebooks, frames, 0.5 + 0.5 * ratio(chance)).numpy()
    return torch.from_numpy(mask)


@torch.no_grad()
def answer_with(vectors: Float[Tensor, "codebook vocab dim"], model: MaskedModel, seed: int) -> None:
    """Give a new model the codec's code vectors, to read and to answer with.

    The classifier's rows start as images of the code vectors under a random map, one for each codebook. Tokens that
    sound alike are then likely together from the first step, which random rows have to learn for every token apart.
    """
    c = model.config
    _ = model.vectors.copy_(vectors)
    chance = torch.Generator().manual_seed(seed)
    directions = torch.randn(c.predicted, c.dim, c.width, generator=chance) / math.sqrt(c.width)
    rows = F.normalize(vectors[c.given :], dim=-1) @ directions
    _ = model.classify.weight.mul_(0.1).add_(rows.flatten(0, 1))


@torch.no_grad()
def move_up(model: MaskedModel, by: int, answers: Float[Tensor, "answer width"]) -> None:
    """What a model knows of each codebook that it predicts goes to the one `by` above; the lowest are new to it.

    It does not look at those at first, and begins with `answers`, classifier rows as of a new model.
    """
    c = model.config
    enter = model.enter.weight.unflatten(1, (c.codebooks, c.dim)).movedim(1, 0)[c.given :]
    heads = [part.unflatten(0, (c.predicted, -1)) for part in (model.classify.weight, model.classify.bias)]
    for known in (model.hidden[c.given :], enter, *heads):
        _ = known[by:].copy_(known[:-by].clone())
        _ = known[:by].zero_()
    _ = heads[0][:by].copy_(answers.unflatten(0, (c.predicted, -1))[:by])


def optimizers(model: MaskedModel, rate: float, decay: float) -> dict[str, torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for all else, at one rate.

    From the same weights on the same 100 batches this came to 7.18 held-out bits a token, and AdamW alone to 7.23, for
    16 % more time a step.
    """
    matrices = [each for each in model.transformer.layers.parameters() if each.ndim == 2]
    inside = {id(each) for each in matrices}
    rest = [each for each in model.parameters() if id(each) not in inside]
    return {
        "matrices": muon(matrices, rate, decay),
        "rest": torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=decay, fused=True),
    }


@contextmanager
def half_sums() -> Iterator[None]:
    """Within, attention in bfloat16 is also summed in it, which halves its time where gradients are wanted."""
    allowed = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        yield
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(allowed)


class LMJob:
    """One run of a masked model."""

    def __init__(self, settings: LMTraining) -> None:
        self.settings = s = settings
        codec = load_codec(Path(s.codec))
        with torch.random.fork_rng():
            _ = torch.manual_seed(s.loop.seed)
            self.model = MaskedModel(s.model)
        vectors = codec.vectors()[: s.model.codebooks]
        answer_with(vectors, self.model, s.loop.seed)
        answers = self.model.classify.weight.detach().clone()
        start_from(s.start, self.model, s.model)
        if s.moved:
            move_up(self.model, s.moved, answers)
        _ = self.model.vectors.copy_(vectors)
        self.optimizers = optimizers(self.model, s.rate, s.decay)
        self.average = Average(self.model, s.average)
        cache = Path(s.cache)
        self.music = TokenExcerpts(self._tokens(s.train, cache / "train.safetensors"), s.frames, s.loop.seed)
        held = TokenExcerpts(self._tokens(s.validation, cache / "validation.safetensors"), s.frames, 1)
        self.held_out = held.batch(0, s.held_out)

    def _tokens(self, folder: str, cache: Path) -> dict[str, Tensor]:
        found = tokens(Path(folder), Path(self.settings.codec), cache, longest=self.settings.longest)
        return {name: grid[: self.settings.model.codebooks] for name, grid in found.items()}

    def mask(self, chance: np.random.Generator, items: int) -> Mask:
        """A mask for training: cells of the predicted codebooks, half at random, half in the shapes of prompts."""
        c, frames = self.settings.model, self.settings.frames
        given = torch.zeros(c.given, frames, dtype=torch.bool)
        rows = []
        for _ in range(items):
            make = shaped_mask if chance.random() < self.settings.shaped else random_mask
            part = make(chance, c.predicted, frames, ratio(chance))
            rows.append(torch.cat([given, part if part.any() else torch.ones_like(part)]))
        return torch.stack(rows)

    def loss(self, model: MaskedModel, codes: Codes, mask: Mask) -> Float[Tensor, " hidden"]:
        """Nats for each hidden cell, in the order of `mask`."""
        given = self.settings.model.given
        with torch.autocast(codes.device.type, torch.bfloat16), half_sums():
            logits = model(codes, mask)
        hidden = mask[:, given:]
        return F.cross_entropy(logits[hidden].float(), codes[:, given:][hidden], reduction="none")

    def step(self, index: int) -> dict[str, float]:
        s = self.settings
        for optimizer in self.optimizers.values():
            optimizer.param_groups[0]["lr"] = s.rate * rate(index, s.loop.steps, warm_up=s.warm_up)
        codes = self.music.batch(index, s.batch)
        mask = self.mask(draw(s.loop.seed, 2, index), s.batch)
        loss = self.loss(self.model, codes, mask).mean()
        self.model.zero_grad()
        _ = loss.backward()
        size = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers.values():
            _ = optimizer.step()
        self.average.update(self.model, index)
        return {"bits": float(loss.detach()) / math.log(2), "gradient": float(size)}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Held-out bits per token of each predicted codebook, over masks of the cosine schedule."""
        s, given = self.settings, self.settings.model.given
        model = MaskedModel(s.model)
        _ = model.load_state_dict(self.average.weights)
        _ = model.eval()
        chance = draw(1, 3)
        bits, level = [], []
        for codes in self.held_out.split(s.batch):
            mask = torch.stack([self._held_out_mask(chance) for _ in codes])
            bits.append(self.loss(model, codes, mask) / math.log(2))
            level.append(mask[:, given:].nonzero()[:, 1])
        paid, where = torch.cat(bits), torch.cat(level)
        scores = {f"held_out_bits_{given + n}": float(paid[where == n].mean()) for n in range(s.model.predicted)}
        scores["score"] = float(paid.mean())
        return scores

    def _held_out_mask(self, chance: np.random.Generator) -> Bool[Tensor, "codebook frame"]:
        c, frames = self.settings.model, self.settings.frames
        return torch.cat(
            [torch.zeros(c.given, frames, dtype=torch.bool), random_mask(chance, c.predicted, frames, ratio(chance))]
        )

    def export(self, folder: Path) -> None:
        model = MaskedModel(self.settings.model)
        _ = model.load_state_dict(self.average.weights)
        save(folder, self.settings.model, model, dtype=torch.float16)

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": self.average.weights,
            **{name: optimizer_state(optimizer) for name, optimizer in self.optimizers.items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        _ = self.model.load_state_dict(state["model"])
        self.average.weights = state["average"]
        for name, optimizer in self.optimizers.items():
            load_optimizer(optimizer, state[name])
