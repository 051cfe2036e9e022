"""What a server makes: takes of a sound in a room, by models that stay loaded."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from .. import audiofile
from ..budget import Budget
from ..cli.flags import Given
from ..cli.job import Job
from ..compress import compress, of_quality
from ..config import config, knob
from ..draft import Draft
from ..errors import AudioError, PromptError
from ..expand import expand
from ..filling import Progress
from ..hints import Hint, needs
from ..hints.surprise import smoothed
from ..longplay import file_pieces
from ..models import installed, shipped
from ..ostfile import OstReader
from ..pipeline import COARSE, FINE, Pipeline, load
from ..prompts import Prompt
from ..sampling import Sampler
from ..surprise import by_frame
from ..takes import read_draft, usual_loudness
from ..types import Audio, Beats
from .limits import by_name

OTHERS = 2
PEAKS, SMOOTH, APART = 5, 0.1, 0.5
SEEDS = 2**31


@config
class Way:
    """How takes are made, beside their prompt."""

    takes: int = knob("how many", default=1, unit="takes", low=1, high=64)
    seed: int = knob("another seed, another take; each take adds 1; 0 draws one", default=0, low=0, high=SEEDS - 1)
    feedback: int = knob("times over, from take to take", default=1, low=1, high=64)
    level: bool = knob("bring takes to the loudness of the input", default=True)
    loop: bool = knob("the sound goes round: the end of each take meets its start", default=False)
    redraw: bool = knob("let the codec draw what is kept, too", default=False)
    deadline: float | None = knob("as many steps as fit", default=None, unit="s", low=0.01, high=3600)


USUAL = Way()


@dataclass(frozen=True)
class Order:
    """What a client wants: takes of a sound that was admitted.

    `continued` goes on from the sound's tokens, if it has any that fit. `names` are those of the takes' files, else
    they are numbered. `lenient` leaves hints out that speak of beats or onsets where none are heard. `beats` are the
    musician's own; without them they are listened for.
    """

    sound: Path
    prompt: Prompt
    way: Way = USUAL
    model: str = ""
    coarse: Sampler = COARSE
    fine: Sampler = FINE
    mono: bool = False
    continued: bool = False
    lock: tuple[Hint, ...] = ()
    unlock: bool = False
    names: tuple[str, ...] = ()
    surprise: bool = False
    pitch: float = 0.0
    stretch: float = 1.0
    lenient: bool = False
    beats: Beats | None = None


@dataclass(frozen=True)
class Made:
    """One take: its file, its tokens, and the moments that surprise the model most, as (seconds, bits)."""

    path: Path
    draft: Draft
    peaks: tuple[tuple[float, float], ...] = ()


class Workshop:
    """Pipelines by name, loaded when first asked for; the latest stay. Not for two threads at once.

    Args:
        model: name or folder of the model that is used unless a client names another, and where it names one that is
            not here.
        device: where the models compute.

    Raises:
        CheckpointError: there is no such model, or it is damaged. ConfigError: there is no such device.
    """

    def __init__(self, model: str | Path = "default", device: str = "cpu") -> None:
        self._default, self._device = str(model), device
        self.main = load(model, device=device)
        self._others: OrderedDict[str, Pipeline] = OrderedDict()

    @property
    def models(self) -> list[str]:
        """The names that clients may choose from; the first is the usual one."""
        return [self.main.name, *(name for name in (*shipped(), *installed()) if name != self.main.name)]

    def known(self, name: str) -> bool:
        """Whether a name means a model that is here; `default` and none mean the usual one."""
        return name in ("", "default", *self.models)

    def stand_in(self, name: str) -> str:
        """What there is to say of a model that is not here; nothing of one that is."""
        return "" if self.known(name) else f"there is no model '{name[:40]}' here; {self.main.name} takes its place"

    def pipeline(self, name: str) -> Pipeline:
        """A model by name; the usual one where there is none of that name."""
        if name in ("", "default", self.main.name) or name not in self.models:
            return self.main
        if name not in self._others:
            while len(self._others) >= OTHERS:
                _ = self._others.popitem(last=False)
            self._others[name] = load(name, device=self._device)
        self._others.move_to_end(name)
        return self._others[name]

    def make(self, order: Order, watch: Progress) -> list[Made]:
        """The takes that an order asks for, each in its file beside the sound.

        Raises:
            OstinatoError: what is asked for cannot be made of this sound; else what `watch` raises.
        """
        job, room = self.job(order), order.sound.parent
        first = order.way.seed or 1 + secrets.randbelow(SEEDS - 1 - order.way.takes)
        made = []
        for number in range(order.way.takes):
            told = _numbered(watch, number + 1, order.way.takes)
            target = room / order.names[number] if order.names else _next_name(room)
            draft, _ = job.take(target, first + number, Budget(job.deadline), told)
            peaks = self._peaks(job.pipeline, draft, told) if order.surprise else ()
            made.append(Made(target, draft, peaks))
        return made

    def compress(self, sound: Path, target: Path, quality: int, model: str = "") -> tuple[float, int]:
        """Write a sound as an .ost file; returns its seconds and its bytes.

        Raises:
            OstinatoError: the sound cannot be read, or there is no such quality.
        """
        pipeline = self.pipeline(model)
        header, size = compress(pipeline, sound, target, keep=of_quality(pipeline.grid, quality))
        return header.seconds, size

    def expand(self, source: Path, target: Path, longest: float, watch: Progress) -> None:
        """Write the sound of an .ost file, with the model that made it or else the usual one.

        Raises:
            OstinatoError: it is no such file, damaged, too long, or of a model that is not here.
        """
        try:
            with OstReader(source) as reader:
                name, seconds = reader.header.model, reader.header.seconds
            if seconds > longest:
                raise AudioError(f"{source} lasts {seconds:.0f} s; at most {longest:g} s are taken here")
            _ = expand(self.pipeline(name), source, target, watch=watch)
        except AudioError as error:
            raise by_name(error, source) from None

    def job(self, order: Order) -> Job:
        """The job of an order, once its prompt is known to fit its sound.

        Raises:
            OstinatoError: it does not, or the sound cannot be gone on from.
        """
        pipeline, sound, way = self.pipeline(order.model), order.sound, order.way
        if order.mono:
            sound = _mono(sound)
        parent = read_draft(sound) if order.continued else None
        if parent is not None and parent.origin.hash != pipeline.codec_hash:
            parent = None
        job = Job(
            sound,
            audiofile.info(sound),
            self._default if pipeline is self.main else pipeline.name,
            pipeline,
            order.prompt,
            coarse=order.coarse,
            fine=order.fine,
            deadline=way.deadline,
            redraw=way.redraw,
            loop=way.loop if parent is None else parent.origin.circular,
            parent=parent,
            lock=order.lock,
            unlock=order.unlock,
            feedback=way.feedback,
            pitch=order.pitch,
            stretch=order.stretch,
        )
        if order.beats is not None and "beats" in job.needs:
            job = replace(job, given=Given(order.beats, told={"beats": len(order.beats.times)}))
        try:
            job = job.listened()
        except PromptError:
            if not order.lenient:
                raise
            job = replace(job, prompt=_deaf(order.prompt)).listened()
        loudness = usual_loudness(file_pieces(sound)()) if way.level else None
        return replace(job, loudness=loudness)

    def _peaks(self, pipeline: Pipeline, draft: Draft, watch: Progress) -> tuple[tuple[float, float], ...]:
        circular = draft.origin.circular
        bits = by_frame(pipeline.coarse, draft.codes, circular=circular, watch=watch)
        even = smoothed(bits, int(SMOOTH * pipeline.grid.rate / 2), circular=circular)
        length = draft.origin.seconds / len(bits) if circular else pipeline.grid.seconds(1)
        return tuple((frame * length, float(even[frame])) for frame in peaks(even, PEAKS, APART / length))


def peaks(values: Float[Tensor, " frame"], most: int, apart: float) -> list[int]:
    """The frames of the highest values that are at least `apart` frames from one another, in order of time."""
    chosen: list[int] = []
    for frame in torch.argsort(values, descending=True, stable=True).tolist():
        if all(abs(frame - other) >= apart for other in chosen):
            chosen.append(frame)
        if len(chosen) == most:
            break
    return sorted(chosen)


def _deaf(prompt: Prompt) -> Prompt:
    """A prompt without the hints that speak of what must be heard."""
    keep, hide = (tuple(hint for hint in part if not needs(hint)) for part in (prompt.keep, prompt.hide))
    return Prompt(keep, hide)


def _mono(sound: Path) -> Path:
    """The sound with its channels averaged, as a file beside it; itself where it has one."""
    if audiofile.info(sound).channels == 1:
        return sound
    audio, target = audiofile.read(sound), sound.with_name(f"{sound.stem}-mono.wav")
    _ = audiofile.write(target, Audio(audio.wave.mean(1, keepdim=True), audio.sample_rate), subtype="FLOAT")
    return target


def _next_name(room: Path) -> Path:
    number = 1 + sum(1 for _ in room.glob("take-*.wav"))
    while (target := room / f"take-{number}.wav").exists():
        number += 1
    return target


def _numbered(watch: Progress, number: int, takes: int) -> Progress:
    name = f"take {number} of {takes}: " if takes > 1 else ""
    return lambda stage, done, total: watch(f"{name}{stage}", done, total)
