"""Where notes and hits begin: peaks of the rise of a mel spectrum, measured against what is usual around them."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .dsp import log_mel
from .types import Signal

HOPS_PER_SECOND, WINDOW, LAG = 200, 8, 4
MELS, FLOOR = 80, 1e-3
NEAR, AROUND, ABOVE = 6, 20, 0.05


def onsets(signal: Signal, sample_rate: int) -> list[tuple[float, ...]]:
    """The onsets of each item, in seconds from its start, ascending; silence has none, and noise few.

    The level of the sound matters little: by how much bands rise is told in decades, and only above some 80 dB below
    full scale. A sound that begins at once has an onset there; in its last 20 ms none is found.

    Source: the SuperFlux onset detector, Boeck and Widmer (DAFx-13): the rise over 20 ms against the loudest of
    neighbouring bands, so that a vibrato is no onset; its peaks within 30 ms, above the mean of 100 ms around.
    """
    rise = flux(signal, sample_rate)
    near = F.max_pool1d(rise[:, None], 2 * NEAR + 1, 1, NEAR)[:, 0]
    usual = F.avg_pool1d(rise[:, None], 2 * AROUND + 1, 1, AROUND, count_include_pad=False)[:, 0]
    peaks = (rise == near) & (rise >= usual + ABOVE)
    hop = _hop(sample_rate)
    return [tuple(place * hop / sample_rate for place in row.nonzero()[:, 0].tolist()) for row in peaks]


def flux(signal: Signal, sample_rate: int) -> Float[Tensor, "batch frame"]:
    """By how much the spectrum rises at each place, 5 ms apart from the first sample: a mean over bands, in decades."""
    hop = _hop(sample_rate)
    padded = F.pad(signal, (LAG * hop, LAG * hop))
    level = log_mel(padded, sample_rate, size=WINDOW * hop, mels=MELS, hop=hop, floor=FLOOR)
    before = F.max_pool1d(level, 3, 1, 1)[:, :-LAG]
    rise = (level[:, LAG:] - before).clamp_min(0).mean(-1)
    heard = torch.arange(rise.shape[-1], device=rise.device) < signal.shape[-1] // hop - WINDOW // 2
    return rise * heard.to(rise)


def _hop(sample_rate: int) -> int:
    return max(1, round(sample_rate / HOPS_PER_SECOND))
