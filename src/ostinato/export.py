"""A model as ONNX files: encoder, coarse and fine model, decoder, to run where torch cannot.

What is beside them stays with whoever runs them: levels, resampling, prompts, windows and sampling.
"""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .codec import SpectralCodec
from .errors import CheckpointError, MissingPartError
from .evaluate.estimates import Progress, quiet
from .lac import LAC
from .lm import MaskedModel
from .pipeline import Pipeline

FRAMES = 24
"""Length of what a model is shown while it is written down; the files take any."""


class Encoder(nn.Module):
    """Samples of whole frames, as a whole, to codes."""

    def __init__(self, codec: LAC | SpectralCodec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, signal: Float[Tensor, "batch sample"]) -> Int[Tensor, "batch codebook frame"]:
        return self.codec.tokens(signal)


class Decoder(nn.Module):
    """Codes to samples, as a whole."""

    def __init__(self, codec: LAC | SpectralCodec) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, codes: Int[Tensor, "batch codebook frame"]) -> Float[Tensor, "batch sample"]:
        return self.codec.render(self.codec.quantizer.decode(codes))


class Model(nn.Module):
    """Codes and what is hidden of them, to logits of every cell of the predicted codebooks."""

    def __init__(self, model: MaskedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, codes: Int[Tensor, "batch codebook frame"], mask: Bool[Tensor, "batch codebook frame"]
    ) -> Float[Tensor, "batch predicted frame vocab"]:
        return self.model(codes, mask)


def export_onnx(pipeline: Pipeline, folder: Path, watch: Progress = quiet) -> list[Path]:
    """Write `encoder`, `coarse`, `fine` and `decoder` as ONNX files; each appears once it is whole.

    Args:
        pipeline: the model, in fp32.
        folder: where the files go; weights lie in a file beside each, `NAME.onnx.data`.
        watch: called with (what, done, total).

    Returns:
        The four ONNX files.

    Raises:
        MissingPartError: what writes ONNX is not installed. CheckpointError: the model is not in fp32, or its codec is
            of a kind that cannot be exported.
    """
    for name in ("onnx", "onnxscript"):
        if find_spec(name) is None:
            raise MissingPartError(f"to export, `{name}` is needed: pip install onnx onnxscript")
    codec = pipeline.codec
    if pipeline.precision != "fp32" or not isinstance(codec, LAC | SpectralCodec):
        raise CheckpointError(f"only models in fp32 can be exported, '{pipeline.name}' is in {pipeline.precision}")
    codes = torch.zeros(1, codec.grid.codebooks, FRAMES, dtype=torch.int64)
    seen = [codes[:, : model.config.codebooks] for model in (pipeline.coarse, pipeline.fine)]
    parts: dict[str, tuple[nn.Module, dict[str, Tensor], str]] = {
        "encoder": (Encoder(codec), {"signal": torch.zeros(1, FRAMES * codec.grid.hop)}, "codes"),
        "coarse": (Model(pipeline.coarse), {"codes": seen[0], "mask": seen[0] == 0}, "logits"),
        "fine": (Model(pipeline.fine), {"codes": seen[1], "mask": seen[1] == 0}, "logits"),
        "decoder": (Decoder(codec), {"codes": codes}, "signal"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, (name, (module, inputs, output)) in enumerate(parts.items()):
        watch(name, number, len(parts))
        with TemporaryDirectory(dir=folder) as part:
            _write(module.eval(), inputs, output, Path(part) / f"{name}.onnx")
            for file in sorted(Path(part).iterdir(), reverse=True):
                os.replace(file, folder / file.name)
        written.append(folder / f"{name}.onnx")
    return written


def _write(module: nn.Module, inputs: dict[str, Tensor], output: str, path: Path) -> None:
    """Write one file; what the module keeps for later must be real before it is traced, so it runs once."""
    lengths = {name: {value.ndim - 1: torch.export.Dim.DYNAMIC} for name, value in inputs.items()}
    with _silent(), torch.no_grad():
        _ = module(**inputs)
        _ = torch.onnx.export(
            module,
            kwargs=inputs,
            f=path,
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=lengths,
            dynamo=True,
            verbose=False,
        )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Within, torch's exporter keeps to itself what it thinks of its own parts."""
    log = logging.getLogger("torch.onnx")
    usual = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(usual)
