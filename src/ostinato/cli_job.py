"""What the verbs that make takes share: the flags that say how, and the job that they describe."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from . import audiofile
from .budget import Budget
from .cli_common import Command, Watch, duration, knob_flags
from .clip import Clip
from .config import knobs, parse, parse_named, unparse_named
from .config import load as load_settings
from .longplay import vary_file
from .pipeline import COARSE, FINE, Draft, Pipeline, load
from .prompts import Prompt, preset
from .sampling import Sampler, samplers

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
)


@dataclass(frozen=True)
class Job:
    """What takes are made from: a sound, a model as the user named it, a prompt, and samplers for both models.

    `deadline` is in seconds, from the start of each take to its sound; `cut` is the pass that fills what is left.
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

    @property
    def clip(self) -> Clip:
        return self.pipeline.clip(self.facts.samples, self.facts.sample_rate, loop=self.loop)

    def take(self, target: Path, seed: int, budget: Budget, watch: Watch) -> tuple[Draft, float]:
        """One take, within its budget, as a file; and by how many dB it was turned down."""
        how = {"sampler": self.coarse, "finisher": self.fine, "redraw": self.redraw, "loop": self.loop}
        limits = {"seed": seed, "budget": budget, "watch": watch}
        return vary_file(self.pipeline, self.sound, target, self.prompt, about=self.about, **how, **limits)

    def about(self, take: Draft) -> dict[str, Any]:
        """What a take's file tells of its making."""
        return {
            "ostinato": metadata.version("ostinato"),
            "model": self.model,
            "hash": take.model,
            "seed": take.seed,
            "input": {"name": self.sound.name, "sha256": audiofile.sha256(self.sound)},
            **take.settings,
        }


def prompt_of(named: str | None, keep: Sequence[str], hide: Sequence[str]) -> Prompt:
    """The prompt that flags mean: a preset, hints, or a preset with hints added to it.

    Raises:
        ConfigError: no such preset, hint or knob.
    """
    if named is None:
        return Prompt.of(keep, hide) if keep or hide else preset(USUAL)
    base = preset(named)
    return Prompt(base.keep + Prompt.of(keep).keep, base.hide + Prompt.of(hide=hide).hide)


def coarse_of(flags: dict[str, Any]) -> Sampler:
    """The sampler that `--sampler` names, with the flags of single knobs over it.

    Raises:
        ConfigError: no such sampler, or it has no such knob, or a value does not fit.
    """
    base = COARSE if flags["sampler"] is None else parse_named(samplers, flags["sampler"])
    given = {name: flags[name] for name in knobs(type(COARSE)) if flags[name] is not None}
    return load_settings(type(base), vars(base) | given)


def fine_of(text: str | None) -> Sampler:
    """The sampler that `--fine` means: by name, or settings alone for one of the usual kind.

    Raises:
        ConfigError: no such sampler or knob, or a value does not fit.
    """
    if text is None:
        return FINE
    settings_alone = "=" in text.partition(":")[0] or not text
    return parse(type(FINE), text) if settings_alone else parse_named(samplers, text)


def how_of(flags: dict[str, Any]) -> dict[str, Any]:
    """The samplers and ways of a job that flags mean.

    Raises:
        ConfigError: no such sampler or knob, or a value does not fit.
    """
    ways = {way: flags[way] for way in ("redraw", "loop")}
    return {"coarse": coarse_of(flags), "fine": fine_of(flags["fine"]), **ways}


def limits_of(flags: dict[str, Any]) -> dict[str, Any]:
    """The limits of a take's budget that `--deadline` and `--cut` set.

    Raises:
        ConfigError: the deadline is no time above 0, or the cut below 1.
    """
    seconds = None if flags["deadline"] is None else duration(flags["deadline"])
    _ = Budget(seconds, cut=flags["cut"])
    return {"deadline": seconds, "cut": flags["cut"]}


def job_of(sound: Path, model: str, prompt: Prompt, **how: Any) -> Job:
    """The job over a sound file, once its prompt is known to fit.

    Raises:
        AudioError, CheckpointError: the sound or the model cannot be read.
        PromptError: the prompt asks for what the sound does not have.
    """
    job = Job(sound, audiofile.info(sound), model, load(model), prompt, **how)
    _ = prompt.mask(job.clip)
    return job
