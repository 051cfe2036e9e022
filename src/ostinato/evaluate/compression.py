"""What compression costs and what is left of the sound: .ost files with the model and without it, Opus and Codec2."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ..audiofile import read, write
from ..compress import AT_ONCE, Rung, coder_of, compress, context_of
from ..data import songs
from ..errors import AudioError, ConfigError, MissingPartError
from ..expand import expand
from ..level import as_loud
from ..metrics import align, frechet_distance
from ..ostfile import OstReader
from ..pipeline import Pipeline
from ..resampling import fit, join, resample
from ..sampling import Confidence
from ..types import Audio, Grid
from . import opus
from .embedding import embed
from .estimates import Estimate, Progress, estimate
from .judges import BEST, JUDGES
from .passages import Passage
from .reconstruction import OPUS_RATES

System: TypeAlias = Callable[[Audio], tuple[Audio, float]]
ALONE, OPUS, CODEC2 = "the codec alone", "Opus", "Codec2"
RIVALS = (ALONE, OPUS, CODEC2)
DRAWN = Confidence(steps=12), Confidence(steps=4)
CODEC2_RATE, CODEC2_KBPS = 8000, "3200"
MAX_LAG = 2400


@dataclass(frozen=True)
class Point:
    """A system at a rate: its family (a curve), true bits a second, each judge's opinion and the Fréchet distance.

    `passages` has the opinions one by one.
    """

    family: str
    system: str
    bits_per_second: float
    judged: dict[str, Estimate]
    frechet: float
    passages: dict[str, list[float]]


@dataclass(frozen=True)
class Lead:
    """How far a system is ahead of a rival, passage by passage and in Fréchet distance; above 0 is ahead."""

    rival: str
    judged: dict[str, Estimate]
    frechet: float


@dataclass(frozen=True)
class Size:
    """What files of a kind come to: bits a second, the share of 10-bit packing that they save, and the coder's speed.

    The speed is how many times faster than real time their tokens are decoded and encoded again, both together.
    """

    what: str
    bits_per_second: Estimate
    saved: float
    times_real_time: float


def rungs(grid: Grid) -> list[Rung]:
    """The steps of the dial that are worth a look."""
    found = [(1, *(0,) * 7), (1, 0, 0, 0), (1, 0), (2, 0), (4, 0), (6,), (grid.codebooks,)]
    return [Rung(levels) for levels in found if max(levels) <= grid.codebooks]


def systems(pipeline: Pipeline, rate: float, *, others: bool = True) -> dict[tuple[str, str], System]:
    """What to compare, by family and name: from a mono sound to what is left of it and the bits of its file.

    First what a rate gives, and beside it what codebooks give when the codec hears them alone, or when the models draw
    the rest.
    """
    grid = pipeline.grid
    table: dict[tuple[str, str], System] = {("ostinato", f"--rate {rate:g}"): _ost(pipeline, rate)}
    for keep in rungs(grid):
        table["ostinato", rung_text(keep)] = _ost(pipeline, keep)
    for books in (1, 2, 4, grid.codebooks):
        keep = Rung((books,))
        table[ALONE, rung_text(keep)] = _ost(pipeline, keep, bare=True)
    for keep in (Rung((1, *(0,) * 7)), Rung((1,)), Rung((2,))):
        table["ostinato, drawn", rung_text(keep)] = _ost(pipeline, keep, drawn=True)
    for kbps in OPUS_RATES if others else ():
        table[OPUS, f"{kbps:g} kbit/s"] = _opus(kbps)
    if others and shutil.which("c2enc"):
        table[CODEC2, "3.2 kbit/s"] = codec2
    return table


def rung_text(keep: Rung) -> str:
    """A step of the dial in words."""
    books, period = keep.levels[0], len(keep.levels)
    text = f"{books} codebook{'s' * (books > 1)}"
    return text if period == 1 else f"{text}, 1 of {period} frames"


def score(
    table: dict[tuple[str, str], System], chosen: Sequence[Passage], judges: Sequence[str], watch: Progress
) -> Iterator[Point]:
    """Each system's point, as it comes.

    Raises:
        ConfigError: a judge is unknown. MissingPartError: a judge or a codec is not installed.
    """
    for name in judges:
        if name not in JUDGES:
            raise ConfigError(f"there is no judge '{name}'; there are: {', '.join(JUDGES)}")
    originals = [passage.audio for passage in chosen]
    reference, seconds = embed(originals), sum(sound.seconds for sound in originals)
    for number, ((family, name), system) in enumerate(table.items()):
        made = [system(sound) for sound in originals]
        each = {
            judge: [JUDGES[judge](sound, left) for sound, (left, _) in zip(originals, made, strict=True)]
            for judge in judges
        }
        judged = {judge: estimate(values) for judge, values in each.items()}
        distance = frechet_distance(reference, embed(left for left, _ in made))
        yield Point(family, name, sum(bits for _, bits in made) / seconds, judged, distance, each)
        watch(f"{family}, {name}", number + 1, len(table))


def leads(points: Sequence[Point]) -> list[Lead]:
    """How far the first point is ahead of the codec at one codebook alone, of Opus at its least and of Codec2."""
    first, rivals = points[0], dict[str, Point]()
    for point in points[1:]:
        if point.family in RIVALS:
            _ = rivals.setdefault(point.family, point)
    return [
        Lead(
            f"{rival.family}, {rival.system}",
            {judge: estimate(_ahead(judge, first, rival)) for judge in first.passages},
            rival.frechet - first.frechet,
        )
        for rival in rivals.values()
    ]


def _ahead(judge: str, first: Point, rival: Point) -> list[float]:
    """By how much a judge prefers the first, passage by passage."""
    sign = 1 if BEST[judge] else -1
    return [sign * (ours - theirs) for ours, theirs in zip(first.passages[judge], rival.passages[judge], strict=True)]


def sizes(pipeline: Pipeline, folder: Path, chosen: Sequence[Passage], watch: Progress) -> list[Size]:
    """What the same passages cost as files, mono and stereo, at one codebook and at all."""
    grid, found = pipeline.grid, []
    stereo = [_stereo(folder, passage) for passage in chosen]
    one, every = Rung((1,)), Rung((grid.codebooks,))
    kinds = [
        ("mono, one codebook", [passage.audio for passage in chosen], one, 1),
        ("mono, all codebooks", [passage.audio for passage in chosen], every, grid.codebooks),
        ("stereo, one codebook and an image", [sound for sound in stereo if sound.channels == 2], one, 1),
        ("stereo, all codebooks", [sound for sound in stereo if sound.channels == 2], every, 2 * grid.codebooks),
    ]
    for number, (what, sounds, keep, packed) in enumerate(kinds):
        if sounds:
            made = [_packed(pipeline, sound, keep) for sound in sounds]
            rates = estimate([bits / sound.seconds for (bits, _), sound in zip(made, sounds, strict=True)])
            speed = sum(sound.seconds for sound in sounds) / sum(took for _, took in made)
            found.append(Size(what, rates, 1 - rates.mean / (packed * grid.bits_per_second), speed))
        watch(what, number + 1, len(kinds))
    return found


def codec2(sound: Audio) -> tuple[Audio, float]:
    """A mono sound after Codec2 at 3.2 kbit/s, aligned within 50 ms, and the bits of its file.

    Raises:
        MissingPartError: c2enc or c2dec is not installed. AudioError: they fail.
    """
    for program in ("c2enc", "c2dec"):
        if shutil.which(program) is None:
            raise MissingPartError(f"{program} is not installed; apt-get install -y --no-install-recommends codec2")
    narrow = resample(sound, CODEC2_RATE)
    with tempfile.TemporaryDirectory() as folder:
        plain, coded, back = (Path(folder) / name for name in ("in.raw", "coded.c2", "out.raw"))
        _ = plain.write_bytes((narrow.wave[0, 0].clamp(-1, 1) * 32767).round().numpy().astype("<i2").tobytes())
        for command in (["c2enc", CODEC2_KBPS, plain, coded], ["c2dec", CODEC2_KBPS, coded, back]):
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
            if done.returncode:
                raise AudioError(f"{command[0]} failed: {done.stderr.strip()[-200:]}")
        bits, heard = 8 * coded.stat().st_size, np.frombuffer(back.read_bytes(), dtype="<i2")
    wave = narrow.wave.new_tensor(heard.astype(np.float32) / 32768)[None, None]
    wide = fit(resample(Audio(wave, CODEC2_RATE), sound.sample_rate), sound.samples)
    return Audio(align(sound.wave[:, 0], wide.wave[:, 0], MAX_LAG)[:, None], sound.sample_rate), float(bits)


@contextmanager
def _file(sound: Audio) -> Iterator[tuple[Path, Path]]:
    """The sound as a file, and where its .ost file goes."""
    with tempfile.TemporaryDirectory() as folder:
        _ = write(Path(folder) / "in.wav", sound, subtype="FLOAT")
        yield Path(folder) / "in.wav", Path(folder) / "coded.ost"


def _packed(pipeline: Pipeline, sound: Audio, keep: Rung) -> tuple[float, float]:
    """The bits of a file, and the seconds that its tokens take to be decoded and encoded again."""
    with _file(sound) as (source, coded):
        header, size = compress(pipeline, source, coded, keep=keep)
        coder = coder_of(header, context_of(pipeline.folder, pipeline.grid))
        with OstReader(coded) as reader:
            data = [reader.block(number) or b"" for number in range(header.blocks)]
    kept = [header.keep.kept(header.grid.codebooks, *header.span(number)) for number in range(header.blocks)]
    began = time.perf_counter()
    for first in range(0, header.blocks, AT_ONCE):
        part = slice(first, first + AT_ONCE)
        _ = coder.encode(coder.decode(data[part], kept[part]))
    return 8.0 * size, time.perf_counter() - began


def _ost(pipeline: Pipeline, keep: Rung | float, *, bare: bool = False, drawn: bool = False) -> System:
    coarse, fine = DRAWN if drawn else (None, None)

    def run(sound: Audio) -> tuple[Audio, float]:
        with _file(sound) as (source, coded):
            _, size = compress(pipeline, source, coded, keep=keep, coarse=coarse, fine=fine)
            out = coded.with_suffix(".wav")
            _ = expand(pipeline, coded, out, bare=bare)
            made = read(out)
            if bare:  # the gain of a file is for what is filled in
                made = join(as_loud(lambda: [made], lambda: [sound], held=True)())
            return made, 8.0 * size

    return run


def _opus(kbps: float) -> System:
    return lambda sound: opus.roundtrip(sound, kbps)


def _stereo(folder: Path, passage: Passage) -> Audio:
    """A passage as its track has it."""
    song = next(each for each in songs(folder) if each.path.stem == passage.track)
    start = round(passage.start * song.sample_rate)
    return read(song.path, start=start, stop=start + round(passage.audio.seconds * song.sample_rate))
