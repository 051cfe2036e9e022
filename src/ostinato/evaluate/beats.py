"""Measure trackers on recordings whose beats are known: F-measure and continuity, as mir_eval defines them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..audiofile import info, read
from ..beats import Tracker, agreement
from ..data import SUFFIXES
from ..errors import CorpusError, MissingPartError
from ..train.annotated import SUFFIX, read_labels
from ..types import Audio, Beats
from .estimates import quiet

CHART = "notes.mid"
QUIET = 1e-3


@dataclass(frozen=True)
class KnownSong:
    """A recording in one or more stems that sound together, and the beats that it is known to have."""

    name: str
    stems: tuple[Path, ...]
    beats: Beats

    def audio(self) -> Audio:
        """The stems together; the shorter end in silence.

        Raises:
            AudioError: a stem cannot be read. CorpusError: they differ in sample rate.
        """
        found = [read(path) for path in self.stems]
        if len({audio.sample_rate for audio in found}) != 1:
            raise CorpusError(f"the stems of {self.name} differ in sample rate; bring them to one")
        length = max(audio.samples for audio in found)
        waves = [torch.nn.functional.pad(a.wave.mean(1), (0, length - a.samples)) for a in found]
        return Audio(torch.stack(waves).sum(0)[:, None], found[0].sample_rate)


@dataclass(frozen=True)
class BeatScore:
    """How one tracker did on one song, each 0 to 1.

    `f` and `downbeat_f` are F-measures within 70 ms; `cmlt` is the share of beats that go on at the right tempo and
    phase, `amlt` the same with double, half and off-beat allowed.
    """

    tracker: str
    song: str
    f: float
    cmlt: float
    amlt: float
    downbeat_f: float


def known_songs(folder: Path, *, skip: Sequence[str] = ()) -> list[KnownSong]:
    """The songs below `folder`: games' song folders with a `notes.mid`, and sounds with a `.beats` file beside them.

    `skip` names songs to leave out.

    Raises:
        CorpusError: there is none, or a label file is damaged. MissingPartError: mido is not installed.
    """
    found = [song for song in (*_charts(folder), *_labelled(folder)) if song.name not in skip]
    if not found:
        raise CorpusError(f"no songs with beats in {folder}; they have a {CHART} or a {SUFFIX} file beside them")
    return sorted(found, key=lambda song: song.name)


def score_beats(
    songs: Sequence[KnownSong], trackers: dict[str, Tracker], *, watch: Callable[[str, int, int], None] = quiet
) -> list[BeatScore]:
    """Every tracker on every song.

    Beats before the song sounds, or after, do not count, nor do those of its first 5 s, as is usual.

    Raises:
        MissingPartError: mir_eval is not installed.
    """
    scores = []
    for number, song in enumerate(songs):
        watch(song.name, number, len(songs))
        audio = song.audio()
        scores += [score(name, song, tracker(audio), sounding(audio)) for name, tracker in trackers.items()]
    return scores


def score(name: str, song: KnownSong, found: Beats, span: tuple[float, float]) -> BeatScore:
    """How well `found` meets the song's beats within `span`, in seconds.

    Raises:
        MissingPartError: mir_eval is not installed.
    """
    measure = _part("mir_eval.beat")
    truth, guess = (measure.trim_beats(_within(beats.times, span)) for beats in (song.beats, found))
    downs = [Beats(times=tuple(_within(beats.downbeats, span).tolist())) for beats in (found, song.beats)]
    _, cmlt, _, amlt = measure.continuity(truth, guess) if len(guess) > 1 else (0.0, 0.0, 0.0, 0.0)
    return BeatScore(
        tracker=name,
        song=song.name,
        f=float(measure.f_measure(truth, guess)) if len(guess) else 0.0,
        cmlt=float(cmlt),
        amlt=float(amlt),
        downbeat_f=agreement(*downs),
    )


def sounding(audio: Audio) -> tuple[float, float]:
    """From when to when a sound is above -60 dBFS, in seconds."""
    loud = (audio.wave[0].abs().amax(0) > QUIET).nonzero()
    if len(loud) == 0:
        return 0.0, 0.0
    return float(loud[0]) / audio.sample_rate, float(loud[-1]) / audio.sample_rate


def chart_beats(path: Path, seconds: float) -> Beats:
    """The beats of a MIDI file's tempo map and time signatures, up to `seconds`; without a signature, 4/4.

    Raises:
        MissingPartError: mido is not installed. CorpusError: the file is no MIDI file.
    """
    mido = _part("mido")
    try:
        file = mido.MidiFile(path, clip=True)
    except (OSError, ValueError, EOFError) as error:
        raise CorpusError(f"{path} is not a MIDI file that can be read ({error})") from None
    changes = _changes(mido, file)
    times, downbeats = [], []
    now, tick, tempo, metre, place = 0.0, 0.0, 500000, 4, 0
    while now < seconds:
        while changes and changes[0][0] <= tick + 0.5:
            _, new_tempo, new_metre = changes.pop(0)
            tempo = new_tempo or tempo
            metre, place = (new_metre, 0) if new_metre else (metre, place)
        times.append(now)
        downbeats += [now] if place % metre == 0 else []
        tick, place = tick + file.ticks_per_beat, place + 1
        now += tempo / 1e6
    return Beats(times=tuple(times), downbeats=tuple(downbeats))


def _changes(mido: Any, file: Any) -> list[tuple[int, int | None, int | None]]:
    """Tick, and the tempo or the beats in a bar from there on."""
    found, tick = [], 0
    for event in mido.merge_tracks(file.tracks):
        tick += event.time
        if event.type == "set_tempo":
            found.append((tick, event.tempo, None))
        elif event.type == "time_signature":
            found.append((tick, None, max(1, round(event.numerator * 4 / event.denominator))))
    return found


def _charts(folder: Path) -> Iterator[KnownSong]:
    for chart in sorted(folder.rglob(CHART)):
        stems = tuple(sorted(path for path in chart.parent.iterdir() if path.suffix.lower() in SUFFIXES))
        if stems:
            seconds = max(info(path).seconds for path in stems)
            yield KnownSong(chart.parent.name, stems, chart_beats(chart, seconds))


def _labelled(folder: Path) -> Iterator[KnownSong]:
    for labels in sorted(folder.rglob(f"*{SUFFIX}")):
        stems = tuple(path for path in labels.parent.glob(f"{labels.stem}.*") if path.suffix.lower() in SUFFIXES)
        rows = read_labels(labels)
        if stems:
            first = rows[rows[:, 1] == 1, 0]
            yield KnownSong(labels.stem, stems[:1], Beats(tuple(rows[:, 0].tolist()), tuple(first.tolist())))


def _within(times: Sequence[float], span: tuple[float, float]) -> np.ndarray:
    return np.array([time for time in times if span[0] <= time <= span[1]])


def _part(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise MissingPartError(f"measuring beats needs {package}; `pip install 'ostinato[beats]'` brings it") from None
