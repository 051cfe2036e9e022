"""Hints: settings objects that answer "which cells?" for a clip, in seconds, beats and codebooks."""

from .beats import Bars, OnBeats, OnDownbeats
from .hint import Hint, describe, hints, load_hint, needs, parse_hint, plain_hint
from .levels import Coarsest, Finer
from .onsets import Onsets
from .places import Everything, Inpaint, Periodic, Prefix, Random, Suffix
from .surprise import Expected, Surprising

__all__ = [
    "Bars",
    "Coarsest",
    "Everything",
    "Expected",
    "Finer",
    "Hint",
    "Inpaint",
    "OnBeats",
    "OnDownbeats",
    "Onsets",
    "Periodic",
    "Prefix",
    "Random",
    "Suffix",
    "Surprising",
    "describe",
    "hints",
    "load_hint",
    "needs",
    "parse_hint",
    "plain_hint",
]
