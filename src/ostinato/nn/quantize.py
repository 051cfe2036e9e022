"""Residual vector quantisation with factorised codebooks."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..types import Codes, HiddenLogits, Mask, Means

Features = Float[Tensor, "batch frame channel"]
Vectors = Float[Tensor, "batch frame dim"]


@dataclass(frozen=True)
class Quantized:
    """What a training pass through the quantiser gives: features, codes and its losses (scalars)."""

    features: Features
    codes: Codes
    commitment: Float[Tensor, ""]
    codebook: Float[Tensor, ""]
    residual: Float[Tensor, ""]


class VectorQuantizer(nn.Module):
    """One level: project down to `dim`, take the nearest code, or that of nearest direction, project up.

    By direction, the length of a vector is not looked at; at the first level that is much of what there is to say.

    Source: factorised codes of Yu et al., arXiv:2110.04627, who look up directions, as does DAC, arXiv:2306.06546,
    section 3.2.
    """

    usage: Tensor

    def __init__(self, channels: int, vocabulary: int, dim: int, *, by_direction: bool) -> None:
        super().__init__()
        self.by_direction = by_direction
        self.down = nn.Linear(channels, dim)
        self.up = nn.Linear(dim, channels)
        self.codebook = nn.Parameter(torch.randn(vocabulary, dim))
        self.register_buffer("usage", torch.zeros(vocabulary))

    def scores(self, vectors: Vectors) -> Float[Tensor, "batch frame vocab"]:
        """How near each code is: the nearest has the highest score."""
        if self.by_direction:
            return vectors @ F.normalize(self.codebook, dim=-1).T
        return vectors @ self.codebook.T - self.codebook.square().sum(-1) / 2

    def nearest(self, vectors: Vectors) -> Int[Tensor, "batch frame"]:
        """The index of the nearest code."""
        return self.scores(vectors).argmax(-1)

    def value(self, index: Int[Tensor, "batch frame"]) -> Features:
        """The features that a code stands for."""
        return self.up(F.embedding(index, self.codebook))

    @torch.no_grad()
    def align(self, left: Features) -> None:
        """Set the projections to the directions in which `left` varies most, scaled to vectors of unit size."""
        rows = left.flatten(0, 1)
        mean, dim = rows.mean(0), self.codebook.shape[1]
        _, lengths, directions = torch.linalg.svd(rows - mean, full_matrices=False)
        size = (lengths[:dim].square().sum() / (len(rows) * dim)).sqrt().clamp_min(1e-6)
        _ = self.down.weight.copy_(directions[:dim] / size)
        _ = self.down.bias.copy_(-(directions[:dim] @ mean) / size)
        _ = self.up.weight.copy_(directions[:dim].T * size)
        _ = self.up.bias.copy_(mean)

    def residual(self, left: Features, index: Int[Tensor, "batch frame"]) -> Float[Tensor, ""]:
        """Energy of what this level leaves of `left`, which itself gets no gradient.

        It draws the two projections towards the directions in which `left` has most energy: without it nothing
        makes a residual smaller than what it is the residual of, and all levels learn to say the same.
        """
        vectors = self.down(left.detach())
        code = vectors + (F.embedding(index, self.codebook) - vectors).detach()
        return (left.detach() - self.up(code)).square().mean()

    def track(self, index: Int[Tensor, "batch frame"], memory: float) -> None:
        """Update the running usage of each code; 1 is an even share."""
        count = torch.bincount(index.flatten(), minlength=len(self.usage)).float()
        share = count * (len(self.usage) / index.numel())
        _ = self.usage.mul_(memory).add_(share, alpha=1 - memory)

    @torch.no_grad()
    def revive(self, vectors: Vectors, least: float, generator: torch.Generator) -> int:
        """Move codes used less than `least` of an even share onto vectors of this batch; returns how many."""
        dead = (self.usage < least).nonzero()[:, 0]
        rows = vectors.detach().flatten(0, 1)
        pick = torch.randint(len(rows), (len(dead),), generator=generator)
        jitter = torch.randn(len(dead), rows.shape[1], generator=generator) * 0.02 * rows.std()
        self.codebook[dead] = rows[pick] + jitter
        self.usage[dead] = 1.0
        return len(dead)

    @torch.no_grad()
    def settle(self, left: Features, least: float, generator: torch.Generator) -> None:
        """Take projections and codes from `left`, before any code is used; later move those used less than `least`."""
        if not self.usage.any():
            self.align(left)
        _ = self.revive(self.down(left), least, generator)


class ResidualQuantizer(nn.Module):
    """Levels of vector quantisers, each coding what the ones before left over.

    Other features may join what is left at level `join`; the levels before it do not see them.
    """

    def __init__(
        self, channels: int, levels: int, vocabulary: int, dim: int, *, by_direction: bool = False, join: int = 0
    ) -> None:
        super().__init__()
        self.join = join
        self._levels = nn.ModuleList(
            VectorQuantizer(channels, vocabulary, dim, by_direction=by_direction) for _ in range(levels)
        )

    @property
    def levels(self) -> list[VectorQuantizer]:
        """The quantisers, coarsest first."""
        return [level for level in self._levels if isinstance(level, VectorQuantizer)]

    def encode(
        self,
        features: Features,
        joining: Features | None = None,
        *,
        refused: Bool[Tensor, "batch frame vocab"] | None = None,
    ) -> Codes:
        """The codes of `features`, level by level; at the first level none that is `refused`."""
        left, found = features, []
        for number, level in enumerate(self.levels):
            if joining is not None and number == self.join:
                left = left + joining
            scores = level.scores(level.down(left))
            if refused is not None and not found:
                scores = scores.masked_fill(refused, -torch.inf)
            index = scores.argmax(-1)
            left = left - level.value(index)
            found.append(index)
        return torch.stack(found, dim=1)

    def decode(self, codes: Codes, depth: Int[Tensor, " batch"] | None = None) -> Features:
        """The features that the first `codes.shape[1]` levels stand for, or of item `i` the first `depth[i]`."""
        total: Tensor | float = 0.0
        for number, (level, index) in enumerate(zip(self.levels, codes.unbind(1), strict=False)):
            value = level.value(index)
            total = total + (value if depth is None else value * (depth > number)[:, None, None])
        assert isinstance(total, Tensor)
        return total

    def coded_mean(self, codes: Codes, mask: Mask, likely: HiddenLogits, first: int = 0) -> Codes:
        """Codes whose hidden cells together come near to what they are on average; the others stay as they are.

        Args:
            codes: those of the levels from `first` on.
            mask: True where they are hidden.
            likely: how likely each code is in each hidden cell, in the order of `codes[mask]`.
            first: the level of the first row of `codes`.
        """
        levels, book = self.levels[first : first + codes.shape[1]], mask.nonzero()[:, 1]
        rows = list(zip(levels, codes.unbind(1), mask.unbind(1), strict=True))
        left: Tensor | float = 0.0
        for number, (level, index, hidden) in enumerate(rows):
            vectors = F.embedding(index, level.codebook)
            vectors[hidden] = likely[book == number] @ level.codebook
            left = left + level.up(vectors)
        found = []
        for level, index, hidden in rows:
            found.append(torch.where(hidden, level.nearest(level.down(left)), index))
            left = left - level.value(found[-1])
        return torch.stack(found, dim=1)

    def blend(self, means: Means) -> Features:
        """The features of code vectors that may lie between codes.

        `part` of the shape is a code vector, then 1, or 0 where a cell says nothing.
        """
        total: Tensor | float = 0.0
        for level, mean in zip(self.levels, means.transpose(2, 3).unbind(1), strict=False):
            total = total + level.up(mean[..., :-1]) * mean[..., -1:]
        assert isinstance(total, Tensor)
        return total

    def forward(
        self,
        features: Features,
        depth: Int[Tensor, " batch"],
        joining: Features | None = None,
        *,
        memory: float,
        least: float,
        generator: torch.Generator,
    ) -> Quantized:
        """Quantise for training, item `i` by its first `depth[i]` levels, with straight-through gradients.

        Codes used less than `least` of an even share over `memory` are moved onto this batch first. On the first call
        every level takes its projections and codes from the batch. Neither happens to levels that do not learn.
        """
        left, total, found = features, torch.zeros_like(features), []
        commitment = codebook = residual = features.new_zeros(())
        energy = features.detach().square().mean()
        for number, level in enumerate(self.levels):
            inside = (depth > number).to(features.dtype)[:, None, None]
            if joining is not None and number == self.join:
                left = left + joining
            if level.codebook.requires_grad:
                level.settle(left, least, generator)
            vectors = level.down(left)
            index = level.nearest(vectors)
            level.track(index, memory)
            code = F.embedding(index, level.codebook)
            commitment = commitment + (inside * (vectors - code.detach()).square()).mean()
            codebook = codebook + (inside * (vectors.detach() - code).square()).mean()
            residual = residual + level.residual(left, index) / energy
            up = level.up(vectors + (code - vectors).detach())
            total = total + inside * up
            left = left - up
            found.append(index)
        return Quantized(total, torch.stack(found, dim=1), commitment, codebook, residual / len(self.levels))
