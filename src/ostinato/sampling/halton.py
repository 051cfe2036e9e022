"""Halton: cells are filled in an order that is spread evenly over the grid, whatever the model says."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..chance import Noise, derive
from ..config import config, knob
from ..types import Mask
from .passes import Stepped
from .plug import samplers
from .steps import ranks

BITS = 32


@samplers("halton")
@config
class Halton(Stepped):
    """Parallel decoding in low-discrepancy order: what a pass keeps lies as far apart as can be.

    A cell's turn depends on its codebook, its frame and the seed alone: it is the number of the first point of the
    Halton sequence (bases 2 and 3) that falls on it. A window so has the order of the whole, and a circular clip
    that is turned has its order turned with it.

    Source: the Halton scheduler (arXiv:2503.17076), with the sequence turned inside out.
    """

    tilt: float = knob(
        "how much earlier coarser codebooks go; 1 is one codebook after the other", default=0.0, low=0, high=1
    )

    def trust(self, step: int, likely: Float[Tensor, " hidden"], mask: Mask, noise: Noise) -> Float[Tensor, " hidden"]:
        _, codebooks, frames = mask.shape
        seeds = torch.tensor([[derive(seed, axis) % 2**BITS for axis in (0, 1)] for seed in noise.seeds])
        moved = seeds.to(mask.device)[:, :, None, None]
        level = torch.arange(codebooks, device=mask.device)[:, None]
        turn = ranks(halton_number(moved[:, 1] + level, moved[:, 0] + noise.frames(frames, mask.device), codebooks))
        later = turn + self.tilt * level * (codebooks * frames)
        return -ranks(later, turn)[mask].float()


def halton_number(
    codebook: Int[Tensor, "*#cell"], frame: Int[Tensor, "*#cell"], codebooks: int
) -> Int[Tensor, "*cell"]:
    """The number of the first Halton point in each cell of a grid of 2^32 frames and at least `codebooks` codebooks.

    Coordinates wrap. No two cells of that grid have the same number.

    Source: Halton 1960; the way back from a cell to its number is that of Gruenschloss, Raab and Keller, "Enumerating
    quasi-Monte Carlo point sequences in elementary intervals" (2012).
    """
    digits = next(n for n in range(1, BITS) if 3**n >= codebooks)
    modulus = 3**digits
    along = _mirrored(frame, 2, BITS)
    across = _mirrored(codebook, 3, digits)
    return along + 2**BITS * ((across - along) * pow(2**BITS, -1, modulus) % modulus)


def _mirrored(number: Int[Tensor, "*cell"], base: int, digits: int) -> Int[Tensor, "*cell"]:
    """The number that has the same `digits` digits in reverse order."""
    mirrored, rest = torch.zeros_like(number), number
    for _ in range(digits):
        mirrored, rest = mirrored * base + rest % base, rest.div(base, rounding_mode="floor")
    return mirrored
