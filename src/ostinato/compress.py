"""Sound to an .ost file: kept tokens are coded as their context foretells them, the others are left to the model."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from . import ostfile
from .blocks import Block, BlockCoder
from .checkpoint import read_tensors
from .clip import Heard
from .codesfile import Origin
from .config import unparse_named
from .context import CONTEXT, ContextModel
from .dsp import mid_side
from .errors import CheckpointError, ConfigError
from .filling import Progress
from .image import MIDDLE, Image, measure
from .level import bounded, limited_gain, loudness_of
from .listening import listen
from .longplay import Meter, encode_file, file_pieces
from .ostfile import Header, Keep
from .ostsound import sound
from .pipeline import HELD, PART, Pipeline
from .prompts import Prompt
from .resampling import resampled
from .sampling import Sampler, samplers
from .surprise import by_frame
from .types import Audio, Codes, Grid, Mask, Pieces
from .windows import windows

NO_CONTEXT = "0" * 8
AT_ONCE = 16
LEAST_CELLS, LONGEST = 20, 8
THINNED = (
    (4, 0),
    (3, 0),
    (3, 0, 2, 0),
    (2, 0),
    (2, 0, 1, 0),
    (1, 0),
    *((1, *(0,) * gap) for gap in (2, 3, 5, 7, 15)),
)
Hidden: TypeAlias = Bool[Tensor, "codebook frame"]


@dataclass(frozen=True)
class Rung:
    """A step of the dial: how many of the lowest codebooks are kept in each frame of a pattern that repeats."""

    levels: tuple[int, ...]

    def hidden(self, grid: Grid, frames: int) -> Hidden:
        """The mask of this step: True where cells are hidden."""
        kept = torch.tensor(self.levels).repeat(-(-frames // len(self.levels)))[:frames]
        return torch.arange(grid.codebooks)[:, None] >= kept


def ladder(grid: Grid) -> list[Rung]:
    """The steps of the dial, from the most bits to the fewest.

    Down to three codebooks all frames keep the same; below, every other frame keeps more than all could: what lies
    between two frames the coarse model knows better than what the next codebook of either would tell.
    """
    whole = [Rung((books,)) for books in range(grid.codebooks, min(2, grid.codebooks - 1), -1)]
    thinned = [Rung(levels) for levels in THINNED if max(levels) <= grid.codebooks]
    return whole + thinned


def of_quality(grid: Grid, quality: int) -> Rung:
    """The step of the dial for a quality of 0 to 10: 10 keeps every token, 1 one codebook, 0 every fourth frame of it.

    Raises:
        ConfigError: the quality is out of range.
    """
    if not 0 <= quality <= 10:
        raise ConfigError(f"quality goes from 0 to 10, got {quality}")
    return Rung((1, 0, 0, 0) if quality == 0 else (max(1, round(1 + (quality - 1) / 9 * (grid.codebooks - 1))),))


def context_of(folder: Path, grid: Grid) -> ContextModel | None:
    """The context model in a model's folder, or None where it has none.

    Raises:
        CheckpointError: it is damaged, or for another grid.
    """
    path = folder / CONTEXT
    if not path.is_file():
        return None
    model = ContextModel.of(read_tensors(path))
    if (model.codebooks, model.vocabulary) != (grid.codebooks, grid.vocabulary):
        raise CheckpointError(f"{path} is for {model.codebooks} codebooks of {model.vocabulary}, not for this codec")
    return model


@dataclass(frozen=True)
class Packed:
    """What a file is made of, and what its blocks tell."""

    header: Header
    blocks: list[bytes]
    hidden: Hidden
    images: Sequence[Image]

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(ostfile.assemble(self.header, self.blocks))


@dataclass(frozen=True)
class Coded:
    """Tokens of a sound and what else an .ost file tells; `pack` makes a file of them.

    `images` gives the stereo image of each block of so many frames; `leans` says whether a side of tokens needs it,
    too, to lean as the original does.
    """

    codes: Codes
    origin: Origin
    context: ContextModel | None
    images: Callable[[int], Sequence[Image]] | None
    leans: bool
    model_hash: str
    seed: int = 0
    settings: str = ""

    def pack(self, hidden: Hidden, *, sides: bool) -> Packed:
        """A file that keeps what `hidden` leaves, with the side as tokens or as an image."""
        header = self._header(hidden)
        images = [] if self.images is None or (sides and not self.leans) else self.images(header.block)
        lean = sides and any((image[0] != MIDDLE).any() for image in images)
        header = replace(header, image=bool(images) and not sides, lean=lean)
        images = images if header.image or lean else []
        coder = coder_of(header, self.context)
        rows, kept = self.codes[: header.rows].long().numpy(), (~hidden).numpy()
        blocks: list[bytes] = []
        for first in range(0, header.blocks, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, header.blocks))
            blocks += coder.encode([_block(header, rows, kept, images, number) for number in numbers])
        return Packed(header, blocks, hidden, images)

    def parts(self, packed: Packed) -> Iterator[tuple[Codes, Mask]]:
        """What whoever reads that file finds: codes in pieces, and which of them are hidden."""
        rows = self.codes[: packed.header.rows]
        for codes, hidden in zip(rows.split(PART, -1), packed.hidden.split(PART, -1), strict=True):
            mask = hidden[None].expand_as(codes).clone()
            yield codes.long().masked_fill(mask, 0), mask

    def _header(self, hidden: Hidden) -> Header:
        origin = self.origin
        return Header(
            grid=origin.grid,
            sample_rate=origin.sample_rate,
            channels=origin.channels,
            samples=origin.samples,
            gain=origin.gain,
            seed=self.seed,
            block=block_frames(hidden),
            keep=Keep.of(hidden),
            model=origin.model,
            settings=self.settings,
            model_hash=self.model_hash,
            codec_hash=origin.hash,
            context=NO_CONTEXT if self.context is None else self.context.digest.hex(),
        )


def block_frames(hidden: Hidden) -> int:
    """Frames in a block: about 1 s, or as many seconds as keep 20 cells, at most 8."""
    cells = float((~hidden).sum()) * ostfile.BLOCK / hidden.shape[1]
    return ostfile.BLOCK * (LONGEST if cells * LONGEST <= LEAST_CELLS else max(1, math.ceil(LEAST_CELLS / cells)))


def coder_of(header: Header, context: ContextModel | None) -> BlockCoder:
    """What codes the blocks of a file."""
    told = header.keep.period > 0
    return BlockCoder(header.grid, header.rows, context, told=told, imaged=header.image, leaning=header.lean)


def _block(
    header: Header,
    rows: Int[np.ndarray, "row codebook _"],
    kept: Bool[np.ndarray, "codebook _"],
    images: Sequence[Image],
    number: int,
) -> Block:
    start, frames = header.span(number)
    part = slice(start, start + frames)
    return Block(rows[..., part], kept[:, part], images[number] if images else None)


def compress(
    pipeline: Pipeline,
    source: Path,
    target: Path,
    *,
    keep: Prompt | Rung | float,
    sides: bool | None = None,
    seed: int = 0,
    coarse: Sampler | None = None,
    fine: Sampler | None = None,
    heard: Heard | None = None,
    watch: Progress | None = None,
) -> tuple[Header, int]:
    """Write a sound as an .ost file.

    Args:
        pipeline: the model that will fill in what is not kept.
        source: a sound file of any length.
        target: the .ost file, which appears whole or not at all.
        keep: which cells, as a prompt, a step of the dial, or the most bits a second.
        sides: give the side of stereo as tokens; as an image of the mid where False, and by default wherever
            anything is hidden.
        seed: of what will be drawn.
        coarse, fine: samplers that draw it; unless given, it will be heard as what is expected on average.
        heard: what is known of the sound, such as its beats; what else a prompt needs is listened for.
        watch: called as `watch("encode", seconds, seconds in all)`, then as `watch("fit", steps tried, most)`,
            last as `watch("level", seconds, seconds in all)`, while what will be expanded is heard.

    Returns:
        The file's header, and its size in bytes.

    Raises:
        AudioError: a file cannot be read or written. PromptError: the prompt does not fit the sound. ConfigError: no
            step of the dial needs so few bits.
    """
    _ = ostfile.check_writable(target)
    pieces = file_pieces(source)
    small, origin = encode_file(pipeline, source, watch=watch)
    codes = small.to(torch.int32)
    names = [unparse_named(samplers, each) for each in (coarse, fine) if each is not None]
    if len(names) == 1:
        raise ConfigError("give a sampler for both models or for none")
    coded = Coded(
        codes,
        origin,
        context_of(pipeline.folder, pipeline.grid),
        functools.cache(functools.partial(images_of, pieces, pipeline.grid)) if origin.channels == 2 else None,
        pipeline.codec.draws_phases,
        pipeline.hash,
        seed,
        "\n".join(names),
    )
    if isinstance(keep, Prompt):
        heard = listen(pieces, keep.needs, heard)
        if "surprise" in keep.needs:
            heard = replace(heard, surprise=by_frame(pipeline.coarse, codes.long()))
        clip = pipeline.clip(origin.samples, origin.sample_rate, heard=heard)
        packed = packed_as(coded, keep.mask(clip), sides)
    else:
        packed = packed_as(coded, keep, sides, watch)
    header = _as_loud(pipeline, coded, packed, pieces, watch)
    return header, ostfile.write(target, header, packed.blocks)


def packed_as(
    coded: Coded, keep: Hidden | Rung | float, sides: bool | None = None, watch: Progress | None = None
) -> Packed:
    """A file that keeps what `keep` says: as a mask, a step of the dial, or the most bits a second.

    Raises:
        ConfigError: no step of the dial needs so few bits.
    """
    grid, frames = coded.origin.grid, coded.codes.shape[-1]

    def pack(hidden: Hidden) -> Packed:
        whole = not bool(hidden.any()) if sides is None else sides
        return coded.pack(hidden, sides=whole)

    if isinstance(keep, Rung):
        return pack(keep.hidden(grid, frames))
    if isinstance(keep, Tensor):
        return pack(keep)
    steps = ladder(grid)
    low, high, tried = 0, len(steps), 0
    found = None
    while low < high:
        if watch is not None:
            watch("fit", tried, len(steps).bit_length())
        middle, tried = (low + high) // 2, tried + 1
        made = pack(steps[middle].hidden(grid, frames))
        if 8 * made.size <= keep * coded.origin.seconds:
            found, high = made, middle
        else:
            low = middle + 1
    if found is None:
        raise ConfigError(f"no step of the dial needs as little as {keep:g} bit/s for this sound; choose a higher rate")
    return found


def _as_loud(pipeline: Pipeline, coded: Coded, packed: Packed, original: Pieces, watch: Progress | None) -> Header:
    """The header with the gain that makes what is expanded as loud as the original, at most 12 dB up or down."""
    header, heard = packed.header, Meter("level", round(packed.header.seconds), watch)

    def made() -> Iterator[Audio]:
        return heard.passed(sound(pipeline, header, coded.parts(packed), dict(enumerate(packed.images))))

    factor = limited_gain(made, loudness_of(original()), held=header.seconds <= HELD)
    return replace(header, gain=header.gain / bounded(factor))


def images_of(pieces: Pieces, grid: Grid, block: int) -> list[Image]:
    """The stereo image of each block of `block` frames of a stereo sound in pieces."""
    waves = (mid_side(piece.wave[0])[None] for piece in resampled(pieces(), grid.sample_rate))
    cut = windows(waves, block * grid.hop, 0)
    return [measure(part[0, :, :real], grid.sample_rate) for part, real in cut]
