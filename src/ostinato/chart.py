"""The chart of what steps buy: each measure by steps, and quality by time, a line a sampler."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .bench import Score
from .plot import INK, check, save

MEASURES = {
    "bits": "bits a made token",
    "mel": "mel distance to the input",
    "frechet": "Fréchet distance to other music",
    "beats": "beats, F-measure against the input's",
}
BY_TIME = ("mel", "frechet")
GOAL = ("confidence", 36)


def chart(path: str | Path, music: Score, scores: Sequence[Score]) -> Path:
    """Draw every measure against steps, and two of them against seconds.

    A dashed line is the music itself, a dotted one `confidence` at 36 steps, where it was measured.

    Args:
        path: a .png, .svg or .pdf; it appears only when it is whole.
        music: what the music itself scores.
        scores: of samplers, in any order.

    Raises:
        MissingPartError: matplotlib is not installed.
        OstinatoError: the picture cannot be written there.
    """
    target = check(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 7.5), dpi=140, layout="constrained")
    panels = figure.subplots(2, 3).flatten()
    for panel, (measure, title) in zip(panels, MEASURES.items(), strict=False):
        _lines(panel, "steps", measure, scores)
        _level(panel, music.row[measure], "--")
        for score in scores:
            if (score.sampler, score.steps) == GOAL:
                _level(panel, score.row[measure], ":")
        _label(panel, "steps", title)
    for panel, measure in zip(panels[len(MEASURES) :], BY_TIME, strict=True):
        _lines(panel, "seconds", measure, scores)
        _level(panel, music.row[measure], "--")
        _label(panel, "seconds a take", MEASURES[measure])
    _ = panels[0].legend(fontsize=8, frameon=False)
    save(figure, target)
    return target


def _lines(panel: Any, across: str, measure: str, scores: Sequence[Score]) -> None:
    for name in dict.fromkeys(score.sampler for score in scores):
        own = [score.row for score in scores if score.sampler == name and score.row[measure] is not None]
        rows = sorted(own, key=lambda row: row["steps"])
        places = [row[across] for row in rows]
        (line,) = panel.plot(places, [row[measure] for row in rows], marker="o", markersize=3, label=name)
        if rows and f"{measure}_low" in rows[0]:
            bounds = [[row[f"{measure}_{end}"] for row in rows] for end in ("low", "high")]
            _ = panel.fill_between(places, *bounds, color=line.get_color(), alpha=0.12, linewidth=0)


def _level(panel: Any, value: float | None, style: str) -> None:
    if value is not None:
        _ = panel.axhline(value, color=INK, linestyle=style, linewidth=0.8)


def _label(panel: Any, across: str, title: str) -> None:
    _ = panel.set_xscale("log", base=2)
    _ = panel.xaxis.set_major_formatter("{x:g}")
    _ = panel.set_xlabel(across, fontsize=9, color=INK)
    _ = panel.set_title(title, loc="left", fontsize=10, color=INK)
    panel.tick_params(labelsize=8, colors=INK)
