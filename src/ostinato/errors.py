"""What can go wrong, drawn as a tree; every message names the value, the rule and the cure.

OstinatoError
├── ConfigError      a setting is unknown, of the wrong type or out of range
├── PromptError      a hint asks for cells that the clip does not have
├── AudioError       a sound cannot be read, written or used
├── CheckpointError  a model folder is missing, foreign, damaged or does not fit
├── CorpusError      music to train on is missing, damaged or not what the list says
├── TrainingError    a training run cannot start, resume or go on
├── ServiceError     a server is busy, is shutting down, or a job was cancelled
└── MissingPartError an optional package or program is not installed
"""


class OstinatoError(Exception):
    """Anything that a user can cause and cure; the message is one line."""


class ConfigError(OstinatoError):
    """A setting is unknown, of the wrong type or out of range."""


class PromptError(OstinatoError):
    """A hint asks for cells that the clip does not have."""


class AudioError(OstinatoError):
    """A sound cannot be read, written or used."""


class CheckpointError(OstinatoError):
    """A model folder is missing, foreign, damaged or does not fit."""


class CorpusError(OstinatoError):
    """Music to train on is missing, damaged or not what the list says."""


class TrainingError(OstinatoError):
    """A training run cannot start, resume or go on."""


class ServiceError(OstinatoError):
    """A server is busy, is shutting down, or a job was cancelled."""


class MissingPartError(OstinatoError):
    """An optional package or program is not installed; the message says how to get it."""
