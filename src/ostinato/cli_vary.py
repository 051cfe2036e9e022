"""`ostinato vary` and `ostinato demo`: a sound in, takes out, each with all that is needed to make it again."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from . import audiofile, plot
from .budget import Budget
from .cli_common import (
    Watch,
    as_json,
    duration,
    interruptible,
    knob_flags,
    model_option,
    output,
    progress,
    prompt_flags,
    show,
    sound,
    spare,
)
from .clip import Clip
from .config import knobs, parse, parse_named, unparse_named
from .config import load as load_settings
from .errors import MissingPartError, OstinatoError
from .longplay import vary_file
from .pipeline import COARSE, FINE, Draft, Pipeline, load
from .prompts import Prompt, preset
from .sampling import Sampler, samplers

USUAL = "medium variation"
LOOP = Path(__file__).parent / "assets" / "loop.flac"


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


@click.command()
@sound
@output("WAV or FLAC to write; with --takes 3 the files are OUT-1, OUT-2 and OUT-3.")
@click.option("--preset", "named", metavar="NAME", help=f"A prompt by name, see `presets`.  [default: {USUAL}]")
@click.option("--keep", multiple=True, metavar="HINT[:knob=value,...]", help="Cells to keep, see `hints`; repeatable.")
@click.option("--hide", multiple=True, metavar="HINT[:knob=value,...]", help="Cells to fill even so; repeatable.")
@click.option("--takes", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many.")
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, another take; each take adds 1.")
@click.option(
    "--sampler",
    metavar="NAME[:knob=value,...]",
    help=f"How the coarse codebooks are filled, see `samplers`.  [default: {samplers.name(type(COARSE))}]",
)
@knob_flags(type(COARSE), COARSE)
@click.option(
    "--fine",
    metavar="[NAME:]knob=value,...",
    help=f"How the fine ones are.  [default: {unparse_named(samplers, FINE)}]",
)
@click.option("--deadline", metavar="TIME", help="As many steps as fit, such as 1.8s or 900ms, for each take.")
@click.option("--cut", type=int, metavar="PASS", help="The pass that fills all that is left; Ctrl-C makes one.")
@click.option("--redraw", is_flag=True, help="Let the codec draw what is kept, too, in place of the original samples.")
@click.option("--loop", is_flag=True, help="SOUND goes round: make the end of each take meet its start.")
@model_option
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="A picture to draw: .png, .svg or .pdf.")
@as_json
def vary(sound: Path, out: Path, named: str | None, keep: Sequence[str], hide: Sequence[str], **flags: Any) -> None:
    """Make variations of SOUND: the prompt says what stays, the model makes up the rest.

    Without --preset, --keep or --hide the prompt is "medium variation". The same command makes the same take, bit
    for bit, and `ostinato info TAKE` tells that command. Ctrl-C gives the take as far as it is; twice, nothing.
    """
    prompt = prompt_of(named, keep, hide)
    targets = numbered(out, flags["takes"])
    for target in targets:
        _ = audiofile.check_writable(target)
        spare(sound, target)
    if flags["picture"] is not None:
        _ = plot.check(flags["picture"])
    limits = limits_of(flags)
    how = {"coarse": coarse_of(flags), "fine": fine_of(flags["fine"]), "redraw": flags["redraw"], "loop": flags["loop"]}
    job = _job(sound, flags["model"], prompt, **how, **limits)
    takes, made = _make(job, targets, flags["seed"])
    if flags["picture"] is not None:
        made["plot"] = _draw(job, takes, targets, flags["picture"])
    _tell(made, json_wanted=flags["as_json"])


@click.command()
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="A folder.")
@model_option
@as_json
def demo(out: Path, model: str, as_json: bool) -> None:
    """Hear it: two takes of the loop that ships, and a picture of them."""
    if not LOOP.is_file():
        raise OstinatoError(f"the loop that ships is not at {LOOP}; install ostinato again")
    try:
        out.mkdir(parents=True, exist_ok=True)
        loop = Path(shutil.copyfile(LOOP, out / LOOP.name))
    except OSError as error:
        raise OstinatoError(f"cannot write to {out}: {error.strerror}") from None
    job = _job(loop, model, preset(USUAL))
    targets = [out / "take-1.wav", out / "take-2.wav"]
    takes, made = _make(job, targets, seed=1)
    made = {"input": str(loop), **made}
    try:
        made["plot"] = _draw(job, takes, targets, out / "picture.png")
    except MissingPartError as error:
        made["missing"] = str(error)
    _tell(made, json_wanted=as_json)


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


def limits_of(flags: dict[str, Any]) -> dict[str, Any]:
    """The limits of a take's budget that `--deadline` and `--cut` set.

    Raises:
        ConfigError: the deadline is no time above 0, or the cut below 1.
    """
    seconds = None if flags["deadline"] is None else duration(flags["deadline"])
    _ = Budget(seconds, cut=flags["cut"])
    return {"deadline": seconds, "cut": flags["cut"]}


def numbered(out: Path, takes: int) -> list[Path]:
    """One name for each take: the name itself for one, else NAME-1, NAME-2 and so on."""
    if takes == 1:
        return [out]
    return [out.with_name(f"{out.stem}-{number}{out.suffix}") for number in range(1, takes + 1)]


def _job(sound: Path, model: str, prompt: Prompt, **how: Any) -> Job:
    job = Job(sound, audiofile.info(sound), model, load(model), prompt, **how)
    _ = prompt.mask(job.clip)
    return job


def _make(job: Job, targets: Sequence[Path], seed: int) -> tuple[list[Draft], dict[str, Any]]:
    takes, rows, start, stopped = [], [], time.perf_counter(), False
    with progress() as watch:
        for number, target in enumerate(targets):
            tell = _numbered_watch(watch, number + 1, len(targets))
            budget = Budget(job.deadline, cut=job.cut)
            with interruptible(budget.stop):
                take, gain = job.take(target, seed + number, budget, tell)
            takes.append(take)
            rows.append({"path": str(target), "seed": take.seed, "gain_db": round(gain, 2), **_passes(take)})
            if stopped := budget.stopped:
                break
    took, seconds = time.perf_counter() - start, job.facts.seconds
    return takes, {
        "takes": rows,
        "model": job.model,
        "hash": job.pipeline.hash,
        "prompt": " ".join(prompt_flags(job.prompt)),
        "seconds": round(seconds, 3),
        "took": round(took, 3),
        "times_real_time": round(len(takes) * seconds / took, 2),
        "stopped": stopped,
    }


def _passes(take: Draft) -> dict[str, Any]:
    """The steps that a take's samplers were given, where they have any, and the cut."""
    steps = {stage: take.settings[stage].get("steps") for stage in ("coarse", "fine")}
    return {"steps": steps, "cut": take.settings.get("cut")}


def _numbered_watch(watch: Watch, number: int, takes: int) -> Watch:
    name = f"take {number} of {takes}: " if takes > 1 else ""
    return lambda stage, done, total: watch(f"{name}{stage}", done, total)


def _draw(job: Job, drafts: Sequence[Draft], targets: Sequence[Path], path: Path) -> str:
    words = ", " + " ".join(prompt_flags(job.prompt))
    takes = [draft.take(audiofile.read(target)) for draft, target in zip(drafts, targets, strict=False)]
    return str(plot.picture(path, audiofile.read(job.sound), takes[0].mask[0], takes, job.pipeline.grid, prompt=words))


def _tell(made: dict[str, Any], *, json_wanted: bool) -> None:
    show(made, _story(made), json_wanted=json_wanted)
    if made["stopped"]:
        raise click.Abort


def _story(made: dict[str, Any]) -> str:
    lines = [made["input"]] if "input" in made else []
    for row in made["takes"]:
        turned = f", turned down by {-row['gain_db']} dB so that it does not clip" if row["gain_db"] else ""
        cut = "" if row["cut"] is None else f", cut short at pass {row['cut']}"
        lines.append(f"{row['path']}  (seed {row['seed']}{cut}{turned})")
    lines += [made["plot"]] if "plot" in made else []
    lines += [made["missing"]] if "missing" in made else []
    count = len(made["takes"])
    what = f"{count} takes of {made['seconds']} s" if count > 1 else f"{made['seconds']} s"
    return "\n".join([*lines, f"{what} in {made['took']} s: {made['times_real_time']} times real time"])
