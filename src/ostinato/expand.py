"""An .ost file to sound: tokens come in block by block, models say what was not kept, the codec makes it heard."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from .audiofile import Writer
from .blocks import Block, BlockCoder
from .compress import AT_ONCE, NO_CONTEXT, coder_of, context_of
from .context import ContextModel
from .errors import AudioError, CheckpointError, ConfigError
from .filling import Progress
from .image import Image
from .level import limited
from .ostfile import Header, OstReader
from .ostsound import sound
from .pipeline import Pipeline
from .types import Codes, Mask


def expand(
    pipeline: Pipeline,
    source: Path,
    target: Path,
    *,
    seed: int | None = None,
    salvage: bool = False,
    bare: bool = False,
    watch: Progress | None = None,
) -> tuple[Header, list[int]]:
    """Write the sound of an .ost file, block by block, in memory that does not grow with its length.

    Args:
        pipeline: the model that the file was made with.
        source: the .ost file.
        target: the WAV or FLAC file, which appears whole or not at all, limited to full scale.
        seed: of what is drawn, in a file that names samplers; the file's own unless given.
        salvage: fill in blocks that are damaged or missing, instead of refusing the file.
        bare: have the codec decode the kept codebooks alone, and fill in nothing.
        watch: called as `watch("expand", seconds written, seconds in all)`.

    Returns:
        The file's header, and the blocks that were lost.

    Raises:
        AudioError: the file is damaged, or no .ost file of a version known here. CheckpointError: it was made with
            another model. ConfigError: `bare`, but no codebook is kept in all frames; or a seed, but nothing is drawn.
    """
    with OstReader(source) as reader:
        header, lost = reader.header, []
        check_model(header, pipeline, source, bare=bare)
        if seed is not None and not header.settings:
            raise ConfigError(
                f"{source} draws nothing, so that a seed has no use; `compress` with samplers where it shall"
            )
        images: dict[int, Image | None] = {}
        parts = tokens_of(reader, context_of(pipeline.folder, pipeline.grid), images, lost if salvage else None)
        made = sound(pipeline, header, parts, images, seed=seed, bare=bare)
        with Writer(target, header.sample_rate, header.channels) as writer:
            for piece in limited(made):
                writer.write(piece)
                if watch is not None:
                    watch("expand", round(writer.samples / header.sample_rate), round(header.seconds))
    return header, lost


def check_model(header: Header, pipeline: Pipeline, path: Path, *, bare: bool = False) -> None:
    """See that a file was made with this model.

    Raises:
        CheckpointError: it was not; the message says which part is another.
    """
    context = context_of(pipeline.folder, pipeline.grid)
    there = {"codec": pipeline.codec_hash, "context model": NO_CONTEXT if context is None else context.digest.hex()}
    needed = {"codec": header.codec_hash, "context model": header.context}
    if _fills(header) and not bare:
        there["model"], needed["model"] = pipeline.hash, header.model_hash
    for part, wanted in needed.items():
        if there[part] != wanted:
            raise CheckpointError(
                f"{path} needs the {part} {wanted} of model '{header.model}', '{pipeline.name}' has {there[part]}; "
                "name the right one with --model"
            )
    if header.grid != pipeline.grid:
        raise CheckpointError(f"{path} is of another grid than model '{pipeline.name}'; name its model with --model")


def _fills(header: Header) -> bool:
    """Whether some cells are not kept; where each block tells its own mask, it may be so."""
    return any(column != (1 << header.grid.codebooks) - 1 for _, column in header.keep.runs or [(0, 0)])


def tokens_of(
    reader: OstReader, context: ContextModel | None, images: dict[int, Image | None], lost: list[int] | None
) -> Iterator[tuple[Codes, Mask]]:
    """Codes and which of them are hidden, some blocks at a time; `images` is filled on the way.

    A block that is damaged or missing is noted in `lost`, and all of it is hidden.

    Raises:
        AudioError: a block is damaged or missing, and `lost` is None.
    """
    header = reader.header
    coder = coder_of(header, context)
    if lost is None and not reader.whole:
        raise AudioError(
            f"{reader.path} is {reader.size} bytes long, not {reader.starts[-1]} as its index promises; "
            "--salvage gets what there is"
        )
    for first in range(0, header.blocks, AT_ONCE):
        blocks = [_block(reader, number, lost) for number in range(first, min(first + AT_ONCE, header.blocks))]
        whole = _decoded(header, coder, first, blocks)
        for number, block in enumerate(whole, first):
            images[number] = block.image
        tokens = torch.from_numpy(np.concatenate([block.tokens for block in whole], -1))
        kept = torch.from_numpy(np.concatenate([block.kept for block in whole], -1))
        yield tokens, (~kept)[None].expand_as(tokens).clone()


def _block(reader: OstReader, number: int, lost: list[int] | None) -> bytes | None:
    data = reader.block(number)
    if data is None:
        if lost is None:
            at = reader.header.grid.seconds(reader.header.span(number)[0])
            raise AudioError(f"{reader.path} is damaged at {at:.1f} s (block {number}); --salvage gets the rest")
        lost.append(number)
    return data


def _decoded(header: Header, coder: BlockCoder, first: int, data: Sequence[bytes | None]) -> list[Block]:
    """Blocks from their bytes; those that are lost hide everything."""
    shapes = []
    for number, each in enumerate(data, first):
        start, frames = header.span(number)
        kept = header.keep.kept(header.grid.codebooks, start, frames)
        shapes.append(np.zeros_like(kept) if each is None else kept)
    there = [n for n, each in enumerate(data) if each is not None]
    decoded = dict(zip(there, coder.decode([data[n] or b"" for n in there], [shapes[n] for n in there]), strict=True))
    nothing = [np.zeros((header.rows, *shape.shape), dtype=np.int64) for shape in shapes]
    return [decoded.get(n) or Block(nothing[n], shapes[n]) for n in range(len(data))]
