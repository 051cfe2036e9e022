"""A reader of .ost tables and bits that shares no code with the package: whole numbers, as docs/format.md has them."""

from collections.abc import Sequence

PRECISION, WORD, STATE = 24, 32, 64


def root(number: int, times: int) -> int:
    """The square root, rounded down, over and over: by Newton's method on whole numbers."""
    for _ in range(times):
        guess = 1 << (number.bit_length() + 1) // 2
        while (better := (guess + number // guess) // 2) < guess:
            guess = better
        number = guess
    return number


POWERS = [root(2 ** (24 * 256 - step), 8) for step in range(256)]


def shares(scores: Sequence[int]) -> list[int]:
    """Scores to shares of 2**20."""
    best = max(scores)
    falls = [min(best - score, 24 * 256 - 1) for score in scores]
    weights = [POWERS[fall % 256] >> fall // 256 for fall in falls]
    free, total = 2**20 - len(scores), sum(weights)
    found = [1 + weight * free // total for weight in weights]
    found[scores.index(best)] += 2**20 - sum(found)
    return found


class RangeReader:
    """Symbols out of the bytes of a block."""

    def __init__(self, data: bytes) -> None:
        padded = data + bytes(-len(data) % 4)
        self.words = [int.from_bytes(padded[n : n + 4], "big") for n in range(0, len(padded), 4)]
        self.low, self.range = 0, 2**STATE - 1
        self.point = self.word() << WORD | self.word()

    def word(self) -> int:
        return self.words.pop(0) if self.words else 0

    def next(self, table: Sequence[int]) -> int:
        """One symbol under a table of shares of 2**20."""
        scale = self.range >> PRECISION
        place = (self.point - self.low) % 2**STATE // scale
        free = 2**PRECISION - len(table)
        edges, total = [], 0
        for symbol, share in enumerate(table):
            edges.append(total * free // 2**20 + symbol)
            total += share
        edges.append(2**PRECISION)
        symbol = max(n for n in range(len(table)) if edges[n] <= place)
        self.low = (self.low + scale * edges[symbol]) % 2**STATE
        self.range = scale * (edges[symbol + 1] - edges[symbol])
        if self.range >> WORD == 0:
            self.low = (self.low << WORD) % 2**STATE
            self.range <<= WORD
            self.point = (self.point << WORD) % 2**STATE | self.word()
        return symbol
