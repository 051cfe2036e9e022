"""Tiny seeded models, small enough to make in every test run."""

from pathlib import Path

import torch
import torch.nn.functional as F

from ostinato.checkpoint import save
from ostinato.codec import CodecConfig, SpectralCodec
from ostinato.lm import LMConfig, MaskedModel
from ostinato.types import Grid

GRID = Grid(codebooks=6, vocabulary=32)
CODEC = CodecConfig(
    grid=GRID,
    fast_in=16,
    fast_in_blocks=1,
    slow_in=16,
    slow_in_blocks=1,
    slow_out=16,
    slow_out_blocks=1,
    fast_out=16,
    fast_out_blocks=1,
    window=16,
    phased=4,
)
COARSE = LMConfig(codebooks=4, vocabulary=32, width=32, layers=2, heads=2)
FINE = LMConfig(codebooks=6, given=4, vocabulary=32, width=32, layers=1, heads=2)


def codec(settings: CodecConfig = CODEC, seed: int = 0) -> SpectralCodec:
    """A codec with random weights, soft enough not to clip, and with codes of one length, all of which it uses."""
    with torch.random.fork_rng():
        _ = torch.manual_seed(seed)
        made = SpectralCodec(settings)
        made.shape_out.part.bias.data -= 4
        for level in made.quantizer.levels:
            level.codebook.data = settings.dim**0.5 * F.normalize(level.codebook.data, dim=-1)
        return made.eval().requires_grad_(False)


def model(settings: LMConfig = COARSE, seed: int = 0) -> MaskedModel:
    """A masked model with random weights, loud enough to have opinions."""
    with torch.random.fork_rng():
        _ = torch.manual_seed(seed)
        made = MaskedModel(settings)
        _ = made.vectors.normal_()
        _ = made.transformer.bias.table.weight.data.normal_()
        made.classify.weight.data *= 4
        return made.eval().requires_grad_(False)


def write_model(folder: Path, seed: int = 0) -> Path:
    """A whole model folder: codec, coarse and fine."""
    save(folder / "codec", CODEC, codec(seed=seed))
    save(folder / "coarse", COARSE, model(COARSE, seed))
    save(folder / "fine", FINE, model(FINE, seed))
    return folder
