"""Bits: numbers of any size, check words, tables of whole-number probabilities, and the range coder that spends them.

Nothing here rounds a float: tables are made of integers by integer arithmetic, so they are the same on every machine.
"""

import binascii
import importlib
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from .errors import AudioError, MissingPartError

TOTAL = 1 << 20
OCTAVE = 256
FALL = 24
WORD = 4

Scores = Int[np.ndarray, "lane vocab"]
Table = Int[np.ndarray, "lane vocab"]


def _powers() -> Int[np.ndarray, " step"]:
    """`floor(2 ** (24 - i / 256))` for i from 0 to 255: the 256th root by eight whole square roots, exactly."""
    found = []
    for step in range(OCTAVE):
        root = 1 << (FALL * OCTAVE - step)
        for _ in range(8):
            root = math.isqrt(root)
        found.append(root)
    return np.array(found, dtype=np.int64)


POWERS = _powers()


def frequencies(scores: Scores) -> Table:
    """Shares of `TOTAL` for each token, at least 1 each, from scores in steps of 1/256 bit.

    A token that scores 256 less than another gets half its share. What rounding leaves goes to the best token, the
    first of them if there are several.
    """
    fall = np.minimum(scores.max(1, keepdims=True) - scores, FALL * OCTAVE - 1)
    weight = POWERS[fall % OCTAVE] >> (fall // OCTAVE)
    shares = 1 + weight * (TOTAL - scores.shape[1]) // weight.sum(1, keepdims=True)
    shares[np.arange(len(shares)), scores.argmax(1)] += TOTAL - shares.sum(1)
    return shares


def even(lanes: int, vocabulary: int) -> Table:
    """The table of somebody who knows nothing; `vocabulary` is at most `TOTAL`."""
    return frequencies(np.zeros((lanes, vocabulary), dtype=np.int64))


def encode(symbols: Sequence[int], tables: Sequence[Int[np.ndarray, " _"]]) -> bytes:
    """Symbols, each under its own table, in as few whole bytes as decode them again.

    The coder ends on a 4-byte word; of that word as
    few bytes are kept as name a number in the last interval, the rest being zero.

    Raises:
        MissingPartError: constriction is not installed.
    """
    stream = _library().stream
    coder, family = stream.queue.RangeEncoder(), stream.model.Categorical(perfect=False)
    edges = [0, *(n for n in range(1, len(tables)) if len(tables[n]) != len(tables[n - 1])), len(tables)]
    runs = [
        (np.array(symbols[first:last], dtype=np.int32), np.stack(tables[first:last]).astype(np.float64))
        for first, last in itertools.pairwise(edges)
        if last > first
    ]
    for run, rows in runs:
        coder.encode(run, family, rows)
    return _shortest(coder.get_compressed().astype(">u4").tobytes(), runs)


class Decoder:
    """Symbols back out of what `encode` made, one at a time.

    Raises:
        MissingPartError: constriction is not installed.
    """

    def __init__(self, data: bytes) -> None:
        stream = _library().stream
        words = np.frombuffer(data + bytes(-len(data) % WORD), dtype=">u4").astype(np.uint32)
        self._coder, self._family = stream.queue.RangeDecoder(words), stream.model.Categorical(perfect=False)

    def next(self, table: Int[np.ndarray, " vocab"]) -> int:
        """The next symbol, under the table that it was encoded with.

        Raises:
            AudioError: no symbols under such tables were encoded to these bytes.
        """
        try:
            return int(self._coder.decode(self._family, table[None].astype(np.float64))[0])
        except AssertionError:
            raise AudioError("the bits belong to no tokens") from None

    def holds(self, runs: Sequence[tuple[Any, Any]]) -> bool:
        """Whether these symbols come next; each run is an array of symbols and one of tables."""
        try:
            return all((self._coder.decode(self._family, tables) == symbols).all() for symbols, tables in runs)
        except AssertionError:
            return False


def _shortest(words: bytes, runs: Sequence[tuple[Any, Any]]) -> bytes:
    """The fewest bytes that decode to the same symbols: the last words rounded up to whole bytes where that holds."""
    number = int.from_bytes(words, "big")
    for kept in range(max(0, len(words) - 2 * WORD), len(words)):
        rounded = -(-number >> 8 * (len(words) - kept))
        if not rounded >> 8 * kept and Decoder(rounded.to_bytes(kept, "big")).holds(runs):
            return rounded.to_bytes(kept, "big")
    return words


def varint(number: int) -> bytes:
    """A whole number from 0 up, seven bits a byte, lowest first; every byte but the last has its top bit set."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def crc16(data: bytes) -> bytes:
    """Two check bytes: CRC-16/XMODEM (polynomial 0x1021, start 0), which sees every burst of up to 16 bits."""
    return binascii.crc_hqx(data, 0).to_bytes(2, "big")


def _library() -> Any:
    try:
        return importlib.import_module("constriction")
    except ImportError as error:
        raise MissingPartError("constriction is not installed; pip install 'ostinato[compress]'") from error
