"""`ostinato takes`, `undo`, `blend` and `telephone`: takes of takes, and the tree that they make up."""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import audiofile
from ..audiofile import Writer
from ..budget import Budget
from ..config import from_json
from ..errors import OstinatoError
from ..hints import needs, parse_hint
from ..longplay import file_pieces
from ..pipeline import load
from ..prompts import Prompt
from ..takes import blend as blended
from ..takes import draft_of, read_draft, usual_loudness
from ..tree import Node, node, parent
from ..tree import tree as tree_of
from ..whole import whole, write_text
from .common import Watch, as_json, model_option, output, progress, prompt_flags, show, spare
from .flags import Given, beat_options, given
from .job import (
    Job,
    control_options,
    controls_of,
    encoded_note,
    heard_in,
    how_of,
    job_of,
    loudness_option,
    model_of,
    prompt_of,
    prompt_options,
    sampler_options,
    source_of,
    source_options,
    told,
    way_options,
)
from .live import LIVE, live, live_options, ring_of

if TYPE_CHECKING:
    pass

JOB = "telephone.json"
MOST = 999


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path())
@as_json
def takes(folder: Path, as_json: bool) -> None:
    """Show which of the takes in FOLDER was made from which."""
    roots = tree_of(folder)
    rows = _rows(roots)
    show({"folder": str(folder), "takes": rows}, _drawn(folder, roots), json_wanted=as_json)


@click.command()
@click.argument("take", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Copy it there, too.")
@as_json
def undo(take: Path, out: Path | None, as_json: bool) -> None:
    """Name the file that TAKE was made from, wherever it is in its folder; of a blend, the first."""
    found = parent(take)
    if out is not None:
        spare(take, out)
        spare(found, out)
        _copy(found, out)
    data = {"take": str(take), "parent": str(found), "copy": None if out is None else str(out)}
    show(data, str(out or found), json_wanted=as_json)


@click.command()
@click.argument("ours", metavar="A", type=click.Path(path_type=Path))
@click.argument("theirs", metavar="B", type=click.Path(path_type=Path))
@output("WAV or FLAC to write.")
@click.option("--mix", multiple=True, required=True, metavar="HINT[:knob=value,...]", help="Cells of B; repeatable.")
@beat_options
@model_option
@as_json
@click.pass_context
def blend(context: click.Context, ours: Path, theirs: Path, out: Path, mix: Sequence[str], **flags: Any) -> None:
    """Blend take A with take B: the tokens of B where a hint of --mix speaks, those of A elsewhere.

    `--mix random:share=0.5` strews frames by chance, `--mix finer:first=4` goes by codebook, `--mix bars:which=2+4` by
    the bars of A. The takes must be of one length and one codec. Where all of a passage is one take's, its samples
    are, too.
    """
    for path in (ours, theirs):
        spare(path, out)
    _ = audiofile.check_writable(out)
    hints = [parse_hint(text) for text in mix]
    beats = given(flags, audiofile.info(ours).seconds)
    model = model_of({**flags, "source": ours})
    pipeline = load(model)
    (one, again), (other, anew) = (draft_of(pipeline, path) for path in (ours, theirs))
    heard = heard_in(ours, needs(*hints), beats, loop=one.origin.circular, flag="--mix")
    draft = blended(pipeline, one, other, hints, heard=heard)
    more = {"beats": beats.told} if "beats" in needs(*hints) else {}
    facts = told(draft, model, {"input": ours, "with": theirs}, more)
    with Writer(out, draft.origin.sample_rate, draft.origin.channels, about=facts) as writer:
        for piece in pipeline.sound(draft, file_pieces(ours), file_pieces(theirs)):
            writer.write(piece)
    notes = [encoded_note(path) for path, encoded in ((ours, again), (theirs, anew)) if encoded]
    share = round(float(draft.mask[0].float().mean()), 4)
    data = {"path": str(out), "model": model, "hash": draft.model, "share": share, "notes": notes}
    show(data, "\n".join([f"{out}  ({share:.0%} of B)", *notes]), json_wanted=flags["as_json"])


@click.command()
@source_options
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="A folder for the hops.")
@click.option("--hops", type=click.IntRange(1, MOST), default=16, show_default=True, help="How many.")
@prompt_options
@beat_options
@sampler_options
@way_options
@control_options
@loudness_option
@live_options
@model_option
@as_json
def telephone(out: Path, hops: int, as_json: bool, **flags: Any) -> None:
    """Tell SOUND from hop to hop: each take becomes the next input, by its tokens, and all are as loud as SOUND.

    The hops are takes, hop-001.wav and so on, and each has the next seed. What is there of the same job is not made
    again, so a telephone may be stopped, taken up, and given more hops. With --live it listens to a microphone and
    sends what it hears around a ring of loudspeakers, changed at each.
    """
    if flags["live"]:
        live(out, {**flags, "as_json": as_json})
        return
    ring, flags = flags["ring"], {name: value for name, value in flags.items() if name not in LIVE}
    sound, continued = source_of(flags)
    prompt = prompt_of(flags)
    beats = given(flags, audiofile.info(sound).seconds)
    how = {**how_of(flags), **controls_of(flags), "continued": continued, "given": beats}
    job = job_of(sound, model_of(flags), prompt, **how)
    if job.loudness is None:
        job = dataclasses.replace(job, loudness=usual_loudness(file_pieces(sound)()))
    _begin(out, job, flags)
    rows = []
    with progress() as watch:
        for number in range(1, hops + 1):
            target, seed = out / f"hop-{number:03d}.wav", flags["seed"] + number - 1
            there = _there(target, job, seed)
            if not there:
                _ = job.take(target, seed, Budget(), _hop_watch(watch, number, hops))
            rows.append({"path": str(target), "seed": seed, "made": not there})
            job = _after(job, target)
    data = {"hops": rows, "model": job.model, "hash": job.pipeline.hash, "loudness": job.loudness}
    lines = [f"{row['path']}  (seed {row['seed']}{'' if row['made'] else ', there already'})" for row in rows]
    if ring is not None:
        data["ring"] = str(ring_of(out, [Path(row["path"]) for row in rows], ring))
        lines.append(f"{data['ring']}  ({ring} channels)")
    show(data | {"prompt": " ".join(prompt_flags(prompt))}, "\n".join(lines), json_wanted=as_json)


def _begin(out: Path, job: Job, flags: dict[str, Any]) -> None:
    """Note in the folder what its hops are made from, or see that what it holds are hops of the same."""
    told = {
        "ostinato": metadata.version("ostinato"),
        "hash": job.pipeline.hash,
        "input": audiofile.sha256(job.sound),
        "from": job.parent is not None,
        **{name: value for name, value in flags.items() if name not in ("sound", "source", "model")},
    }
    told = json.loads(json.dumps(told, default=str))
    file = out / JOB
    try:
        if file.exists():
            known = from_json(file.read_text(encoding="utf-8"))
            for name in told:
                if known.get(name) != told[name]:
                    other = f"{name} is {known.get(name)} there and {told[name]} here"
                    raise OstinatoError(f"{out} holds the hops of another job ({other}); choose another folder")
            return
        out.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(told, indent=1))
    except (ValueError, AttributeError):
        raise OstinatoError(f"{file} is damaged; choose another folder") from None
    except OSError as error:
        raise OstinatoError(f"cannot write to {out}: {error.strerror}") from None


def _there(target: Path, job: Job, seed: int) -> bool:
    """Whether a hop is there: made from the one before, with its seed."""
    if not target.is_file():
        return False
    found = node(target)
    if found.source is None or found.source.sha256 != audiofile.sha256(job.sound) or found.about.get("seed") != seed:
        raise OstinatoError(f"{target} is no hop of this job; move it away or choose another folder")
    return True


def _after(job: Job, hop: Path) -> Job:
    """The job of the next hop: the same, but for what only the first one does to the sound and its locks."""
    beats = job.given if job.stretch == 1 else Given()
    once = {"encoded": False, "lock": (), "unlock": False, "pitch": 0.0, "stretch": 1.0, "given": beats}
    following = dataclasses.replace(job, sound=hop, facts=audiofile.info(hop), parent=read_draft(hop), **once)
    return following.listened() if following.needs else following


def _hop_watch(watch: Watch, number: int, hops: int) -> Watch:
    return lambda stage, done, total: watch(f"hop {number} of {hops}: {stage}", done, total)


def _copy(source: Path, target: Path) -> None:
    with whole(target) as part:
        _ = shutil.copyfile(source, part)


def _rows(roots: Sequence[Node]) -> list[dict[str, Any]]:
    """Every node of the trees, parents first."""
    rows, rest = [], list(reversed(roots))
    while rest:
        each = rest.pop()
        rest += reversed(each.children)
        row = {"name": each.link.name, "path": None if each.path is None else str(each.path)}
        rows.append(row | {"sha256": each.link.sha256, "parent": each.source and each.source.sha256, **_words(each)})
    return rows


def _words(each: Node) -> dict[str, Any]:
    """How a take was made, in short."""
    if not each.about:
        return {}
    words: dict[str, Any] = {"seed": each.about.get("seed")}
    if each.other is not None:
        words["with"] = each.other.name
    if "prompt" in each.about:
        words["prompt"] = " ".join(prompt_flags(Prompt.load(each.about["prompt"])))
    return words


def _drawn(folder: Path, roots: Sequence[Node]) -> str:
    from rich.console import Console
    from rich.tree import Tree

    if not roots:
        return f"there are no takes in {folder}"
    top = Tree(str(folder))
    rest: list[tuple[Tree, Node]] = [(top, each) for each in reversed(roots)]
    while rest:
        branch, each = rest.pop()
        below = branch.add(_label(each))
        rest += [(below, child) for child in reversed(each.children)]
    console = Console(width=200, color_system=None, markup=False, highlight=False)
    with console.capture() as drawn:
        console.print(top, soft_wrap=True)
    return drawn.get().rstrip("\n")


def _label(each: Node) -> str:
    words = _words(each)
    found = [f"seed {words['seed']}"] if "seed" in words else []
    found += [f"with {words['with']}"] if "with" in words else []
    found += [words["prompt"]] if "prompt" in words else []
    if each.path is None:
        return f"{each.link.name}  (not here)"
    return f"{each.path.name}  ({', '.join(found)})" if found else each.path.name
