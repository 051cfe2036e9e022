"""Tables of whole numbers, and bits that give back what they were spent on."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.bits import TOTAL, Decoder, crc16, encode, even, frequencies, varint
from ostinato.errors import AudioError, MissingPartError
from tests.reading import RangeReader, shares

seeds = st.integers(0, 2**32)


def row_of(seed: int) -> np.ndarray:
    """Any scores for up to 40 tokens, close or far apart."""
    chance = np.random.default_rng(seed)
    spread = int(chance.integers(1, 10000))
    return chance.integers(-spread, spread, int(chance.integers(2, 40)))


def message_of(seed: int) -> tuple[list[int], list[np.ndarray]]:
    """Up to 40 symbols, likely ones and others, and their tables."""
    chance = np.random.default_rng(seed)
    tables = [frequencies(row_of(seed + n)[None])[0] for n in range(int(chance.integers(0, 40)))]
    usual = chance.random() < 0.5
    return [int(each.argmax()) if usual else int(chance.integers(len(each))) for each in tables], tables


@settings(deadline=None)
@given(seeds)
def test_shares_are_whole_and_leave_nothing_over(seed: int):
    table = frequencies(row_of(seed)[None])[0]
    assert table.sum() == TOTAL
    assert table.min() >= 1


@settings(deadline=None)
@given(seeds)
def test_shares_are_those_that_the_format_page_tells(seed: int):
    row = row_of(seed)
    assert frequencies(row[None])[0].tolist() == shares(row.tolist())


def test_a_score_of_256_more_is_twice_as_likely():
    table = frequencies(np.array([[0, 256, 512, 768]]))[0]
    assert np.abs(table[1:] / table[:-1] - 2).max() < 1e-4


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_what_is_encoded_comes_back(seed: int):
    wanted, tables = message_of(seed)
    decoder = Decoder(encode(wanted, tables))
    assert [decoder.next(table) for table in tables] == wanted


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_a_reader_in_plain_whole_numbers_reads_the_same(seed: int):
    wanted, tables = message_of(seed)
    reader = RangeReader(encode(wanted, tables))
    assert [reader.next(table.tolist()) for table in tables] == wanted


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_bits_cost_what_they_are_worth_and_a_byte_at_most(seed: int):
    wanted, tables = message_of(seed)
    worth = sum(-math.log2(table[symbol] / TOTAL) for table, symbol in zip(tables, wanted, strict=True))
    assert 8 * len(encode(wanted, tables)) <= worth + 9 + 0.1 * len(wanted)


def test_bits_do_not_change_within_a_version():
    tables = list(frequencies(np.arange(0, 6000, 1500)[None] * np.ones((12, 1), dtype=np.int64)))
    assert encode([3, 3, 2, 3, 0, 3, 3, 1, 3, 3, 3, 2], tables).hex() == "08e3bd64032b"


def test_knowing_nothing_costs_ten_bits_of_1024():
    assert set(even(1, 1024)[0].tolist()) == {1024}


def test_foreign_bits_are_refused_by_name():
    table = np.array([1, TOTAL - 1])
    with pytest.raises(AudioError, match="belong to no tokens"):
        _ = Decoder(b"\xff" * 12).next(table)


@given(st.integers(0, 2**70))
def test_numbers_take_seven_bits_a_byte(number: int):
    data = varint(number)
    assert sum((byte & 127) << 7 * place for place, byte in enumerate(data)) == number
    assert len(data) == max(1, -(-number.bit_length() // 7))


def test_the_check_is_crc_16_xmodem():
    assert crc16(b"123456789").hex() == "31c3"


def test_without_constriction_it_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "constriction", None)
    with pytest.raises(MissingPartError, match=r"ostinato\[compress\]"):
        _ = encode([0], [even(1, 2)[0]])
