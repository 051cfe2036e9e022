"""Music made ready for training: any folder of audio becomes WAV files of one sample rate and loudness."""

import contextlib
import math
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyloudnorm
import soundfile
import soxr
from jaxtyping import Float32

from .corpus import Corpus, Progress, names
from .errors import AudioError, CorpusError

SAMPLE_RATE = 44100
LOUDNESS = -20.0
PEAK = 0.99
SHORTEST = 0.4
LONGEST = 3600.0

Samples: TypeAlias = Float32[np.ndarray, "sample channel"]


@dataclass(frozen=True)
class Report:
    """What became of the files: those written now or before, and those skipped, each with its reason."""

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
        CorpusError: a listed track has not been fetched, or a process died.
    """
    called = names(corpus.tracks)
    jobs: dict[Path, Path] = {}
    for track in corpus.tracks:
        source = Path(root) / track.package / track.path
        if not source.is_file():
            raise CorpusError(f"{source} has not been fetched; fetch the {track.split} split first")
        jobs[source] = Path(out) / track.split / f"{called[track]}.wav"
    return _run(jobs, workers, watch)


def prepare_folder(folder: Path | str, out: Path | str, *, workers: int = 1, watch: Progress | None = None) -> Report:
    """Prepare every file in `folder` and below it as `out/<folder>__<name>.wav`; what is no audio is skipped.

    Raises:
        CorpusError: `folder` is not a folder or has no files, or a process died.
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
    shared = Counter(flat.values())
    jobs = {
        path: Path(out) / (f"{name}.wav" if shared[name] == 1 else f"{name}_{path.suffix.lstrip('.')}.wav")
        for path, name in flat.items()
    }
    return _run(jobs, workers, watch)


def level(wave: Samples, sample_rate: int) -> Samples:
    """`wave` (sample, channel) at -20 LUFS, or as near to it as a peak of 0.99 allows.

    Raises:
        AudioError: it is silent, or shorter than the 0.4 s that loudness is measured over.

    Source: ITU-R BS.1770-4, integrated loudness.
    """
    if len(wave) < SHORTEST * sample_rate:
        raise AudioError(f"it is {len(wave) / sample_rate:.2f} s long; at least {SHORTEST} s are needed")
    loudness = float(pyloudnorm.Meter(sample_rate).integrated_loudness(wave.astype(np.float64)))
    if not math.isfinite(loudness):
        raise AudioError("it is silent")
    gain = min(10 ** ((LOUDNESS - loudness) / 20), PEAK / float(np.abs(wave).max()))
    return wave * np.float32(gain)


def _run(jobs: Mapping[Path, Path], workers: int, watch: Progress | None) -> Report:
    ready: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    seconds = 0.0
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


def _map(jobs: Mapping[Path, Path], workers: int) -> Iterator[float | str]:
    if workers <= 1:
        yield from map(_one, jobs.keys(), jobs.values())
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield from pool.map(_one, jobs.keys(), jobs.values())
        except BrokenProcessPool as error:
            raise CorpusError(f"a process died, most likely for lack of memory; use fewer than {workers}") from error


def _one(source: Path, target: Path) -> float | str:
    """Prepare one file, unless it was before: its seconds, or why it was skipped."""
    try:
        if target.is_file() and target.stat().st_mtime >= source.stat().st_mtime:
            return soundfile.info(target).duration
        wave = level(_decode(source), SAMPLE_RATE)
        _write(target, wave)
        return len(wave) / SAMPLE_RATE
    except AudioError as error:
        return str(error)
    except soundfile.SoundFileError as error:
        reason = str(error).rpartition(": ")[2]
        return f"it cannot be read as audio ({reason.rstrip('.')})"


def _decode(source: Path) -> Samples:
    with soundfile.SoundFile(source) as file:
        if file.channels > 2:
            raise AudioError(f"it has {file.channels} channels; mix it down to 1 or 2")
        if file.frames > LONGEST * file.samplerate:
            raise AudioError(f"it is {file.frames / file.samplerate / 3600:.1f} h long; cut it into files under 1 h")
        wave = file.read(dtype="float32", always_2d=True)
        rate = file.samplerate
    if not np.isfinite(wave).all():
        raise AudioError("it has samples that are not numbers")
    return wave if rate == SAMPLE_RATE else soxr.resample(wave, rate, SAMPLE_RATE, quality="HQ")


def _write(target: Path, wave: Samples) -> None:
    half = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        soundfile.write(half, wave, SAMPLE_RATE, subtype="PCM_16", format="WAV")
        os.replace(half, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            half.unlink()
