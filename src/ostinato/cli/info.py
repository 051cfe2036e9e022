"""`ostinato info`, `doctor`, `presets` and `hints`: what there is, what a file holds, and how it can be made again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch

from .. import audiofile, codesfile, ostfile, sketch
from .. import doctor as examination
from ..config import defaults, knobs, load, plain, unparse, unparse_named
from ..errors import CheckpointError, OstinatoError
from ..hints import describe, load_hint
from ..hints import hints as known_hints
from ..models import facts, fingerprint, folder_of, installed, shipped
from ..pipeline import COARSE
from ..prompts import Prompt, preset_help
from ..prompts import presets as known_presets
from ..registry import Registry
from ..sampling import Sampler
from ..sampling import samplers as known_samplers
from ..speed import matmul_speed
from ..tree import Node, lineage
from ..tree import about as about_take
from .common import as_json, command_line, limits, model_option, prompt_flags, sentence, show, table
from .compress import tell_ost
from .flags import flags_of, notes_on


@click.command()
@click.argument("what", required=False)
@as_json
def info(what: str | None, as_json: bool) -> None:
    """Tell of WHAT: a sound, a take and how to make it again, a codes file, or a model; without it, of the models."""
    if what is None:
        models = [model_about(folder_of(name)) for name in [*shipped(), *installed()]]
        show({"models": models}, "\n\n".join(map(model_text, models)) or "there is no model", json_wanted=as_json)
        return
    path = Path(what)
    if what in [*shipped(), *installed()] or path.is_dir():
        about = model_about(folder_of(what))
        show(about, model_text(about), json_wanted=as_json)
    elif path.suffix == codesfile.SUFFIX:
        origin = codesfile.info(path)
        about = {"path": what, **plain(origin), "lean": bool(origin.lean), "seconds": round(origin.seconds, 3)}
        show(about, _pairs(about), json_wanted=as_json)
    elif path.suffix == ostfile.SUFFIX:
        tell_ost(path, json_wanted=as_json)
    else:
        _tell_sound(path, json_wanted=as_json)


@click.command()
@as_json
def presets(as_json: bool) -> None:
    """List the named prompts of `vary --preset`."""
    data = {name: {"help": preset_help[name], "flags": prompt_flags(known_presets[name])} for name in known_presets}
    rows = [(name, preset_help[name]) for name in known_presets]
    rows = [row for name, help in rows for row in ((name, help), ("", command_line(data[name]["flags"])))]
    show({"presets": data}, table(rows, indent=""), json_wanted=as_json)


@click.command()
@click.option("--pictures", type=click.Path(path_type=Path), metavar="DIR", help="Draw them and the presets there.")
@as_json
def hints(pictures: Path | None, as_json: bool) -> None:
    """List the hints of `vary --keep` and `--hide`, and their knobs."""
    data, text = _listed(known_hints)
    if pictures is not None:
        sketch.draw(pictures)
    show({"hints": data}, text, json_wanted=as_json)


@click.command()
@as_json
def samplers(as_json: bool) -> None:
    """List the samplers of `vary --sampler` and `--fine`, and their knobs."""
    data, text = _listed(known_samplers)
    show({"samplers": data}, text, json_wanted=as_json)


def _listed(known: Registry[Any]) -> tuple[dict[str, Any], str]:
    data, lines = {}, []
    for name in known:
        cls = known[name]
        first = (cls.__doc__ or "").strip().splitlines()[0]
        usual = defaults(cls)
        data[name] = {
            "help": first,
            "knobs": {k: vars(about) | {"default": usual[k]} for k, about in knobs(cls).items()},
        }
        lines.append(f"{name}\n  {first}")
        rows = [(f"{k}={usual[k]}", f"{sentence(about.help)} {limits(about)}") for k, about in knobs(cls).items()]
        lines += [table(rows, indent="    ")] if rows else []
    return data, "\n".join(lines)


@click.command()
@model_option
@as_json
@click.pass_context
def doctor(context: click.Context, model: str, as_json: bool) -> None:
    """Look at the machine and the model; exits with 1 when the model is not whole."""
    machine = examination.machine()
    device = "cuda" if machine["gpu"] else "cpu"
    speeds = {
        "fp32": round(matmul_speed(torch.float32, device=device)),
        "bf16": round(matmul_speed(torch.bfloat16, device=device)),
    }
    about, problems = _checked(model)
    missing = examination.missing()
    data: dict[str, Any] = {
        "versions": examination.versions(),
        "machine": machine,
        "gflops": speeds,
        "model": about,
        "problems": problems,
        "missing": missing,
    }
    rows = [*data["versions"].items(), *((key, str(value)) for key, value in machine.items() if value is not None)]
    rows += [("matrix products", ", ".join(f"{value} GFLOP/s in {name}" for name, value in speeds.items()))]
    rows += [("model", f"{about['name']} ({about['hash']})")] if about else []
    rows += [("checksums", about["checksums"])] if about else []
    rows += [("problem", problem) for problem in problems]
    rows += [("missing", f"{part['part']}, for {part['for']}: {part['get']}") for part in missing]
    show(data, table(rows, indent=""), json_wanted=as_json)
    context.exit(1 if problems else 0)


def _checked(model: str) -> tuple[dict[str, Any] | None, list[str]]:
    try:
        folder = folder_of(model)
        about = model_about(folder)
    except OstinatoError as error:
        return None, [str(error)]
    problems = examination.verify(folder)
    said = ("damaged" if problems else "right") if examination.listed(folder) else f"not checked, no {examination.SUMS}"
    return about | {"checksums": said}, problems


def model_about(folder: Path) -> dict[str, Any]:
    """What a model folder holds, for `show`.

    Raises:
        CheckpointError, ConfigError: its codec is of no known kind.
    """
    about = facts(folder)
    return {
        "name": about.name,
        "folder": str(folder),
        "hash": fingerprint(folder),
        "grid": plain(about.grid),
        "frames_per_second": round(about.grid.rate, 3),
        "bits_per_second": round(about.grid.bits_per_second * about.grid.codebooks),
        "megabytes": about.megabytes,
        "licence": about.licence,
    }


def model_text(about: dict[str, Any]) -> str:
    """What `model_about` found, for people."""
    grid, sizes = about["grid"], about["megabytes"]
    rows = [
        ("model", f"{about['name']} ({about['hash']})"),
        ("folder", about["folder"]),
        ("grid", f"{grid['codebooks']} codebooks of {grid['vocabulary']}, {about['frames_per_second']} frames/s"),
        ("sound", f"{grid['sample_rate']} Hz, {about['bits_per_second'] / 1000:.2f} kbit/s for one channel"),
        ("size", ", ".join(f"{part} {size} MB" for part, size in sizes.items())),
        ("licence", about["licence"]),
    ]
    return table(rows, indent="")


def _tell_sound(path: Path, *, json_wanted: bool) -> None:
    facts, take = audiofile.info(path), about_take(path)
    data = vars(facts) | {"path": str(path), "seconds": round(facts.seconds, 3)}
    try:
        command, notes = command_line(_again(path, take)), _notes(path, take)
        trail = lineage(path)[1:]
        story = _take_text(take, trail)
    except (KeyError, TypeError, AttributeError, OstinatoError):
        show(data, _pairs(data), json_wanted=json_wanted)
        return
    text = "\n".join([_pairs(data), story, "to make it again, bit for bit:", f"  {command}", *notes])
    line = [{"name": each.link.name, "path": each.path and str(each.path)} for each in trail]
    show(data | {"take": take, "command": command, "notes": notes, "lineage": line}, text, json_wanted=json_wanted)


def _take_text(take: dict[str, Any], trail: Sequence[Node]) -> str:
    rows = [
        ("made by", f"ostinato {take['ostinato']}, model {take['model']} ({take['hash']})"),
        ("from", f"{take['input']['name']} (sha256 {take['input']['sha256'][:16]}...)"),
    ]
    if len(trail) > 1:
        names = [each.link.name if each.path is None else each.path.name for each in trail]
        rows += [("lineage", " < ".join(names) + (" (not here)" if trail[-1].path is None else ""))]
    if "mix" in take:
        rows += [("with", f"{take['with']['name']} (sha256 {take['with']['sha256'][:16]}...)")]
    else:
        rows += [("prompt", command_line(prompt_flags(Prompt.load(take["prompt"])))), ("seed", str(take["seed"]))]
    return table(rows, indent="")


def _again(path: Path, take: dict[str, Any]) -> list[str]:
    """The command that makes a take again."""
    if "mix" in take:
        mix = _hint_flags("--mix", take["mix"]) + flags_of(take.get("beats", {}))
        sources = [take["input"]["name"], take["with"]["name"]]
        return ["ostinato", "blend", *sources, "-o", path.name, *mix, "--model", take["model"]]
    coarse, fine = (_sampler(take[stage]) for stage in ("coarse", "fine"))
    continued = take.get("continued", False)
    model = [] if take["model"] == "default" and not continued else ["--model", take["model"]]
    prompt = prompt_flags(Prompt.load(take["prompt"])) + flags_of(take.get("beats", {}))
    seed = ["--seed", str(take["seed"])]
    cut = ["--cut", str(take["cut"])] if "cut" in take else []
    ways = [f"--{way}" for way in ("redraw", "loop", "unlock") if take.get(way)]
    ways += _hint_flags("--lock", take.get("lock", []))
    numbers = ("feedback", "loudness", "pitch", "stretch")
    ways += [part for way in numbers if way in take for part in (f"--{way}", str(take[way]))]
    ways += ["--precision", take["precision"]] if "precision" in take else []
    flags = [*prompt, *seed, *_coarse_flags(coarse), "--fine", _fine_text(fine), *cut, *ways]
    source = (["--from"] if continued else []) + [take["input"]["name"]]
    return ["ostinato", "vary", *source, "-o", path.name, *flags, *model]


def _hint_flags(flag: str, hints: Sequence[dict[str, Any]]) -> list[str]:
    return [part for hint in hints for part in (flag, describe(load_hint(hint)))]


def _sampler(told: dict[str, Any]) -> Sampler:
    return load(known_samplers[told["name"]], {key: value for key, value in told.items() if key != "name"})


def _coarse_flags(sampler: Sampler) -> list[str]:
    if type(sampler) is not type(COARSE):
        return ["--sampler", unparse_named(known_samplers, sampler)]
    changed = {key: value for key, value in vars(sampler).items() if value != vars(COARSE)[key]}
    return [part for key, value in changed.items() for part in (f"--{key.replace('_', '-')}", str(value))]


def _fine_text(sampler: Sampler) -> str:
    return unparse(sampler) if type(sampler) is type(COARSE) else unparse_named(known_samplers, sampler)


def _notes(path: Path, take: dict[str, Any]) -> list[str]:
    """What stands in the way of making a take again here."""
    notes = []
    for told in (take[which] for which in ("input", "with") if which in take):
        source = path.parent / told["name"]
        if source.is_file() and audiofile.sha256(source) != told["sha256"]:
            notes.append(f"note: {source} is not the file it was made from")
    notes += notes_on(take.get("beats", {}), path.parent)
    try:
        here = fingerprint(folder_of(take["model"]))
    except CheckpointError:
        here = None
    if here != take["hash"]:
        notes.append(f"note: the model '{take['model']}' is {here or 'not'} here; the take needs {take['hash']}")
    return notes


def _pairs(data: dict[str, Any]) -> str:
    return table([(key, str(value)) for key, value in data.items()], indent="")
