"""`ostinato encode` and `ostinato decode`: a sound to codes and back, in memory that does not grow with its length."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import torch

from .. import audiofile, codesfile
from ..errors import CheckpointError
from ..longplay import file_pieces, leaning
from ..pipeline import load
from ..types import Codes, CodesStream
from .common import Watch, as_json, model_option, output, progress, show, sound, spare

PART = 1024


@click.command()
@sound
@output("Codes file to write: .safetensors.")
@click.option("--codebooks", type=click.IntRange(min=1), help="Keep only so many, coarsest first.  [default: all]")
@model_option
@as_json
def encode(sound: Path, out: Path, codebooks: int | None, model: str, as_json: bool) -> None:
    """Turn SOUND into codes."""
    _ = codesfile.check_writable(out)
    facts = audiofile.info(sound)
    pipeline = load(model)
    frames = pipeline.grid.frames(facts.seconds)
    start = time.perf_counter()
    with progress() as watch:
        pieces, origin_of = pipeline.encode_blocks(file_pieces(sound))
        codes = torch.cat([piece[:, :codebooks] for piece in _counted(pieces, frames, watch)], dim=-1)
    origin = leaning(pipeline, origin_of(), file_pieces(sound))
    codesfile.write(out, codes, origin)
    took, seconds = time.perf_counter() - start, origin.seconds
    bits = origin.grid.bits_per_second * codes.shape[0] * codes.shape[1]
    made: dict[str, Any] = {
        "path": str(out),
        "shape": list(codes.shape),
        "seconds": round(seconds, 3),
        "bits_per_second": round(bits),
        "hash": origin.hash,
        "took": round(took, 3),
        "times_real_time": round(seconds / took, 2),
    }
    shape = " x ".join(map(str, codes.shape))
    lines = [str(out), f"{shape} tokens (side x codebook x frame), {bits / 1000:.2f} kbit/s when packed", _pace(made)]
    show(made, "\n".join(lines), json_wanted=as_json)


@click.command()
@click.argument("codes", type=click.Path(path_type=Path))
@output("WAV or FLAC to write.")
@model_option
@as_json
def decode(codes: Path, out: Path, model: str, as_json: bool) -> None:
    """Turn CODES, a file that `encode` made, into sound."""
    target = audiofile.check_writable(out)
    tokens, origin = codesfile.read(codes)
    spare(codes, target)
    pipeline = load(model)
    if origin.hash != pipeline.codec_hash:
        raise CheckpointError(
            f"{codes} was made by the codec of '{origin.model}' ({origin.hash}), '{model}' has {pipeline.codec_hash}; "
            "name the right one with --model"
        )
    start = time.perf_counter()
    with progress() as watch, audiofile.Writer(target, origin.sample_rate, origin.channels) as writer:
        parts = _counted(tokens.split(PART, dim=-1), tokens.shape[-1], watch)
        for piece in pipeline.decode_blocks(parts, origin):
            writer.write(piece)
    took = time.perf_counter() - start
    made: dict[str, Any] = {
        "path": str(out),
        "seconds": round(origin.seconds, 3),
        "gain_db": round(writer.gain_db, 2),
        "took": round(took, 3),
        "times_real_time": round(origin.seconds / took, 2),
    }
    show(made, f"{out}\n{_pace(made)}", json_wanted=as_json)


def _counted(pieces: CodesStream, frames: int, watch: Watch) -> Iterator[Codes]:
    done = 0
    for piece in pieces:
        yield piece
        done += piece.shape[-1]
        watch("frames", done, frames)


def _pace(made: dict[str, Any]) -> str:
    return f"{made['seconds']} s in {made['took']} s: {made['times_real_time']} times real time"
