"""`ostinato export`: a model in a form that other programs run."""

from pathlib import Path

import click

from ..export import export_onnx
from ..pipeline import load
from .common import as_json, model_option, progress, show


@click.command()
@model_option
@click.option("--onnx", type=click.Path(path_type=Path), metavar="DIR", required=True, help="A folder for ONNX files.")
@as_json
def export(model: str, onnx: Path, as_json: bool) -> None:
    """Write a model's encoder, coarse and fine model and decoder as ONNX files."""
    pipeline = load(model)
    with progress() as watch:
        files = export_onnx(pipeline, onnx, watch)
    show(
        {"model": pipeline.hash, "files": [str(file) for file in files]},
        "\n".join(map(str, files)),
        json_wanted=as_json,
    )
