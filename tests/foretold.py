"""A tiny context model and tiny tokens, made by a rule of whole numbers, so that they are the same everywhere."""

import numpy as np

from ostinato.blocks import Block, BlockCoder
from ostinato.context import GAPS, PAST, ContextModel
from ostinato.types import Grid

GRID = Grid(codebooks=3, vocabulary=16)


def numbers(*shape: int, low: int, high: int, seed: int) -> np.ndarray:
    """Whole numbers from `low` to `high`, strewn by a linear congruence."""
    state, found = seed, []
    for _ in range(int(np.prod(shape))):
        state = (state * 1103515245 + 12345) % 2**31
        found.append(low + (state >> 8) % (high - low + 1))
    return np.array(found).reshape(shape)


def context_model(grid: Grid = GRID, dim: int = 2, hidden: int = 5, inner: int = 4) -> ContextModel:
    """A context model with opinions."""
    books, tokens = grid.codebooks, grid.vocabulary
    byte = {"low": -127, "high": 127}
    return ContextModel(
        vectors=numbers(books, tokens + 1, dim, seed=1, **byte).astype(np.int8),
        first=numbers(books, (PAST + 1) * books * dim, hidden + inner, seed=2, **byte).astype(np.int8),
        first_point=numbers(books, hidden + inner, low=6, high=9, seed=3).astype(np.int32),
        bias=numbers(books, 2 * GAPS, hidden + inner, low=-300, high=300, seed=4).astype(np.int32),
        second=numbers(books, hidden, inner, seed=5, **byte).astype(np.int8),
        second_point=numbers(books, low=6, high=8, seed=6).astype(np.int32),
        last=numbers(books, inner, tokens, seed=7, **byte).astype(np.int8),
        last_point=numbers(books, low=5, high=7, seed=8).astype(np.int32),
        prior=numbers(books, tokens, low=-500, high=500, seed=9).astype(np.int32),
    )


def tokens(rows: int, frames: int, grid: Grid = GRID, seed: int = 10) -> np.ndarray:
    """Tokens of a sound that nobody has heard."""
    return numbers(rows, grid.codebooks, frames, low=0, high=grid.vocabulary - 1, seed=seed)


def golden() -> tuple[BlockCoder, Block]:
    """The block whose bytes are kept in tests/golden."""
    return BlockCoder(GRID, 2, context_model()), Block(tokens(2, 30), np.ones((3, 30), dtype=bool))
