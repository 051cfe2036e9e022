"""Music made ready for training: any folder of audio becomes WAV files of one sample rate and loudness."""

import math
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyloudnorm

from . import audiofile
from .corpus import Corpus, Progress, names
from .errors import AudioError, CorpusError
from .level import SHORTEST, to_target
from .resampling import join
from .types import Audio

SAMPLE_RATE = 44100
LONGEST = 3600.0
FORGIVEN = 0.05

Jobs: TypeAlias = dict[Path, Path]


@dataclass(frozen=True)
class Report:
    """What became of the files: those written now or before, and those skipped, each with its reason.

    `seconds` is the length of the ready files together.
    """

    ready: tuple[Path, ...]
    skipped: tuple[tuple[Path, str], ...]
    seconds: float

    def __str__(self) -> str:
        return f"{len(self.ready)} files ready ({self.seconds / 3600:.2f} hours), {len(self.skipped)} skipped"


def prepare(
    corpus: Corpus, root: Path | str, out: Path | str, *, workers: int = 1, watch: Progress | None = None
) -> Report:
    """Prepare the fetched tracks of `corpus` as `out/<split>/<package>__<title>.wav`.

    Args:
        root: where `corpus.fetch` laid the tracks out.
        workers: processes at work; each needs about 1 GB for a track of 10 minutes.
        watch: called as `watch(file, files done, files in all)`.

    Raises:
        AudioError: a file cannot be written.
        CorpusError: a listed track has not been fetched, two files would take one name, or a process died.
    """
    called = names(corpus.tracks)
    jobs: Jobs = {}
    for track in corpus.tracks:
        source = Path(root) / track.package / track.path
        if not source.is_file():
            raise CorpusError(f"{source} has not been fetched; fetch the {track.split} split first")
        jobs[source] = Path(out) / track.split / f"{called[track]}.wav"
    return _run(jobs, workers, watch)


def prepare_folder(folder: Path | str, out: Path | str, *, workers: int = 1, watch: Progress | None = None) -> Report:
    """Prepare every file in `folder` and below it as `out/<folder>__<name>.wav`; what is no audio is skipped.

    Raises:
        AudioError: a file cannot be written.
        CorpusError: `folder` is not a folder or has no files, two would take one name, or a process died.
    """
    if not Path(folder).is_dir():
        raise CorpusError(f"{folder} is not a folder of audio")
    inside = Path(out).resolve()
    sources = [
        path for path in sorted(Path(folder).rglob("*")) if path.is_file() and inside not in path.resolve().parents
    ]
    if not sources:
        raise CorpusError(f"{folder} has no files")
    flat = {path: "__".join(path.relative_to(folder).with_suffix("").parts) for path in sources}
    shared = Counter(name.casefold() for name in flat.values())
    jobs = {
        path: Path(out) / (f"{name}.wav" if shared[name.casefold()] == 1 else f"{name}_{path.suffix[1:]}.wav")
        for path, name in flat.items()
    }
    return _run(jobs, workers, watch)


def leveled(audio: Audio) -> Audio:
    """`audio` (one item) at an integrated loudness of -20 LUFS, or as near to it as a peak of 0.99 allows.

    Raises:
        AudioError: it is silent, or shorter than the 0.4 s that loudness is measured over.

    Source: ITU-R BS.1770-4.
    """
    if audio.seconds < SHORTEST:
        raise AudioError(f"loudness is measured over at least {SHORTEST} s, got {audio.seconds:.2f} s")
    rows = audio.wave[0].T.double().numpy()
    loudness = float(pyloudnorm.Meter(audio.sample_rate).integrated_loudness(rows))
    if not math.isfinite(loudness):
        raise AudioError("loudness needs a sound, got silence")
    gain = to_target(loudness, float(np.abs(rows).max()))
    return Audio(audio.wave * gain, audio.sample_rate)


def _run(jobs: Jobs, workers: int, watch: Progress | None) -> Report:
    ready: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    seconds = 0.0
    _check_targets(jobs)
    for folder in {target.parent for target in jobs.values()}:
        folder.mkdir(parents=True, exist_ok=True)
    for done, ((source, target), result) in enumerate(zip(jobs.items(), _map(jobs, workers), strict=True), 1):
        if isinstance(result, str):
            skipped.append((source, result))
        else:
            ready.append(target)
            seconds += result
        if watch:
            watch(source.name, done, len(jobs))
    return Report(tuple(ready), tuple(skipped), seconds)


def _check_targets(jobs: Jobs) -> None:
    taken: dict[str, Path] = {}
    for source, target in jobs.items():
        other = taken.setdefault(str(target).casefold(), source)
        if other is not source:
            raise CorpusError(f"{other} and {source} would both become {target}; rename one")


def _map(jobs: Jobs, workers: int) -> Iterator[float | str]:
    if workers <= 1:
        yield from map(_one, jobs.keys(), jobs.values())
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(_one, jobs.keys(), jobs.values())
        except BrokenProcessPool as error:
            raise CorpusError(
                f"a process died, most likely for lack of memory; use fewer than {workers} workers"
            ) from error


def _one(source: Path, target: Path) -> float | str:
    """Prepare one file, unless it was before: its seconds, or why it was skipped."""
    if target.is_file() and target.stat().st_mtime >= source.stat().st_mtime:
        return audiofile.info(target).seconds
    try:
        audio = _read(source)
    except AudioError as error:
        return str(error)
    _ = audiofile.write(target, audio, subtype="PCM_16")
    return audio.seconds


def _read(source: Path) -> Audio:
    audio = audiofile.resample(_decode(source), SAMPLE_RATE)
    try:
        return leveled(audio)
    except AudioError as error:
        raise AudioError(f"{source} is skipped: {error}") from error


def _decode(source: Path) -> Audio:
    """The sound of a file; some encoders promise a little more than they wrote, and that is forgiven."""
    with audiofile.Reader(source) as reader:
        facts = reader.facts
        if facts.seconds > LONGEST:
            raise AudioError(f"{source} lasts {facts.seconds / 3600:.1f} h; cut it into files of at most 1 h")
        pieces: list[Audio] = []
        try:
            pieces.extend(reader.blocks())
        except AudioError:
            found = sum(piece.samples for piece in pieces)
            if found < facts.samples - FORGIVEN * facts.sample_rate:
                raise
    return join(pieces)
