"""ostinato: music by masked acoustic token modeling."""

from .audiofile import read, write
from .budget import Budget
from .errors import (
    AudioError,
    CheckpointError,
    ConfigError,
    CorpusError,
    MissingPartError,
    OstinatoError,
    PromptError,
    TrainingError,
)
from .hints import Coarsest, Everything, Finer, Inpaint, Periodic, Prefix, Random, Suffix
from .pipeline import Pipeline, load
from .prompts import Prompt, presets
from .sampling import Confidence, Halton, Levels, One, Remask
from .types import Audio, Beats, Codes, Grid, Mask, Take

__version__ = "0.1.0"

__all__ = [
    "Audio",
    "AudioError",
    "Beats",
    "Budget",
    "CheckpointError",
    "Coarsest",
    "Codes",
    "Confidence",
    "ConfigError",
    "CorpusError",
    "Everything",
    "Finer",
    "Grid",
    "Halton",
    "Inpaint",
    "Levels",
    "Mask",
    "MissingPartError",
    "One",
    "OstinatoError",
    "Periodic",
    "Pipeline",
    "Prefix",
    "Prompt",
    "PromptError",
    "Random",
    "Remask",
    "Suffix",
    "Take",
    "TrainingError",
    "load",
    "presets",
    "read",
    "write",
]
