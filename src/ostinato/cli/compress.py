"""`ostinato compress` and `ostinato expand`: a sound to a few hundred bits a second, and back."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .. import audiofile, ostfile
from ..compress import Rung, compress, of_quality
from ..config import parse_named
from ..errors import ConfigError
from ..expand import expand
from ..models import folder_of
from ..ostfile import Header, OstReader
from ..pipeline import load
from ..prompts import Prompt
from ..sampling import samplers
from ..types import Grid
from .common import Within, as_json, model_option, progress, show, sound, spare, table
from .flags import beat_options, given
from .job import heard_in

USUAL_RATE = 600.0


@click.command("compress")
@sound
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--rate", type=Within(min=1), help=f"At most so many bits a second.  [default: {USUAL_RATE:g}]")
@click.option("--keep", multiple=True, metavar="HINT[:knob=value,...]", help="Tokens to keep, see `hints`; repeatable.")
@click.option("--hide", multiple=True, metavar="HINT[:knob=value,...]", help="Tokens to leave out; repeatable.")
@click.option("--quality", type=click.IntRange(0, 10), help="10 keeps every token, 1 the coarsest codebook.")
@click.option("--side/--image", "sides", default=None, help="How the side of stereo goes: as tokens, or as an image.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of what will be drawn.")
@click.option("--sampler", metavar="NAME[:knob=value,...]", help="Have the models draw what is hidden.")
@click.option("--fine", metavar="NAME[:knob=value,...]", help="How in the fine codebooks; give both or neither.")
@beat_options
@model_option
@as_json
def compress_verb(sound: Path, out: Path, keep: Sequence[str], hide: Sequence[str], model: str, **flags: Any) -> None:
    """Write SOUND as OUT, an .ost file: the kept tokens, from which `expand` makes the rest again.

    Without --sampler and --fine nothing is drawn: what is hidden is heard as the mean of what the model expects.
    A side that goes as an image costs some 30 bit/s. Without --side or --image it does so wherever anything is hidden.
    """
    start = time.perf_counter()
    spare(sound, ostfile.check_writable(out))
    beats = given(flags, audiofile.info(sound).seconds)
    pipeline = load(model)
    kept = _kept(pipeline.grid, keep, hide, flags["rate"], flags["quality"])
    wanted = kept.needs if isinstance(kept, Prompt) else frozenset[str]()
    heard = heard_in(sound, wanted, beats, loop=False, flag="--keep")
    how = {stage: _sampler(flags[flag]) for stage, flag in (("coarse", "sampler"), ("fine", "fine"))}
    how |= {"sides": flags["sides"], "seed": flags["seed"]}
    with progress() as watch:
        header, size = compress(pipeline, sound, out, keep=kept, heard=heard, watch=watch, **how)
    took = time.perf_counter() - start
    made = {"path": str(out), **ost_about(header, size), "took": round(took, 3)}
    told = f"{size} bytes for {made['seconds']} s: {made['bits_per_second']} bit/s, {made['kept']}"
    show(made, f"{out}\n{told}\n{made['seconds']} s in {made['took']} s", json_wanted=flags["as_json"])


@click.command("expand")
@click.argument("source", type=click.Path(path_type=Path), metavar="FILE.ost")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--seed", type=click.IntRange(min=0), help="Draw something else.  [default: the file's own]")
@click.option("--salvage", is_flag=True, help="Make up blocks that are damaged or missing, too.")
@click.option("--bare", is_flag=True, help="Make up nothing: hear the kept codebooks alone.")
@click.option("--model", metavar="NAME|DIR", help="The model it was made with.  [default: the one it names]")
@as_json
def expand_verb(source: Path, out: Path, model: str | None, as_json: bool, **flags: Any) -> None:
    """Write the sound of FILE.ost as OUT, a WAV or FLAC file."""
    _ = audiofile.check_writable(out)
    spare(source, out)
    with OstReader(source) as reader:
        name = model or reader.header.model
    start = time.perf_counter()
    with progress() as watch:
        header, lost = expand(load(folder_of(name)), source, out, watch=watch, **flags)
    took = time.perf_counter() - start
    span = header.grid.seconds(header.block)
    made: dict[str, Any] = {
        "path": str(out),
        "seconds": round(header.seconds, 3),
        "lost": [round(number * span, 2) for number in lost],
        "took": round(took, 3),
        "times_real_time": round(header.seconds / took, 2),
    }
    lines = [str(out), f"{made['seconds']} s in {made['took']} s: {made['times_real_time']} times real time"]
    lines += [f"made up {span:.2f} s at {at:.2f} s, which the file has lost" for at in made["lost"]]
    show(made, "\n".join(lines), json_wanted=as_json)


def ost_about(header: Header, size: int) -> dict[str, Any]:
    """What an .ost file's header tells, and what its size comes to."""
    return {
        "seconds": round(header.seconds, 3),
        "sample_rate": header.sample_rate,
        "channels": header.channels,
        "side": "none" if header.channels == 1 else "image" if header.image else "tokens",
        "lean": header.lean,
        "bytes": size,
        "bits_per_second": round(8 * size / header.seconds, 1),
        "kept": kept_text(header),
        "block_seconds": round(header.grid.seconds(header.block), 3),
        "blocks": header.blocks,
        "seed": header.seed,
        "model": header.model,
        "model_hash": header.model_hash,
        "codec_hash": header.codec_hash,
        "context_hash": header.context,
    }


def tell_ost(path: Path, *, json_wanted: bool) -> None:
    """Print what an .ost file holds.

    Raises:
        AudioError: it cannot be read as one.
    """
    with OstReader(path) as reader:
        about = ost_about(reader.header, reader.size)
        damaged = [number for number in range(reader.header.blocks) if reader.block(number) is None]
    data = {"path": str(path), **about, "damaged_blocks": damaged}
    show(data, table([(key, str(value)) for key, value in data.items()], indent=""), json_wanted=json_wanted)


def kept_text(header: Header) -> str:
    """Which cells a file keeps, in words."""
    if header.keep.period == 0:
        return "as each block says"
    books, columns = header.grid.codebooks, {column for _, column in header.keep.runs if column}
    frames = sum(count for count, column in header.keep.runs if column)
    which = [_codebooks(column, books) for column in sorted(columns, reverse=True)]
    every = "" if frames == header.keep.period else f" in {frames} of {header.keep.period} frames"
    return (" or ".join(which) or "nothing") + every


def _codebooks(column: int, books: int) -> str:
    if column == (1 << books) - 1:
        return "all codebooks"
    kept = [str(book + 1) for book in range(books) if column >> book & 1]
    return f"codebook{'s' * (len(kept) > 1)} {', '.join(kept)}"


def _kept(
    grid: Grid, keep: Sequence[str], hide: Sequence[str], rate: float | None, quality: int | None
) -> Prompt | Rung | float:
    if sum([bool(keep or hide), rate is not None, quality is not None]) > 1:
        raise ConfigError("choose one of --rate, --quality and --keep or --hide")
    if keep or hide:
        return Prompt.of(keep, hide)
    return of_quality(grid, quality) if quality is not None else USUAL_RATE if rate is None else rate


def _sampler(text: str | None) -> Any:
    return None if text is None else parse_named(samplers, text)
