"""Samplers fill the hidden cells of a grid, given only `predict(codes, mask) -> logits` and noise."""

from ..chance import Noise, derive
from .confidence import Confidence
from .filters import top_p, typical
from .halton import Halton
from .levels import Levels
from .mean import Mean
from .one import One
from .plug import Sampler, samplers
from .remask import Remask
from .steps import cosine_left, drawn, ranks, reveal

__all__ = [
    "Confidence",
    "Halton",
    "Levels",
    "Mean",
    "Noise",
    "One",
    "Remask",
    "Sampler",
    "cosine_left",
    "derive",
    "drawn",
    "ranks",
    "reveal",
    "samplers",
    "top_p",
    "typical",
]
