"""From sound file to sound file, of any length: the sound passes by in pieces, and only its tokens are held."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from .audiofile import Reader, Writer, info
from .clip import Heard
from .codesfile import Origin
from .draft import Draft
from .filling import Progress
from .hints import needs
from .listening import listen
from .pipeline import Pipeline
from .pitch import transposed
from .prompts import Prompt
from .resampling import join
from .stereo import lean_of, written
from .stretch import stretched, stretched_heard
from .types import Audio, Codes, Grid, Pieces

PIECE = 1 << 18


def vary_file(
    pipeline: Pipeline,
    source: Path,
    target: Path,
    prompt: Prompt,
    *,
    about: Callable[[Draft], dict[str, Any]] | None = None,
    tokens: tuple[Codes, Origin] | None = None,
    heard: Heard | None = None,
    pitch: float = 0.0,
    stretch: float = 1.0,
    loop: bool = False,
    watch: Progress | None = None,
    **how: Any,
) -> tuple[Draft, float]:
    """`Pipeline.vary` from file to file; the sound is the same to the bit.

    Memory grows with the tokens only, by some 30 MB an hour of stereo; a loop is held as a whole.

    Args:
        pipeline: what makes the take.
        source: a sound file.
        target: the WAV or FLAC file to write; it appears whole or not at all.
        prompt: which cells stay.
        about: what the file shall tell of the take.
        tokens: those of the source with their origin, where it is a take that has them; else it is encoded.
        pitch: in semitones, by which the source is transposed first; it is held as a whole then.
        stretch: how many times as long as the source the take shall be, by its tokens; all of it is drawn by the codec
            then, and the prompt speaks of its time.
        heard, loop, watch, how: as in `Pipeline.vary`; `watch` sees the seconds read and written, too, as "encode"
            and "decode".

    Returns:
        The take without its sound, and the gain in dB, 0 or less, by which the file was turned down; see `Writer`.

    Raises:
        AudioError: a file cannot be read or written; else as `Pipeline.vary`, `transposed` and `stretched`.
    """
    pieces = _transposed(source, pitch, circular=loop)
    seconds = round(info(source).seconds)
    codes, origin = _encoded(pipeline, pieces, seconds, loop=loop, watch=watch) if tokens is None else tokens
    heard = listen(pieces, prompt.needs | needs(*how.get("lock", ())), heard, circular=origin.circular)
    if stretch != 1:
        codes, origin = stretched(codes, origin, stretch, period=pipeline.codec.period)
        heard, how = stretched_heard(heard, stretch), how | {"redraw": True}
    draft = pipeline.draft(codes, origin, prompt, heard=heard, watch=watch, **how)
    controls = {"pitch": pitch} if pitch else {}
    controls |= {"stretch": stretch} if stretch != 1 else {}
    draft = replace(draft, settings=draft.settings | controls)
    written, facts = Meter("decode", round(origin.seconds), watch), None if about is None else about(draft)
    with Writer(target, origin.sample_rate, origin.channels, about=facts) as writer:
        for piece in written.passed(pipeline.sound(draft, pieces)):
            writer.write(piece)
    return draft, writer.gain_db


def encode_file(
    pipeline: Pipeline, source: Path, *, loop: bool = False, watch: Progress | None = None
) -> tuple[Codes, Origin]:
    """`Pipeline.encode` of a sound file, in flat memory unless it is a loop; `watch` sees the seconds as "encode".

    Raises:
        AudioError: the file cannot be read; else as `Pipeline.encode`.
    """
    return _encoded(pipeline, file_pieces(source), round(info(source).seconds), loop=loop, watch=watch)


def leaning(pipeline: Pipeline, origin: Origin, original: Pieces) -> Origin:
    """The origin of a sound, which also tells which way the sound leans, where the codec's tokens do not."""
    if origin.channels == 1 or not pipeline.codec.draws_phases:
        return origin
    return replace(origin, lean=written(lean_of(original, circular=origin.circular)))


def _encoded(
    pipeline: Pipeline,
    pieces: Pieces,
    seconds: int,
    *,
    loop: bool,
    watch: Progress | None,
) -> tuple[Codes, Origin]:
    if loop:
        return pipeline.encode(join(pieces()), circular=True)
    read = Meter("encode", 2 * seconds, watch)
    blocks, told = pipeline.encode_blocks(lambda: read.passed(pieces()))
    return torch.cat([_small(block, pipeline.grid) for block in blocks], dim=-1), told()


def file_pieces(path: Path) -> Callable[[], Iterator[Audio]]:
    """Pieces of a sound file, for `Pipeline.encode_blocks`."""

    def pieces() -> Iterator[Audio]:
        with Reader(path) as reader:
            yield from reader.blocks(PIECE)

    return pieces


def _transposed(source: Path, semitones: float, *, circular: bool) -> Pieces:
    """Pieces of a sound file, transposed: as it is, or in one piece."""
    pieces = file_pieces(source)
    if not semitones:
        return pieces
    whole = transposed(join(pieces()), semitones, circular=circular)
    return lambda: [whole]


def _small(codes: Codes, grid: Grid) -> Codes:
    """Codes in as few bytes as their vocabulary allows."""
    return codes.to(torch.int16 if grid.vocabulary <= torch.iinfo(torch.int16).max + 1 else torch.int32)


class Meter:
    """Tells a watcher how many seconds of sound have passed by."""

    def __init__(self, stage: str, total: int, watch: Progress | None) -> None:
        self._stage, self._total, self._watch, self._seconds = stage, total, watch, 0.0

    def passed(self, pieces: Iterable[Audio]) -> Iterator[Audio]:
        for piece in pieces:
            yield piece
            self._seconds += piece.seconds
            if self._watch is not None:
                self._watch(self._stage, min(self._total, round(self._seconds)), self._total)
