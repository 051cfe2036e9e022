"""Small pictures of what prompts keep, as SVG text: the same bytes on any machine, with nothing to install."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from jaxtyping import Bool
from torch import Tensor

from . import audiofile
from .clip import Clip
from .errors import OstinatoError
from .grids import steady
from .hints import hints, needs
from .models import LOOP
from .onsets import onsets
from .plot import HIDDEN, KEPT
from .prompts import Prompt, presets
from .types import Grid

BPM, OFFSET = 150.0, 0.01
WIDTH, ROW, BAND, LINE = 720, 6, 10, "#888"
SHOWN = {
    "all": Prompt.of(["all"]),
    "inpaint": Prompt.of(hide=["inpaint:start=2,end=3"]),
    "coarsest": Prompt.of(["coarsest:codebooks=4"]),
    "finer": Prompt.of(hide=["finer:first=4"]),
    "bars": Prompt.of(hide=["bars:which=2"]),
    "downbeats": Prompt.of(["downbeats:after=300"]),
    "surprising": Prompt.of(hide=["surprising:share=0.2"]),
    "expected": Prompt.of(hide=["expected:share=0.2"]),
}
"""What stands for a hint that is not best shown by keeping what it speaks of."""


def draw(folder: Path) -> None:
    """Draw all `sketches` of the loop that ships, as files in a folder.

    Raises:
        OstinatoError: the loop is not there, or the folder takes no files.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in sketches(loop_clip()).items():
            _ = (folder / f"{name}.svg").write_text(text, encoding="utf-8")
    except OSError as error:
        raise OstinatoError(f"cannot write to {folder}: {error.strerror}") from None


def loop_clip() -> Clip:
    """The loop that ships, with its beats and its onsets."""
    loop = audiofile.read(LOOP)
    (attacks,) = onsets(loop.wave.mean(1), loop.sample_rate)
    beats = steady(loop.seconds, bpm=BPM, offset=OFFSET)
    return Clip(Grid(sample_rate=loop.sample_rate), loop.samples, beats=beats, onsets=attacks)


def sketches(clip: Clip) -> dict[str, str]:
    """A picture of each hint and preset, by name, with hyphens for spaces; `clip` must be heard.

    Without its surprise, which only a model knows, hints that need it are left out.
    """
    told = [name for name in hints if clip.surprise is not None or "surprise" not in needs(hints[name]())]
    drawn = {name: SHOWN.get(name) or Prompt.of([name]) for name in told}
    return {name.replace(" ", "-"): sketch(prompt, clip) for name, prompt in {**drawn, **presets}.items()}


def sketch(prompt: Prompt, clip: Clip) -> str:
    """The mask of a prompt over a clip as SVG: time to the right in seconds, the coarsest codebook on top.

    Kept cells are orange. Where the prompt needs beats or onsets, they are ticks on top, downbeats longer ones.

    Raises:
        PromptError: the prompt asks for what the clip does not have.
    """
    mask = prompt.mask(clip)
    high = len(mask) * ROW
    wide = WIDTH / clip.frames
    kept = " ".join(_rectangles(~mask, wide))
    ticks = "".join(_lines(times, up, clip.seconds) for times, up in _ticks(prompt, clip))
    axis = "".join(
        f'<text x="{second * WIDTH / clip.seconds:.1f}" y="{BAND + high + 12}">{second} s</text>'
        for second in range(int(clip.seconds) + 1)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {BAND + high + 16}" '
        f'font-family="sans-serif" font-size="10" fill="{LINE}">\n'
        f'<rect y="{BAND}" width="{WIDTH}" height="{high}" fill="{HIDDEN}"/>\n'
        f'<path fill="{KEPT}" d="{kept}"/>\n'
        f'<path stroke="{LINE}" d="{ticks}"/>\n'
        f"{axis}\n</svg>\n"
    )


def _rectangles(kept: Bool[Tensor, "codebook frame"], wide: float) -> Iterator[str]:
    """Path commands for the runs of kept frames; codebooks that are alike share them."""
    top = 0
    for row, alike in groupby(kept.tolist()):
        height, start = len(list(alike)), 0
        for filled, run in groupby(row):
            length = len(list(run))
            if filled:
                left, right, tall = start * wide, (start + length) * wide, height * ROW
                yield f"M{left:.1f} {BAND + top * ROW}H{right:.1f}v{tall}H{left:.1f}z"
            start += length
        top += height


def _ticks(prompt: Prompt, clip: Clip) -> Iterator[tuple[Sequence[float], int]]:
    """The times that ticks stand for, with how long they are."""
    if "beats" in prompt.needs and clip.beats is not None:
        yield clip.beats.times, BAND // 2
        yield clip.beats.downbeats, BAND
    if "onsets" in prompt.needs:
        yield clip.onsets or (), BAND // 2


def _lines(times: Sequence[float], up: int, seconds: float) -> str:
    return "".join(f"M{time * WIDTH / seconds:.1f} {BAND}v-{up}" for time in times)
