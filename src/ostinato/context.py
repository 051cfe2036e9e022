"""The context model: how likely each token is after those before it, in whole numbers only.

A network of one hidden layer for each codebook sees the code vectors of the last frames and of the coarser tokens of
this one. All its weights and activations are integers, and every sum is an integer below 2**53. In float64 such sums
are exact in any order, with or without fused multiplication, so a matrix product may take whatever way is fastest and
still give the same number on every machine.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .bits import Table, frequencies
from .errors import CheckpointError

CONTEXT = "context.safetensors"
PAST = 3
GAPS = 5
VECTOR, HIDDEN, INNER, SCORE = 5, 6, 7, 8
MOST_HIDDEN, MOST_INNER = (1 << 10) - 1, (1 << 11) - 1

Seen = Int[np.ndarray, "lane place codebook"]
State = Int[np.ndarray, " lane"]
Whole = Float[np.ndarray, "_ _"]


def gap_class(gap: int) -> int:
    """How far back the last kept frame lies: next door, 2, 3 to 4, 5 to 8, more."""
    return min((gap - 1).bit_length(), GAPS - 1)


@dataclass(frozen=True)
class ContextModel:
    """The integers of a context model; the shapes are for `codebook` codebooks of `vocab` tokens.

    `vectors` (codebook, vocab + 1, dim) looks tokens up, the last row standing for "none". `first` (codebook,
    (PAST + 1) * codebook * dim, hidden + inner) and `bias` (codebook, 2 * GAPS, hidden + inner) make the hidden layer
    and a straight way past it; `second` (codebook, hidden, inner) joins them; `last` (codebook, inner, vocab) and
    `prior` (codebook, vocab) score the tokens. Weights are int8, each column or table with a number of bits after the
    point (`*_point`).
    """

    vectors: Int[np.ndarray, "_ _ _"]
    first: Int[np.ndarray, "_ _ _"]
    first_point: Int[np.ndarray, "_ _"]
    bias: Int[np.ndarray, "_ _ _"]
    second: Int[np.ndarray, "_ _ _"]
    second_point: Int[np.ndarray, " _"]
    last: Int[np.ndarray, "_ _ _"]
    last_point: Int[np.ndarray, " _"]
    prior: Int[np.ndarray, "_ _"]

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "ContextModel":
        """The model that a file's tensors hold.

        Raises:
            CheckpointError: a tensor is missing, foreign, no integers, or of a shape that does not fit.
        """
        names = [field.name for field in fields(cls)]
        if sorted(tensors) != sorted(names):
            raise CheckpointError(f"a context model has the tensors {', '.join(names)}, got {', '.join(tensors)}")
        for name, tensor in tensors.items():
            if tensor.is_floating_point() or tensor.is_complex():
                raise CheckpointError(f"'{name}' of a context model must be integers, got {tensor.dtype}")
        made = cls(**{name: tensors[name].numpy() for name in names})
        made._check()
        return made

    def tensors(self) -> dict[str, Tensor]:
        """What `of` reads."""
        return {field.name: torch.from_numpy(getattr(self, field.name)) for field in fields(self)}

    @property
    def codebooks(self) -> int:
        return self.vectors.shape[0]

    @property
    def vocabulary(self) -> int:
        return self.vectors.shape[1] - 1

    @property
    def digest(self) -> bytes:
        """Four bytes that tell this model from others: the start of the SHA-256 over its integers."""
        total = hashlib.sha256()
        for field in fields(self):
            total.update(np.ascontiguousarray(getattr(self, field.name), dtype="<i4").tobytes())
        return total.digest()[:4]

    def table(self, codebook: int, seen: Seen, state: State) -> Table:
        """Shares of each token of `codebook` in lanes that have nothing to do with each other.

        Args:
            codebook: which one.
            seen: tokens of this frame (place 0: those of `codebook` and above are not looked at), and of the
                `PAST` kept frames before it, the nearest first; `vocabulary` stands for none.
            state: of each lane, `gap_class`, and `GAPS` more on the side of stereo.
        """
        shown = seen.copy()
        shown[:, 0, codebook:] = self.vocabulary
        looked_up = self.vectors[np.arange(self.codebooks), shown].reshape(len(seen), -1)
        first, second, last = self._factors[codebook]
        sums = _product(looked_up, first)
        sums = (sums >> (VECTOR + self.first_point[codebook] - INNER)) + self.bias[codebook, state]
        inner = self.second.shape[2]
        hidden = np.clip(sums[:, inner:] >> (INNER - HIDDEN), 0, MOST_HIDDEN)
        joined = _product(hidden, second) >> (HIDDEN + self.second_point[codebook] - INNER)
        point = np.clip(sums[:, :inner] + joined, -MOST_INNER, MOST_INNER)
        scores = _product(point, last) >> (INNER + self.last_point[codebook] - SCORE)
        return frequencies(scores + self.prior[codebook])

    @cached_property
    def _factors(self) -> list[tuple[Whole, Whole, Whole]]:
        """The weights of each codebook in float64, which holds them exactly."""
        return [
            tuple(part.astype(np.float64) for part in parts)
            for parts in zip(self.first, self.second, self.last, strict=True)
        ]

    def _check(self) -> None:
        books, tokens, dim = self.vectors.shape
        inner, hidden = self.last.shape[1], self.second.shape[1]
        out = hidden + inner
        shapes = {
            "first": (books, (PAST + 1) * books * dim, out),
            "first_point": (books, out),
            "bias": (books, 2 * GAPS, out),
            "second": (books, hidden, inner),
            "second_point": (books,),
            "last": (books, inner, tokens - 1),
            "last_point": (books,),
            "prior": (books, tokens - 1),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise CheckpointError(
                    f"'{name}' of this context model must be {shape}, got {getattr(self, name).shape}"
                )
        least = {"first_point": INNER - VECTOR, "second_point": INNER - HIDDEN, "last_point": SCORE - INNER}
        for name, low in least.items():
            if not low <= int(getattr(self, name).min()) <= int(getattr(self, name).max()) <= 24:
                raise CheckpointError(f"'{name}' of a context model must be between {low} and 24")


def _product(left: Int[np.ndarray, "lane _"], right: Whole) -> Int[np.ndarray, "lane _"]:
    """An exact product of integers: in float64, for no sum comes near 2**53."""
    return (left.astype(np.float64) @ right).astype(np.int64)
