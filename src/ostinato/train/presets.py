"""The default model's settings, a function for each part; what a run costs and reaches is in its docstring."""

from dataclasses import replace
from pathlib import Path

from ..checkpoint import read_codec_config, read_config
from ..codec import CodecConfig
from ..errors import ConfigError
from ..lm import LMConfig
from .beats import BeatTraining
from .codec import CodecTraining
from .context import ContextTraining
from .lm import LMTraining
from .loop import LoopConfig

COARSE = 4


def codec() -> CodecTraining:
    """The default codec: 9.4 M parameters, 12 codebooks, 20,000 steps of 8 excerpts of 1.3 s, with 0.6 s around them.

    About 1.5 s a step on one core with bfloat16 matrix units before the critics join; 1.5 GB of memory.
    """
    return CodecTraining()


def coarse(codec: Path) -> LMTraining:
    """The default coarse model: 7.6 M parameters, codebooks 0 to 3, 20,000 steps of 16 excerpts of 5 s."""
    grid = read_codec_config(codec).grid
    model = LMConfig(codebooks=COARSE, vocabulary=grid.vocabulary, width=320, layers=6, heads=5)
    return LMTraining(model=model, codec=str(codec), loop=LoopConfig(validate_every=250))


def context(codec: Path) -> ContextTraining:
    """The default context model: 0.9 M whole numbers, 3,000 steps of 8 excerpts of 1 s; 0.2 s a step on one core."""
    return ContextTraining(codec=str(codec))


def fine(codec: Path) -> LMTraining:
    """The default fine model: 3.5 M parameters, codebooks from 4 up, 20,000 steps of 16 excerpts of 3 s."""
    grid = read_codec_config(codec).grid
    if grid.codebooks <= COARSE:
        raise ConfigError(f"a fine model needs a codec of more than {COARSE} codebooks, got {grid.codebooks}")
    model = LMConfig(codebooks=grid.codebooks, given=COARSE, vocabulary=grid.vocabulary, width=192, layers=5, heads=6)
    return LMTraining(model=model, codec=str(codec), frames=172, loop=LoopConfig(validate_every=250))


STAGES = {"coarse": coarse, "fine": fine}


def codec_from(model: Path) -> CodecTraining:
    """More training for the codec of a model, which stays as large as it is."""
    return CodecTraining(model=read_config(model / "codec", CodecConfig), start=str(model / "codec"))


def model_from(model: Path, stage: str) -> LMTraining:
    """More training for the coarse or the fine model of a model over the tokens of its codec: fine-tuning."""
    settings = STAGES[stage](model / "codec")
    return replace(settings, model=read_config(model / stage, LMConfig), start=str(model / stage))


def beats() -> BeatTraining:
    """The beat tracker: 0.23 M parameters, 800 steps of 16 excerpts of 20 s.

    About 0.5 s a step on one core with bfloat16 matrix units; 1 GB of memory.
    """
    return BeatTraining()
