"""What is measured: a whole model, or a codec on its own."""

from dataclasses import asdict
from pathlib import Path

from ..checkpoint import CONFIG, WEIGHTS, digest, load_codec
from ..codec import Codec
from ..config import unparse_named
from ..pipeline import COARSE, FINE, Pipeline, load
from ..sampling import samplers
from .card import About
from .prediction import Stage


def about(pipeline: Pipeline) -> About:
    """Name, hashes, grid and size of a model, and the samplers that are usual."""
    size = sum(path.stat().st_size for path in pipeline.folder.glob(f"*/{WEIGHTS}"))
    ways = ", then ".join(unparse_named(samplers, each) for each in (COARSE, FINE))
    return About(pipeline.name, pipeline.hash, pipeline.codec_hash, asdict(pipeline.grid), size, ways)


def stages(pipeline: Pipeline) -> list[Stage]:
    """The coarse and the fine model, as what is asked to foretell tokens."""
    models = {"coarse": pipeline.coarse, "fine": pipeline.fine}
    return [Stage(name, model.config.codebooks, model.config.given, model) for name, model in models.items()]


def codec_of(model: str) -> tuple[Codec, About]:
    """The codec of a model (by name or folder), or the one in a folder that holds nothing else.

    Raises:
        CheckpointError: there is no such model or codec, or it is damaged.
    """
    folder = Path(model)
    if not (folder / CONFIG).is_file():
        pipeline = load(model)
        return pipeline.codec, about(pipeline)
    codec = load_codec(folder)
    size = (folder / WEIGHTS).stat().st_size
    return codec, About(folder.name, digest(folder), digest(folder), asdict(codec.grid), size)
