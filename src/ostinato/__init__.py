"""ostinato: music by masked acoustic token modeling."""

from .audiofile import read, write
from .budget import Budget
from .clip import Heard
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
from .grids import steady, tapped
from .hints import (
    Bars,
    Coarsest,
    Everything,
    Expected,
    Finer,
    Inpaint,
    OnBeats,
    OnDownbeats,
    Onsets,
    Periodic,
    Prefix,
    Random,
    Suffix,
    Surprising,
)
from .pipeline import Pipeline, load
from .prompts import Prompt, presets
from .sampling import Confidence, Halton, Levels, One, Remask
from .types import Audio, Beats, Codes, Grid, Mask, Take

__version__ = "0.1.0"

__all__ = [
    "Audio",
    "AudioError",
    "Bars",
    "Beats",
    "Budget",
    "CheckpointError",
    "Coarsest",
    "Codes",
    "Confidence",
    "ConfigError",
    "CorpusError",
    "Everything",
    "Expected",
    "Finer",
    "Grid",
    "Halton",
    "Heard",
    "Inpaint",
    "Levels",
    "Mask",
    "MissingPartError",
    "OnBeats",
    "OnDownbeats",
    "One",
    "Onsets",
    "OstinatoError",
    "Periodic",
    "Pipeline",
    "Prefix",
    "Prompt",
    "PromptError",
    "Random",
    "Remask",
    "Suffix",
    "Surprising",
    "Take",
    "TrainingError",
    "load",
    "presets",
    "read",
    "steady",
    "tapped",
    "write",
]
