"""`ostinato bench compress`: what a file costs in true bits, and what is left of the sound, beside other codecs."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..errors import OstinatoError
from ..evaluate.compression import Lead, Point, Size, leads, score, sizes, systems
from ..evaluate.judges import BEST, JUDGES
from ..evaluate.passages import passages
from ..pipeline import load
from ..plot import INK, check, save
from ..whole import write_text
from .common import Within, as_json, model_option, progress, show, table
from .evaluate import SPLIT

REPORT, PICTURE = "compress.json", "compress.svg"


@click.command()
@model_option
@click.option("--split-dir", default=SPLIT, show_default=True, help="Folder of held-out music.")
@click.option(
    "--passages", "count", type=click.IntRange(min=1), default=12, show_default=True, help="How many to code."
)
@click.option("--seconds", type=Within(min=3), default=30.0, show_default=True, help="Length of a passage.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which passages.")
@click.option(
    "--rate",
    type=Within(min=1),
    default=600.0,
    show_default=True,
    help="The rate to compare with the others.",
)
@click.option("--judge", "judges", multiple=True, help=f"{', '.join(JUDGES)}; repeatable; all unless given.")
@click.option("--others/--no-others", default=True, show_default=True, help="Measure Opus and Codec2, too.")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="A folder for what is found.")
@as_json
def compress(model: str, split_dir: str, judges: Sequence[str], others: bool, out: Path, **options: Any) -> None:
    """Quality by true bits a second: .ost files with the model and without it, Opus and Codec2; and sizes of files.

    Figures are written to OUT as they come, and drawn in the end.
    """
    _ = check(out / PICTURE) if out.is_dir() else None
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OstinatoError(f"cannot write to {out}: {error.strerror}") from None
    pipeline, names = load(model), tuple(judges) or tuple(JUDGES)
    split, points = Path(split_dir), list[Point]()
    chosen = passages(split, options["count"], options["seconds"], options["seed"], pipeline.grid.sample_rate)
    with progress() as watch:
        files = sizes(pipeline, split, chosen, watch)
        for point in score(systems(pipeline, options["rate"], others=others), chosen, names, watch):
            points.append(point)
            write_text(out / REPORT, json.dumps(_data(pipeline.hash, options, files, points), indent=1) + "\n")
    draw(out / PICTURE, points, names)
    show(_data(pipeline.hash, options, files, points), report(files, points, names), json_wanted=options["as_json"])


def report(files: Sequence[Size], points: Sequence[Point], judges: Sequence[str]) -> str:
    """All tables as text."""
    kinds = [("files", "bit/s", "saved", "coded at")]
    for each in files:
        rate = each.bits_per_second
        kinds.append(
            (
                each.what,
                f"{rate.mean:.0f} [{rate.low:.0f}, {rate.high:.0f}]",
                f"{each.saved:.1%}",
                f"{each.times_real_time:.1f} x",
            )
        )
    rows = [("system", "", "bit/s", *judges, "Fréchet")]
    for point in points:
        heard = [f"{point.judged[judge].mean:.2f}" for judge in judges]
        rows.append((point.family, point.system, f"{point.bits_per_second:.0f}", *heard, f"{point.frechet:.2f}"))
    ahead = [(f"{points[0].system} is ahead of", *judges, "Fréchet"), *(_lead(each) for each in leads(points))]
    return "\n\n".join(table(each, indent="") for each in (kinds, rows, ahead))


def _lead(lead: Lead) -> tuple[str, ...]:
    judged = [f"{each.mean:.2f} [{each.low:.2f}, {each.high:.2f}]" for each in lead.judged.values()]
    return (lead.rival, *judged, f"{lead.frechet:.2f}")


def draw(path: Path, points: Sequence[Point], judges: Sequence[str]) -> None:
    """Each judge's opinion, and the Fréchet distance, by true bits a second; a curve a family.

    Raises:
        MissingPartError: matplotlib is not installed.
    """
    target = check(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * (len(judges) + 1), 4), dpi=140, layout="constrained")
    panels = figure.subplots(1, len(judges) + 1, squeeze=False)[0]
    for panel, what in zip(panels, [*judges, "Fréchet distance"], strict=True):
        for family in dict.fromkeys(point.family for point in points):
            curve = sorted((point for point in points if point.family == family), key=lambda each: each.bits_per_second)
            heights = [each.judged[what].mean if what in each.judged else each.frechet for each in curve]
            rates = [each.bits_per_second for each in curve]
            _ = panel.plot(rates, heights, marker="o", markersize=4, label=family)
        _ = panel.set_xscale("log")
        _ = panel.set_xlabel("true bits a second", fontsize=9, color=INK)
        best = f" ({BEST[what]:g} is a copy)" if what in BEST else " (0 is a copy)"
        _ = panel.set_title(what + best, loc="left", fontsize=10, color=INK)
        panel.tick_params(labelsize=8, colors=INK)
    _ = panels[0].legend(fontsize=8, frameon=False)
    save(figure, target)


def _data(model: str, options: dict[str, Any], files: Sequence[Size], points: Sequence[Point]) -> dict[str, Any]:
    setting = {key: options[key] for key in ("count", "seconds", "seed", "rate")}
    return {
        "model": model,
        "setting": setting,
        "sizes": [asdict(each) for each in files],
        "points": [asdict(each) for each in points],
        "leads": [asdict(each) for each in leads(points)],
    }
