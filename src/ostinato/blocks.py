"""A block: the kept tokens of a second or so as bytes, and back; it needs no other block.

Coder and decoder take one walk over the cells, frame by frame, from the coarsest codebook up, mid before side, and ask
the context model at each kept cell. Many blocks are walked side by side, for a model asked about many cells at once
answers sooner.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from .bits import OCTAVE, TOTAL, Decoder, encode, even, frequencies
from .context import GAPS, PAST, ContextModel, gap_class
from .image import BANDS, MIDDLE, PANS, WIDTHS, Image
from .types import Grid

Tokens = Int[np.ndarray, "row codebook _"]
Kept = Bool[np.ndarray, "codebook _"]
Tables = Int[np.ndarray, "lane row vocab"]

SAME, ALIKE, START, LEARN = (64, 4), ((32, 4), (4, 32), (16, 16)), 2, 4


@dataclass(frozen=True)
class Block:
    """What a block tells: tokens (0 where none are kept), which are kept, and the stereo image if it has one."""

    tokens: Tokens
    kept: Kept
    image: Image | None = None


@dataclass(frozen=True)
class BlockCoder:
    """How the blocks of a file are coded.

    Args:
        grid: the raster of the tokens.
        rows: mono 1, stereo 2.
        context: what foretells the tokens; without it every token costs as much as any other.
        told: whether who decodes a block knows which of its cells are kept.
        imaged: whether blocks have a stereo image.
        leaning: whether they have the pans of one alone.
    """

    grid: Grid
    rows: int
    context: ContextModel | None = None
    told: bool = True
    imaged: bool = False
    leaning: bool = False

    def encode(self, blocks: Sequence[Block]) -> list[bytes]:
        """The bytes of each block; a block that tells nothing has none."""
        coded: list[tuple[list[int], list[np.ndarray]]] = [([], []) for _ in blocks]

        def spend(lane: int, symbol: int, table: np.ndarray) -> int:
            coded[lane][0].append(symbol)
            coded[lane][1].append(table)
            return symbol

        for lane, block in enumerate(blocks):
            _ = self._prelude(lambda table, symbol, lane=lane: spend(lane, symbol, table), block)
        for book, frame, lanes, tables in self._walk(blocks):
            for lane, rows in zip(lanes, tables, strict=True):
                for row, table in enumerate(rows):
                    _ = spend(lane, int(blocks[lane].tokens[row, book, frame]), table)
        return [encode(symbols, tables) for symbols, tables in coded]

    def decode(self, data: Sequence[bytes], kept: Sequence[Kept]) -> list[Block]:
        """The blocks; where it is not told which cells are kept, `kept` gives no more than their shapes.

        Raises:
            AudioError: the bytes are not those of a block.
        """
        decoders = [Decoder(each) for each in data]
        blocks = []
        for decoder, each in zip(decoders, kept, strict=True):
            empty = Block(np.zeros((self.rows, *each.shape), dtype=np.int64), each)
            blocks.append(self._prelude(lambda table, _, decoder=decoder: decoder.next(table), empty))
        for book, frame, lanes, tables in self._walk(blocks):
            for lane, rows in zip(lanes, tables, strict=True):
                blocks[lane].tokens[:, book, frame] = [decoders[lane].next(table) for table in rows]
        return blocks

    def _prelude(self, pass_by: Callable[[np.ndarray, int], int], block: Block) -> Block:
        """What comes before the tokens, symbol by symbol past a coder or out of a decoder."""
        kept, image = block.kept, block.image
        if not self.told:
            kept = _mask(pass_by, kept)
        if self.imaged or self.leaning:
            image = np.zeros((2, BANDS), dtype=np.int64) if image is None else image
            image = _image(pass_by, image) if self.imaged else _lean(pass_by, image)
        return Block(block.tokens, kept, image)

    def _walk(self, blocks: Sequence[Block]) -> Iterator[tuple[int, int, list[int], Tables]]:
        """Codebook, frame, the blocks where that cell is kept, and their tables; tokens are read as they come."""
        books, none = self.grid.codebooks, self.grid.vocabulary
        kept = [block.kept for block in blocks]
        seen = np.full((len(kept), self.rows, PAST + 1, books), none)
        last = [-1] * len(kept)
        for frame in range(max((each.shape[1] for each in kept), default=0)):
            here = [n for n, each in enumerate(kept) if frame < each.shape[1] and each[:, frame].any()]
            seen[here, :, 1:], seen[here, :, 0] = seen[here, :, :-1].copy(), none
            gap = np.array([gap_class(frame - last[n]) if last[n] >= 0 else 0 for n in range(len(kept))])
            for book in range(books):
                lanes = [n for n in here if kept[n][book, frame]]
                if not lanes:
                    continue
                yield book, frame, lanes, self._tables(book, seen[lanes], gap[lanes])
                for lane in lanes:
                    seen[lane, :, 0, book] = blocks[lane].tokens[:, book, frame]
            for lane in here:
                last[lane] = frame

    def _tables(
        self, book: int, seen: Int[np.ndarray, "lane row place codebook"], gap: Int[np.ndarray, " lane"]
    ) -> Tables:
        if self.context is None:
            flat = even(1, self.grid.vocabulary)[0]
            return np.broadcast_to(flat, (*seen.shape[:2], len(flat)))
        state = gap[:, None] + GAPS * np.arange(self.rows)
        flat = self.context.table(book, seen.reshape(-1, *seen.shape[2:]), state.reshape(-1))
        return flat.reshape(*seen.shape[:2], -1)


def _mask(pass_by: Callable[[np.ndarray, int], int], kept: Kept) -> Kept:
    """A mask as flags, with counts that learn as they pass.

    A frame first says whether it keeps other codebooks than the one before. If so, its cells say one by one whether
    they are kept, each knowing the one below.
    """
    counts = [list(pair) for pair in (SAME, *ALIKE)]

    def flag(context: int, value: bool) -> bool:
        no, yes = counts[context]
        share = TOTAL * no // (no + yes)
        told = pass_by(np.array([share, TOTAL - share]), int(value))
        counts[context][told] += LEARN
        return bool(told)

    found = np.zeros_like(kept)
    before = np.zeros(len(kept), dtype=bool)
    for frame, column in enumerate(kept.T):
        if flag(0, bool((column != before).any())):
            below = START
            for book, cell in enumerate(column):
                found[book, frame] = flag(1 + below, bool(cell))
                below = int(found[book, frame])
        else:
            found[:, frame] = before
        before = found[:, frame]
    return found


def _image(pass_by: Callable[[np.ndarray, int], int], image: Image) -> Image:
    """An image, pans then widths, each band near the one below it: every step away halves the odds."""
    found = np.zeros_like(image)
    for row, (size, usual) in enumerate(((PANS, MIDDLE), (WIDTHS, 0))):
        for band in range(BANDS):
            away = np.abs(np.arange(size) - (found[row, band - 1] if band else usual))
            found[row, band] = pass_by(frequencies(-OCTAVE * away[None])[0], int(image[row, band]))
    return found


def _lean(pass_by: Callable[[np.ndarray, int], int], image: Image) -> Image:
    """The pans of an image, each near that of the band below it or near the middle."""
    found, pans, below = np.zeros_like(image), np.arange(PANS), MIDDLE
    for band in range(BANDS):
        away = np.minimum(3 * OCTAVE // 2 * abs(pans - below), 3 * OCTAVE // 4 * abs(pans - MIDDLE) + OCTAVE // 2)
        below = found[0, band] = pass_by(frequencies(-away[None])[0], int(image[0, band]))
    return found
