"""What the tokens of an .ost file sound like: models say what was not kept, the codec makes it heard."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from .codesfile import Origin
from .config import parse_named
from .errors import ConfigError
from .filling import OVERLAP, SPAN, fill, stages
from .image import BANDS, MIDDLE, Image, shares_of, spread
from .means import means
from .ostfile import Header
from .pipeline import Pipeline
from .plan import Windows
from .sampling import Sampler, derive, samplers
from .stereo import Lean, leaning
from .types import Audio, Codes, Mask


def sound(
    pipeline: Pipeline,
    header: Header,
    parts: Iterable[tuple[Codes, Mask]],
    images: Mapping[int, Image | None],
    *,
    seed: int | None = None,
    bare: bool = False,
) -> Iterator[Audio]:
    """The sound of tokens piece by piece, in flat memory; it may pass full scale.

    Args:
        pipeline: the model that the file was made with.
        header: that of the file.
        parts: its codes in pieces, and which of them are hidden.
        images: those of the blocks that have passed, by number.
        seed: of what is drawn; the file's own unless given.
        bare: have the codec decode the kept codebooks alone, and fill in nothing.

    Raises:
        ConfigError: the file names samplers that are not known here; or `bare`, but no codebook is kept in all frames.
    """
    if bare:
        made = pipeline.decode_blocks(_bare(parts, header), _origin(header))
    elif header.settings:
        drawn = filled(pipeline, parts, header, header.seed if seed is None else seed)
        made = pipeline.decode_blocks(drawn, _origin(header))
    else:
        blended = means(pipeline.coarse, pipeline.codec.vectors(), parts)
        made = pipeline.decode_means(blended, _origin(header))
    return _spread(made, header, images)


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
            work = stages(pipeline.codec.quantizer, pipeline.coarse, pipeline.fine, how, derive(seed, start))
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


def _spread(made: Iterator[Audio], header: Header, images: Mapping[int, Image | None]) -> Iterator[Audio]:
    """A sound spread to stereo by the images of its blocks, or leaning as these say where the side has tokens."""
    span = header.grid.seconds(header.block)

    def image_of(time: float) -> Image | None:
        return images.get(max(0, min(int(time / span), header.blocks - 1)))

    if header.image:
        return spread(made, image_of)
    return leaning(made, lambda times: _lean([image_of(time) for time in times])) if header.lean else made


def _lean(images: Sequence[Image | None]) -> Lean:
    """What images say of the lean; a block that is lost leans nowhere."""
    pans = [np.full(BANDS, MIDDLE) if image is None else image[0] for image in images]
    return shares_of(torch.from_numpy(np.stack(pans)))


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
