"""An .ost file to sound: tokens come in block by block, models say what was not kept, the codec makes it heard."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from .audiofile import Writer
from .blocks import Block, BlockCoder
from .codesfile import Origin
from .compress import AT_ONCE, NO_CONTEXT, coder_of, context_of
from .config import parse_named
from .context import ContextModel
from .errors import AudioError, CheckpointError, ConfigError
from .filling import OVERLAP, SPAN, Progress, fill, stages
from .image import Image, spread
from .level import limited
from .means import means
from .ostfile import Header, OstReader
from .pipeline import Pipeline
from .plan import Windows
from .sampling import Sampler, derive, samplers
from .types import Audio, Codes, Mask


def expand(
    pipeline: Pipeline,
    source: Path,
    target: Path,
    *,
    seed: int | None = None,
    salvage: bool = False,
    bare: bool = False,
    watch: Progress | None = None,
) -> tuple[Header, float, list[int]]:
    """Write the sound of an .ost file, block by block, in memory that does not grow with its length.

    Args:
        pipeline: the model that the file was made with.
        source: the .ost file.
        target: the WAV or FLAC file, which appears whole or not at all; where anything is made up, it is limited to
            full scale.
        seed: of what is drawn, in a file that names samplers; the file's own unless given.
        salvage: fill in blocks that are damaged or missing, instead of refusing the file.
        bare: have the codec decode the kept codebooks alone, and fill in nothing.
        watch: called as `watch("expand", seconds written, seconds in all)`.

    Returns:
        The file's header, the gain in dB by which the sound was turned down so as not to clip, and the blocks that
        were lost.

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
        if bare:
            made = pipeline.decode_blocks(_bare(parts, header), _origin(header))
        elif header.settings:
            drawn = filled(pipeline, parts, header, header.seed if seed is None else seed)
            made = pipeline.decode_blocks(drawn, _origin(header))
        else:
            blended = means(pipeline.coarse, pipeline.codec.vectors(), parts)
            made = pipeline.decode_means(blended, _origin(header))
        made = _spread(made, header, images)
        with Writer(target, header.sample_rate, header.channels) as writer:
            for piece in limited(made) if _fills(header) or header.image else made:
                writer.write(piece)
                if watch is not None:
                    watch("expand", round(writer.samples / header.sample_rate), round(header.seconds))
    return header, writer.gain_db, lost


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


def filled(
    pipeline: Pipeline, parts: Iterable[tuple[Codes, Mask]], header: Header, seed: int
) -> Iterator[Int[Tensor, "_ _ _"]]:
    """Codes whose hidden cells the models have filled, a window after the other, as the blocks come in.

    Raises:
        ConfigError: the file names samplers that are not known here.
    """
    names = header.settings.split("\n")
    if len(names) != 2:
        raise ConfigError(f"an .ost file names two samplers or none, got {header.settings!r}")
    coarse, fine = (parse_named(samplers, name) for name in names)
    how: dict[str, Sampler] = {"coarse": coarse, "fine": fine}
    cut, rest, at = Windows(header.frames, SPAN, OVERLAP), iter(parts), 0
    starts = cut.starts()
    codes, mask = next(rest)
    for start, after in zip(starts, [*starts[1:], header.frames], strict=True):
        while at + codes.shape[-1] < start + cut.length:
            more = next(rest)
            codes, mask = torch.cat([codes, more[0]], -1), torch.cat([mask, more[1]], -1)
        here = slice(start - at, start - at + cut.length)
        if bool(mask[..., here].any()):
            work = stages(pipeline.coarse, pipeline.fine, how, derive(seed, start))
            codes[..., here] = fill(work, codes[..., here], mask[..., here])
            mask[..., here] = False
        yield codes[..., : after - at]
        codes, mask, at = codes[..., after - at :], mask[..., after - at :], after


def _origin(header: Header) -> Origin:
    """What the tokens of a file are made of; its side is none of it where it goes as an image."""
    return Origin(
        grid=header.grid,
        sample_rate=header.sample_rate,
        channels=header.rows,
        samples=header.samples,
        gain=header.gain,
        model=header.model,
        hash=header.codec_hash,
    )


def _spread(made: Iterator[Audio], header: Header, images: dict[int, Image | None]) -> Iterator[Audio]:
    """A sound spread to stereo by the images of its blocks, where the side has no tokens."""
    if not header.image:
        return made
    span = header.grid.seconds(header.block)
    return spread(made, lambda time: images.get(min(int(time / span), header.blocks - 1)))


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


def _bare(parts: Iterable[tuple[Codes, Mask]], header: Header) -> Iterator[Int[Tensor, "_ _ _"]]:
    """The lowest codebooks that are kept throughout, alone."""
    everywhere = (1 << header.grid.codebooks) - 1
    for _, column in header.keep.runs or [(0, 0)]:
        everywhere &= column
    books = 0
    while everywhere >> books & 1:
        books += 1
    if books == 0:
        raise ConfigError("the codec can decode kept codebooks alone only where the lowest is kept in every frame")
    for codes, _ in parts:
        yield codes[:, :books]
