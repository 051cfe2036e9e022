"""The loop that the samplers share: guess every hidden cell, keep those whose turn it is, repeat."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..chance import Noise
from ..config import config, knob
from ..types import CodedMean, Codes, HiddenLogits, Hurry, Mask, Predict, Watch
from .filters import top_p, typical
from .steps import cosine_left, drawn, reveal

ROWS = 256  # cells whose tokens are drawn at a time, so that they stay in the cache


@dataclass(frozen=True)
class Canvas:
    """A grid on its way: what is still hidden, what was at `first`, and how likely each filled token then was.

    `likely` holds natural logarithms, of use only where a hidden cell has been filled.
    """

    codes: Codes
    mask: Mask
    first: Mask
    likely: Float[Tensor, "batch codebook frame"]


@config
class Passes:
    """A sampler without its schedule and its order, which those that inherit from it give.

    `left` says how many cells of each item stay hidden after a pass, `trust` which ones: the least trusted. Every
    item of a batch follows its own counts, and is done when none is left.
    """

    temperature: float = knob("freedom in each guess; 0 takes the likeliest", default=1.0, low=0, high=10)
    top_p: float = knob(
        "share of likelihood to guess from, likeliest tokens first; 1 is all", default=1.0, low=0, high=1
    )
    typical: float = knob(
        "share of likelihood to guess from, most typical tokens first; 1 is all", default=1.0, low=0, high=1
    )
    typical_least: int = knob("typical tokens to guess from at least", default=1, unit="tokens", low=1)

    def passes(self, mask: Mask) -> int:
        """How many times the model is asked, at most."""
        raise NotImplementedError

    def left(self, step: int, first: Mask) -> Int[Tensor, " batch"]:
        """Cells of each item that stay hidden after pass `step` (from 0), where `first` was hidden before all."""
        raise NotImplementedError

    def warmth(self, step: int) -> float:
        """The temperature in pass `step`."""
        return self.temperature

    def trust(self, step: int, likely: Float[Tensor, " hidden"], mask: Mask, noise: Noise) -> Float[Tensor, " hidden"]:
        """How early each guess may stay; `likely` is the logarithm of its likelihood."""
        raise NotImplementedError

    @torch.no_grad()
    def __call__(
        self,
        predict: Predict,
        codes: Codes,
        mask: Mask,
        noise: Noise,
        watch: Watch | None = None,
        hurry: Hurry | None = None,
        coded: CodedMean | None = None,
    ) -> Codes:
        """Codes with every hidden cell filled.

        Raises:
            ConfigError: there is not one seed of noise for each item.
        """
        canvas = Canvas(codes, mask, mask, torch.zeros(mask.shape, device=mask.device))
        for step in range(self.passes(mask)):
            if not bool(canvas.mask.any()):
                break
            logits = predict(canvas.codes, canvas.mask)
            left = self.left(step, mask)
            if hurry is not None and bool(left.any()) and hurry():
                left = torch.zeros_like(left)
            canvas = self.step(step, logits, canvas, left, noise)
            if watch is not None:
                watch(step, canvas.codes, canvas.mask)
        return canvas.codes

    def step(
        self, step: int, logits: HiddenLogits, canvas: Canvas, left: Int[Tensor, " batch"], noise: Noise
    ) -> Canvas:
        """The canvas after one pass, in which `left` cells of each item are hidden."""
        mask = canvas.mask
        each = zip(logits.split(ROWS), noise.guess(step, mask).split(ROWS), strict=True)
        found = [self._guess(self.warmth(step), rows.float(), chance) for rows, chance in each]
        guess, likely = (torch.cat(parts) for parts in zip(*found, strict=True))
        codes, after = reveal(canvas.codes, mask, guess, self.trust(step, likely, mask, noise), left.to(mask.device))
        return Canvas(codes, after, canvas.first, canvas.likely.masked_scatter(mask, likely))

    def _guess(
        self, warmth: float, logits: Float[Tensor, "cell vocab"], noise: Float[Tensor, " cell"]
    ) -> tuple[Int[Tensor, " cell"], Float[Tensor, " cell"]]:
        """A token for each cell, and the logarithm of its likelihood before the filters and at temperature 1."""
        guess = drawn(top_p(typical(logits, self.typical, self.typical_least), self.top_p), warmth, noise)
        return guess, logits.log_softmax(-1).gather(-1, guess[:, None])[:, 0]


@config
class Stepped(Passes):
    """A sampler that takes a given number of steps, along a cosine, whatever it has to fill.

    An item that hides fewer cells than there are steps is done early.
    """

    steps: int = knob("passes through the model", default=8, low=1, high=512)
    cutoff: float = knob(
        "share of the steps that guess freely; later ones take the likeliest", default=1.0, low=0, high=1
    )

    def warmth(self, step: int) -> float:
        return self.temperature if step <= self.cutoff * self.steps else 0.0

    def passes(self, mask: Mask) -> int:
        return min(self.steps, int(mask.flatten(1).sum(1).max()))

    def left(self, step: int, first: Mask) -> Int[Tensor, " batch"]:
        return cosine_left(step, self.steps, first.flatten(1).sum(1).cpu())
