"""`ostinato surprise`: how many bits each token of a sound costs the models, as numbers and as a picture."""

import csv
import io
import json
import math
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from jaxtyping import Float
from torch import Tensor

from .. import audiofile, plot, plot_surprise
from ..hints.surprise import smoothed
from ..longplay import encode_file
from ..pipeline import Pipeline, load
from ..surprise import PASSES, surprisal
from ..whole import whole, writable
from .common import as_json, model_option, progress, show, sound, spare, table

WRITES = (".csv", ".json", ".npz")
APART, NAMED, SMOOTH = 0.5, 5, 0.2


@click.command()
@sound
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Numbers to write: .csv, .json or .npz.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="A picture to draw: .png, .svg or .pdf.")
@click.option(
    "--passes",
    type=click.IntRange(min=2),
    default=PASSES,
    show_default=True,
    help="Into how many parts the frames are dealt; each part is hidden once, the others are given.",
)
@click.option("--loop", is_flag=True, help="SOUND goes round: its end is given to its start.")
@model_option
@as_json
def surprise(
    sound: Path, out: Path | None, picture: Path | None, passes: int, loop: bool, model: str, as_json: bool
) -> None:
    """Tell how unlikely each moment of SOUND is to the model, in bits a token.

    `vary --hide surprising` has the model redo the moments that it finds least likely.
    """
    if out is not None:
        spare(sound, writable(out, WRITES))
    if picture is not None:
        spare(sound, plot.check(picture))
    pipeline, start = load(model), time.perf_counter()
    with progress() as watch:
        codes, origin = encode_file(pipeline, sound, loop=loop, watch=watch)
        bits = surprisal([pipeline.coarse, pipeline.fine], codes, passes=passes, circular=loop, watch=watch)
    took = time.perf_counter() - start
    hop = origin.seconds / bits.shape[2] if loop else pipeline.grid.seconds(1)
    if out is not None:
        write(out, bits, hop)
    if picture is not None:
        _ = plot_surprise.picture(picture, audiofile.read(sound), bits, pipeline.coarse.config.codebooks)
    made = _told(pipeline, sound, bits, hop) | {"took": round(took, 3)}
    made |= {what: str(path) for what, path in (("values", out), ("plot", picture)) if path is not None}
    show(made, _story(made), json_wanted=as_json)


def write(path: Path, bits: Float[Tensor, "side codebook frame"], hop: float) -> None:
    """Write surprise, whole or not at all: the bits of every side, codebook and frame, and when each frame starts.

    Raises:
        OstinatoError: the file cannot be written there.
    """
    seconds = [round(frame * hop, 6) for frame in range(bits.shape[2])]
    text = {".csv": _csv, ".json": _json, ".npz": _npz}[path.suffix.lower()](bits, seconds)
    with whole(path) as part:
        _ = part.write_bytes(text)


def _csv(bits: Float[Tensor, "side codebook frame"], seconds: list[float]) -> bytes:
    """A row for each side and frame, with a column for each codebook."""
    held = io.StringIO()
    rows = csv.writer(held, lineterminator="\n")
    _ = rows.writerow(["side", "seconds", *(f"codebook-{number + 1}" for number in range(bits.shape[1]))])
    for side, values in enumerate(bits):
        rows.writerows([side, moment, *map(_short, column)] for moment, column in zip(seconds, values.T, strict=True))
    return held.getvalue().encode()


def _json(bits: Float[Tensor, "side codebook frame"], seconds: list[float]) -> bytes:
    sides = [[list(map(_short, row)) for row in side] for side in bits]
    return json.dumps({"seconds": seconds, "bits": sides}).encode()


def _npz(bits: Float[Tensor, "side codebook frame"], seconds: list[float]) -> bytes:
    held = io.BytesIO()
    np.savez_compressed(held, seconds=np.array(seconds), bits=bits.numpy())
    return held.getvalue()


def _short(value: Float[Tensor, ""]) -> float:
    return round(float(value), 4)


def _told(pipeline: Pipeline, sound: Path, bits: Float[Tensor, "side codebook frame"], hop: float) -> dict[str, Any]:
    grid, coarse = pipeline.grid, pipeline.coarse.config.codebooks
    return {
        "path": str(sound),
        "frames": bits.shape[2],
        "bits": {
            "of": round(math.log2(grid.vocabulary), 3),
            "coarse": _short(bits[:, :coarse].mean()),
            "fine": _short(bits[:, coarse:].mean()),
            "codebooks": list(map(_short, bits.mean((0, 2)))),
        },
        "least_likely": moments(bits[:, :coarse].mean((0, 1)), hop),
        "hash": pipeline.hash,
    }


def moments(surprise: Float[Tensor, " frame"], hop: float) -> list[float]:
    """The times in seconds of the greatest surprises, at least half a second apart, the greatest first."""
    mean, found = smoothed(surprise, int(SMOOTH / hop / 2), circular=False), []
    for frame in mean.argsort(descending=True, stable=True).tolist():
        if all(abs(frame * hop - time) >= APART for time in found):
            found.append(round(frame * hop, 3))
        if len(found) == NAMED:
            break
    return found


def _story(made: dict[str, Any]) -> str:
    bits = made["bits"]
    rows = [
        ("coarse tokens", f"{bits['coarse']:.2f} bits each, of {bits['of']:g}"),
        ("fine tokens", f"{bits['fine']:.2f} bits each"),
        ("least likely at", ", ".join(f"{time:.2f} s" for time in made["least_likely"])),
    ]
    files = [made[what] for what in ("values", "plot") if what in made]
    return "\n".join([table(rows, indent=""), *files])
