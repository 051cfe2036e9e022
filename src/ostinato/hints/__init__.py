"""Hints: settings objects that answer "which cells?" for a clip, in seconds, beats and codebooks."""

from .hint import Hint, describe, hints, load_hint, needs, parse_hint, plain_hint
from .levels import Coarsest, Finer
from .places import Everything, Inpaint, Periodic, Prefix, Random, Suffix

__all__ = [
    "Coarsest",
    "Everything",
    "Finer",
    "Hint",
    "Inpaint",
    "Periodic",
    "Prefix",
    "Random",
    "Suffix",
    "describe",
    "hints",
    "load_hint",
    "needs",
    "parse_hint",
    "plain_hint",
]
