"""`ostinato vary` and `ostinato demo`: a sound in, takes out, each with all that is needed to make it again."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .. import audiofile, plot
from ..budget import Budget
from ..draft import Draft
from ..errors import MissingPartError, OstinatoError
from ..models import LOOP
from ..prompts import preset
from .common import (
    Watch,
    as_json,
    interruptible,
    model_option,
    output,
    progress,
    prompt_flags,
    show,
    spare,
)
from .flags import beat_options, given
from .job import (
    USUAL,
    Job,
    control_options,
    controls_of,
    how_of,
    job_of,
    limits_of,
    loudness_option,
    model_of,
    prompt_of,
    prompt_options,
    sampler_options,
    source_of,
    source_options,
    way_options,
)


@click.command()
@source_options
@output("WAV or FLAC to write; with --takes 3 the files are OUT-1, OUT-2 and OUT-3.")
@prompt_options
@beat_options
@click.option("--takes", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many.")
@sampler_options
@click.option("--deadline", metavar="TIME", help="As many steps as fit, such as 1.8s or 900ms, for each take.")
@click.option("--cut", type=int, metavar="PASS", help="The pass that fills all that is left; Ctrl-C makes one.")
@way_options
@control_options
@click.option(
    "--feedback", type=click.IntRange(1, 64), default=1, show_default=True, help="Times over, from take to take."
)
@loudness_option
@model_option
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="A picture to draw: .png, .svg or .pdf.")
@as_json
def vary(out: Path, **flags: Any) -> None:
    """Make variations of SOUND: the prompt says what stays, the model makes up the rest.

    --from TAKE goes on from the tokens of a take. With --feedback N each take becomes the next input, N times in all,
    and the last is as loud as the first input.

    A take is as long as SOUND, to the sample, but for --stretch.

    Without --preset, --keep or --hide the prompt is "medium variation". The same command makes the same take, bit
    for bit, and `ostinato info TAKE` tells that command. Ctrl-C gives the take as far as it is; twice, nothing.
    """
    sound, continued = source_of(flags)
    prompt = prompt_of(flags)
    targets = numbered(out, flags["takes"])
    for target in targets:
        _ = audiofile.check_writable(target)
        spare(sound, target)
    if flags["picture"] is not None:
        _ = plot.check(flags["picture"])
    how = {**how_of(flags), **limits_of(flags), "continued": continued, "feedback": flags["feedback"]}
    how |= controls_of(flags)
    how["given"] = given(flags, audiofile.info(sound).seconds)
    job = job_of(sound, model_of(flags), prompt, **how)
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
    job = job_of(loop, model, preset(USUAL))
    targets = [out / "take-1.wav", out / "take-2.wav"]
    takes, made = _make(job, targets, seed=1)
    made = {"input": str(loop), **made}
    try:
        made["plot"] = _draw(job, takes, targets, out / "picture.png")
    except MissingPartError as error:
        made["missing"] = str(error)
    _tell(made, json_wanted=as_json)


def numbered(out: Path, takes: int) -> list[Path]:
    """One name for each take: the name itself for one, else NAME-1, NAME-2 and so on."""
    if takes == 1:
        return [out]
    return [out.with_name(f"{out.stem}-{number}{out.suffix}") for number in range(1, takes + 1)]


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
        "notes": job.notes,
    }


def _passes(take: Draft) -> dict[str, Any]:
    """The steps that a take's samplers were given, where they have any, and the cut."""
    steps = {stage: take.settings[stage].get("steps") for stage in ("coarse", "fine")}
    return {"steps": steps, "cut": take.settings.get("cut")}


def _numbered_watch(watch: Watch, number: int, takes: int) -> Watch:
    name = f"take {number} of {takes}: " if takes > 1 else ""
    return lambda stage, done, total: watch(f"{name}{stage}", done, total)


def _draw(job: Job, drafts: Sequence[Draft], targets: Sequence[Path], path: Path) -> str:
    words, beats = ", " + " ".join(prompt_flags(job.prompt)), job.clip.beats
    takes = [draft.take(audiofile.read(target)) for draft, target in zip(drafts, targets, strict=False)]
    sound, grid = audiofile.read(job.sound), job.pipeline.grid
    return str(plot.picture(path, sound, takes[0].mask[0], takes, grid, prompt=words, beats=beats))


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
    return "\n".join([*lines, *made["notes"], f"{what} in {made['took']} s: {made['times_real_time']} times real time"])
