"""What the verbs that make takes share: the flags that say how, and the job that they describe."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from .. import audiofile
from ..budget import Budget
from ..clip import Clip, Heard
from ..config import knobs, parse, parse_named, unparse_named
from ..config import load as load_settings
from ..draft import Draft
from ..errors import ConfigError
from ..hints import Hint, needs, parse_hint
from ..level import ABSOLUTE_GATE, ready
from ..listening import listen
from ..longplay import file_pieces, vary_file
from ..pipeline import COARSE, FINE, Pipeline, load
from ..pitch import check_semitones
from ..prompts import Prompt, preset
from ..sampling import Sampler, samplers
from ..stretch import stretched_heard, stretched_samples
from ..takes import draft_of, tokens, usual_loudness
from ..tree import about
from .common import (
    Command,
    Finite,
    Watch,
    Within,
    device_option,
    duration,
    knob_flags,
    precision_option,
    runtime_option,
)
from .flags import Given

USUAL = "medium variation"


def together(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Several options as one decorator, in the order of the help."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


prompt_options = together(
    click.option("--preset", "named", metavar="NAME", help=f"A prompt by name, see `presets`.  [default: {USUAL}]"),
    click.option(
        "--keep", multiple=True, metavar="HINT[:knob=value,...]", help="Cells to keep, see `hints`; repeatable."
    ),
    click.option("--hide", multiple=True, metavar="HINT[:knob=value,...]", help="Cells to fill even so; repeatable."),
    click.option(
        "--dropout", type=Finite(), default=0.0, show_default=True, help="Share of the kept cells to fill even so."
    ),
)
sampler_options = together(
    click.option(
        "--seed", type=int, default=0, show_default=True, help="Another seed, another take; each take adds 1."
    ),
    click.option(
        "--sampler",
        metavar="NAME[:knob=value,...]",
        help=f"How the coarse codebooks are filled, see `samplers`.  [default: {samplers.name(type(COARSE))}]",
    ),
    knob_flags(type(COARSE), COARSE),
    click.option(
        "--fine",
        metavar="[NAME:]knob=value,...",
        help=f"How the fine ones are.  [default: {unparse_named(samplers, FINE)}]",
    ),
)
way_options = together(
    click.option(
        "--redraw", is_flag=True, help="Let the codec draw what is kept, too, in place of the original samples."
    ),
    click.option("--loop", is_flag=True, help="SOUND goes round: make the end of each take meet its start."),
    precision_option,
    runtime_option,
    device_option,
)
control_options = together(
    click.option(
        "--pitch", type=Finite(), default=0.0, show_default=True, help="Semitones by which SOUND is transposed first."
    ),
    click.option(
        "--stretch", type=Finite(), default=1.0, show_default=True, help="Make the take so many times as long as SOUND."
    ),
)
source_options = together(
    click.argument("sound", type=click.Path(path_type=Path), required=False),
    click.option(
        "--from", "source", type=click.Path(path_type=Path), metavar="TAKE", help="A take to go on from, by its tokens."
    ),
    click.option(
        "--lock", multiple=True, metavar="HINT[:knob=value,...]", help="Cells to keep from now on; repeatable."
    ),
    click.option("--unlock", is_flag=True, help="Forget what was locked in TAKE and before."),
)
loudness_option = click.option(
    "--loudness",
    type=Within(ABSOLUTE_GATE, 0),
    metavar="LUFS",
    help="Bring what is made to this loudness.  [default: that of SOUND]",
)


@dataclass(frozen=True)
class Job:
    """What takes are made from: a sound, a model as the user named it, a prompt, and samplers for both models.

    `deadline` is in seconds, from the start of each take to its sound; `cut` is the pass that fills what is left.
    `parent` is the take that they go on from, if they do, and `encoded` whether it had no tokens of its own.
    """

    sound: Path
    facts: audiofile.Facts
    model: str
    pipeline: Pipeline
    prompt: Prompt
    coarse: Sampler = COARSE
    fine: Sampler = FINE
    deadline: float | None = None
    cut: int | None = None
    redraw: bool = False
    loop: bool = False
    parent: Draft | None = None
    encoded: bool = False
    lock: tuple[Hint, ...] = ()
    unlock: bool = False
    feedback: int = 1
    loudness: float | None = None
    pitch: float = 0.0
    stretch: float = 1.0
    given: Given = field(default_factory=Given)
    heard: Heard = field(default_factory=Heard)

    @property
    def clip(self) -> Clip:
        samples, heard = stretched_samples(self.facts.samples, self.stretch), stretched_heard(self.heard, self.stretch)
        return self.pipeline.clip(samples, self.facts.sample_rate, loop=self.loop, heard=heard)

    @property
    def needs(self) -> frozenset[str]:
        """What must have been heard before the prompt can be answered."""
        return self.prompt.needs | needs(*self.lock)

    def listened(self) -> "Job":
        """This job, once its sound has been listened to for what it needs, and its prompt is known to fit.

        Raises:
            ConfigError: beats are given, and nothing asks for them.
            PromptError: the prompt asks for what the sound does not have.
        """
        job = replace(self, heard=heard_in(self.sound, self.needs, self.given, loop=self.loop, flag="--keep"))
        if all(getattr(job.heard, each) is not None for each in self.needs):
            _ = self.prompt.mask(job.clip)
        return job

    @property
    def notes(self) -> list[str]:
        """What whoever runs this should know."""
        return [encoded_note(self.sound)] if self.encoded else []

    def take(self, target: Path, seed: int, budget: Budget, watch: Watch) -> tuple[Draft, float]:
        """One take, within its budget, as a file; and by how many dB it was turned down."""
        how = {"sampler": self.coarse, "finisher": self.fine, "redraw": self.redraw, "loop": self.loop}
        how |= {"pitch": self.pitch, "stretch": self.stretch}
        how |= {"heard": self.heard, "lock": self.lock, "feedback": self.feedback, "loudness": self.loudness}
        if self.parent is not None:
            how |= {"tokens": (self.parent.codes, self.parent.origin)}
            how |= {} if self.unlock else {"locked": self.parent.locked}
        limits = {"seed": seed, "budget": budget, "watch": watch}
        return vary_file(self.pipeline, self.sound, target, self.prompt, about=self.about, **how, **limits)

    def about(self, take: Draft) -> dict[str, Any]:
        """What a take's file tells of its making."""
        ways = {"continued": self.parent is not None, "unlock": self.unlock}
        more = {way: True for way, taken in ways.items() if taken}
        more |= {"beats": self.given.told} if "beats" in self.needs else {}
        return told(take, self.model, {"input": self.sound}, more)


def heard_in(sound: Path, wanted: frozenset[str], beats: Given, *, loop: bool, flag: str) -> Heard:
    """What of `wanted` can be heard in a sound file, where the flags do not give it; `flag` is where hints are asked.

    Raises:
        ConfigError: beats are given, and nothing asks for them.
    """
    if beats != Given() and "beats" not in wanted:
        raise ConfigError(f"nothing in the prompt speaks of beats; add {flag} beats, or leave out where they are")
    known = Heard(beats=beats.beats)
    return listen(file_pieces(sound), wanted, known, tracker=beats.tracker, circular=loop)


def encoded_note(path: Path) -> str:
    """Why a take is not gone on from exactly."""
    return f"note: {path} carries no tokens that fit its sound; it was encoded again"


def told(take: Draft, model: str, sources: dict[str, Path], more: dict[str, Any]) -> dict[str, Any]:
    """What a take's file tells of its making, its tokens last."""
    return {
        "ostinato": metadata.version("ostinato"),
        "model": model,
        "hash": take.model,
        "seed": take.seed,
        **{what: {"name": path.name, "sha256": audiofile.sha256(path)} for what, path in sources.items()},
        **take.settings,
        **more,
        **tokens(take),
    }


def prompt_of(flags: dict[str, Any]) -> Prompt:
    """The prompt that flags mean: a preset, hints, or a preset with hints added to it.

    Raises:
        ConfigError: no such preset, hint or knob, or the dropout is no share.
    """
    named, keep, hide, dropout = flags["named"], flags["keep"], flags["hide"], flags["dropout"]
    if named is None:
        return replace(Prompt.of(keep, hide) if keep or hide else preset(USUAL), dropout=dropout)
    base = preset(named)
    return Prompt(base.keep + Prompt.of(keep).keep, base.hide + Prompt.of(hide=hide).hide, dropout)


def coarse_of(flags: dict[str, Any]) -> Sampler:
    """The sampler that `--sampler` names, with the flags of single knobs over it.

    Raises:
        ConfigError: no such sampler, or it has no such knob, or a value does not fit.
    """
    base = COARSE if flags["sampler"] is None else parse_named(samplers, flags["sampler"])
    given = {name: flags[name] for name in knobs(type(COARSE)) if flags[name] is not None}
    return load_settings(type(base), vars(base) | given)


def fine_of(text: str | None) -> Sampler:
    """The sampler that `--fine` means: by name, or settings alone for one of the kind usual for the coarse ones.

    Raises:
        ConfigError: no such sampler or knob, or a value does not fit.
    """
    if text is None:
        return FINE
    settings_alone = "=" in text.partition(":")[0] or not text
    return parse(type(COARSE), text) if settings_alone else parse_named(samplers, text)


def how_of(flags: dict[str, Any]) -> dict[str, Any]:
    """The samplers and ways of a job that flags mean.

    Raises:
        ConfigError: no such sampler or knob, or a value does not fit.
    """
    ways = {way: flags[way] for way in ("precision", "runtime", "device", "redraw", "loop", "unlock", "loudness")}
    lock = tuple(parse_hint(text) for text in flags["lock"])
    return {"coarse": coarse_of(flags), "fine": fine_of(flags["fine"]), "lock": lock, **ways}


def limits_of(flags: dict[str, Any]) -> dict[str, Any]:
    """The limits of a take's budget that `--deadline` and `--cut` set.

    Raises:
        ConfigError: the deadline is no time above 0, or the cut below 1.
    """
    seconds = None if flags["deadline"] is None else duration(flags["deadline"])
    _ = Budget(seconds, cut=flags["cut"])
    return {"deadline": seconds, "cut": flags["cut"]}


def controls_of(flags: dict[str, Any]) -> dict[str, Any]:
    """What flags mean to do to the sound before it is varied.

    Raises:
        ConfigError: a value is out of range, or there are only the tokens of a take to do it to.
    """
    pitch, stretch = flags["pitch"], flags["stretch"]
    if flags["source"] is not None and (pitch or stretch != 1):
        raise ConfigError("--pitch and --stretch change a SOUND; with --from TAKE there are its tokens: name its file")
    _ = check_semitones(pitch), stretched_samples(1, stretch)
    return {"pitch": pitch, "stretch": stretch}


def source_of(flags: dict[str, Any]) -> tuple[Path, bool]:
    """The sound that flags name, and whether it is a take to go on from.

    Raises:
        ConfigError: there is none, or two.
    """
    sound, source = flags["sound"], flags["source"]
    if (sound is None) == (source is None):
        raise ConfigError(f"name a SOUND or a take with --from TAKE, one of them; got {'both' if sound else 'neither'}")
    return (sound, False) if source is None else (source, True)


def model_of(flags: dict[str, Any]) -> str:
    """The model that flags name; for a take to go on from its own, unless another was named."""
    named = click.get_current_context().get_parameter_source("model") is not ParameterSource.DEFAULT
    if named or flags["source"] is None:
        return flags["model"]
    return about(flags["source"]).get("model", flags["model"])


def job_of(
    sound: Path,
    model: str,
    prompt: Prompt,
    *,
    precision: str = "fp32",
    runtime: str = "torch",
    device: str = "cpu",
    continued: bool = False,
    **how: Any,
) -> Job:
    """The job over a sound file, once its prompt is known to fit.

    Raises:
        AudioError, CheckpointError: the sound or the model cannot be read, or do not go together.
        ConfigError: the sound is to be a loop, and goes on from a take that is none.
        PromptError: the prompt asks for what the sound does not have.
    """
    pipeline, facts = load(model, precision=precision, device=device, runtime=runtime), audiofile.info(sound)
    ready()
    if continued:
        parent, encoded = draft_of(pipeline, sound, loop=how["loop"])
        how |= {"parent": parent, "encoded": encoded, "loop": parent.origin.circular}
    job = Job(sound, facts, model, pipeline, prompt, **how).listened()
    if job.feedback > 1 and job.loudness is None:
        return replace(job, loudness=usual_loudness(file_pieces(sound)()))
    return job
