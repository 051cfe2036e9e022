"""Blocks: tokens, masks and images as bytes, and tables that no order of summing changes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato import context
from ostinato.blocks import Block, BlockCoder
from ostinato.context import GAPS, PAST, ContextModel, gap_class
from ostinato.errors import CheckpointError
from ostinato.types import Grid
from tests.foretold import GRID, context_model, golden, numbers, tokens
from tests.reading import RangeReader, shares

GOLDEN = Path(__file__).parent / "golden" / "block.hex"


def blocks_of(seed: int, rows: int, grid: Grid = GRID, *, pictured: bool = False) -> list[Block]:
    """A few blocks of any length, of which some cells are kept."""
    chance = np.random.default_rng(seed)
    found = []
    for number in range(int(chance.integers(1, 4))):
        kept = chance.random((grid.codebooks, int(chance.integers(1, 12)))) < chance.choice([0, 0.1, 0.9, 1])
        if chance.random() < 0.5:
            kept[:] = kept[:1]
        image = np.stack([chance.integers(0, 15, 7), chance.integers(0, 8, 7)]) if pictured else None
        found.append(Block(tokens(rows, kept.shape[1], grid, seed % 1000 + number) * kept, kept, image))
    return found


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32), st.integers(1, 2), st.booleans(), st.sampled_from(["", "imaged", "leaning"]), st.booleans()
)
def test_blocks_come_back(seed: int, rows: int, told: bool, way: str, foretold: bool):
    blocks = blocks_of(seed, rows, pictured=bool(way))
    coder = BlockCoder(GRID, rows, context_model() if foretold else None, told=told, **({way: True} if way else {}))
    shapes = [block.kept if told else np.zeros_like(block.kept) for block in blocks]
    for block, back in zip(blocks, coder.decode(coder.encode(blocks), shapes), strict=True):
        assert (back.tokens == block.tokens).all()
        assert (back.kept == block.kept).all()
        assert (back.image is None) == (block.image is None) == (way == "")
        if back.image is not None and block.image is not None:
            told_rows = 2 if way == "imaged" else 1
            assert (back.image[:told_rows] == block.image[:told_rows]).all()


def test_a_lean_is_coded_as_the_page_says():
    pans = [14, 7, 0, 6, 8, 10, 7]
    block = Block(np.zeros((2, 3, 4), dtype=np.int64), np.zeros((3, 4), dtype=bool), np.array([pans, [0] * 7]))
    data = BlockCoder(GRID, 2, leaning=True).encode([block])[0]
    reader, below = RangeReader(data), 7
    for pan in pans:
        scores = [-min(384 * abs(each - below), 128 + 192 * abs(each - 7)) for each in range(15)]
        below = reader.next(shares(scores))
        assert below == pan


def test_a_block_is_the_same_alone_and_among_others():
    blocks = blocks_of(3, 2) + blocks_of(5, 2)
    coder = BlockCoder(GRID, 2, context_model())
    assert coder.encode(blocks) == [coder.encode([block])[0] for block in blocks]


def test_a_block_that_keeps_nothing_has_no_bytes():
    kept = np.zeros((3, 8), dtype=bool)
    assert BlockCoder(GRID, 1).encode([Block(tokens(1, 8), kept)]) == [b""]


def test_tokens_that_are_foretold_cost_less():
    model = context_model()
    grid, lines = [], np.full((1, PAST + 1, 3), 16)
    for _ in range(40):
        lines[:, 1:], lines[:, 0] = lines[:, :-1].copy(), 16
        for book in range(3):
            lines[0, 0, book] = model.table(book, lines, np.zeros(1, dtype=np.int64))[0].argmax()
        grid.append(lines[0, 0].copy())
    blocks = [Block(np.array(grid).T[None], np.ones((3, 40), dtype=bool))]
    foretold, flat = BlockCoder(GRID, 1, model).encode(blocks), BlockCoder(GRID, 1).encode(blocks)
    assert len(foretold[0]) < 0.7 * len(flat[0])


def test_what_is_not_seen_does_not_matter():
    model, seen = context_model(), tokens(8, PAST + 1, seed=4).transpose(0, 2, 1)
    later = seen.copy()
    later[:, 0, 1:] = 5
    state = np.zeros(8, dtype=np.int64)
    assert (model.table(1, seen, state) == model.table(1, later, state)).all()
    assert (model.table(2, seen, state) != model.table(2, later, state)).any()


@pytest.mark.parametrize("number", [np.float32, np.float64, np.longdouble, np.int64, object])
def test_tables_are_the_same_however_sums_are_taken(number: type, monkeypatch: pytest.MonkeyPatch):
    model, seen, state = context_model(), tokens(8, PAST + 1, seed=4).transpose(0, 2, 1), np.arange(8) % (2 * GAPS)
    usual = [model.table(book, seen, state) for book in range(3)]

    def other(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        order = np.random.default_rng(0).permutation(left.shape[1])
        total = np.zeros((len(left), right.shape[1]), dtype=number)
        for place in order:
            total = total + left[:, place, None].astype(number) * right[place].astype(number)
        return total.astype(np.int64)

    monkeypatch.setattr(context, "_product", other)
    for book, table in enumerate(usual):
        assert (model.table(book, seen, state) == table).all()


def test_tables_are_those_that_the_format_page_tells():
    model, seen, state = context_model(), tokens(4, PAST + 1, seed=4).transpose(0, 2, 1), [0, 3, 5, 9]
    for book in range(3):
        tables = model.table(book, seen, np.array(state))
        for lane in range(4):
            assert tables[lane].tolist() == told(model, book, seen[lane].tolist(), state[lane])


def told(model: ContextModel, book: int, seen: list[list[int]], state: int) -> list[int]:
    """A table by docs/format.md, number by number."""
    inner, hidden = model.last.shape[1], model.second.shape[1]
    inputs = []
    for place, column in enumerate(seen):
        for below, token in enumerate(column):
            hide = place == 0 and below >= book
            inputs += model.vectors[below, 16 if hide else token].tolist()
    sums = []
    for out in range(inner + hidden):
        total = sum(value * int(model.first[book, n, out]) for n, value in enumerate(inputs))
        sums.append((total >> int(model.first_point[book, out]) - 2) + int(model.bias[book, state, out]))
    units = [min(max(total >> 1, 0), 1023) for total in sums[inner:]]
    point = []
    for out in range(inner):
        joined = sum(unit * int(model.second[book, n, out]) for n, unit in enumerate(units))
        joined >>= int(model.second_point[book]) - 1
        point.append(min(max(sums[out] + joined, -2047), 2047))
    scores = []
    for token in range(16):
        total = sum(value * int(model.last[book, n, token]) for n, value in enumerate(point))
        scores.append((total >> int(model.last_point[book]) - 1) + int(model.prior[book, token]))
    return shares(scores)


def test_the_bytes_of_a_block_never_change_within_a_version():
    coder, block = golden()
    assert coder.encode([block])[0].hex() == GOLDEN.read_text().strip()


def test_a_reader_that_shares_no_code_reads_the_golden_block():
    model, block = golden()[0].context, golden()[1]
    assert model is not None
    reader = RangeReader(bytes.fromhex(GOLDEN.read_text()))
    seen = [[[16] * 3 for _ in range(PAST + 1)] for _ in range(2)]
    for frame in range(6):
        for row in seen:
            row[1:], row[0] = row[:-1], [16] * 3
        for book in range(3):
            for row in range(2):
                token = reader.next(told(model, book, seen[row], GAPS * row))
                assert token == block.tokens[row, book, frame]
            for row in range(2):
                seen[row][0][book] = int(block.tokens[row, book, frame])


@pytest.mark.parametrize(("threads", "kernels"), [(1, ""), (2, ""), (1, "Prescott"), (1, "Nehalem"), (2, "Haswell")])
def test_the_golden_block_is_read_on_any_threads_and_by_any_kernels(threads: int, kernels: str):
    script = (
        "import sys; from tests.foretold import golden; coder, block = golden();"
        "back = coder.decode([bytes.fromhex(sys.argv[1])], [block.kept])[0];"
        "assert (back.tokens == block.tokens).all()"
    )
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    surroundings = os.environ | dict.fromkeys(names, str(threads)) | {"OPENBLAS_CORETYPE": kernels}
    _ = subprocess.run(
        [sys.executable, "-c", script, GOLDEN.read_text()], check=True, cwd=Path(__file__).parents[1], env=surroundings
    )


def test_a_context_model_survives_its_file():
    model = context_model()
    again = ContextModel.of(model.tensors())
    assert again.digest == model.digest
    assert (again.codebooks, again.vocabulary) == (3, 16)


def test_another_weight_is_another_digest():
    tensors = context_model().tensors()
    assert ContextModel.of(tensors | {"prior": tensors["prior"] + 1}).digest != context_model().digest


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prior": None}, "has the tensors"),
        ({"prior": torch.zeros(3, 16)}, "must be integers"),
        ({"prior": torch.zeros(3, 15, dtype=torch.int32)}, "must be"),
        ({"last_point": torch.full((3,), 40)}, "between 1 and 24"),
    ],
)
def test_a_wrong_context_file_is_refused_by_name(change: dict[str, torch.Tensor | None], said: str):
    tensors = {name: value for name, value in (context_model().tensors() | change).items() if value is not None}
    with pytest.raises(CheckpointError, match=said):
        _ = ContextModel.of(tensors)


def test_gaps_have_five_classes():
    assert [gap_class(gap) for gap in (1, 2, 3, 4, 5, 8, 9, 500)] == [0, 1, 2, 2, 3, 3, 4, 4]


def test_numbers_of_the_tests_are_what_they_were():
    assert numbers(4, low=0, high=99, seed=1).tolist() == [54, 24, 56, 95]
