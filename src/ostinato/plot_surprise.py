"""The picture of surprise: over the waveform, as a curve, and codebook by codebook."""

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .plot import COLUMNS, INK, WIDTH, check, save
from .types import Audio

CURVE, GREY = "#c2410c", "#b9b4c0"


def picture(path: str | Path, audio: Audio, bits: Float[Tensor, "side codebook frame"], coarse: int) -> Path:
    """Draw the waveform with the surprise of each moment over it, and that of every codebook below, over seconds.

    Args:
        path: a .png, .svg or .pdf; it appears only when it is whole.
        audio: the sound; its first item is shown, its channels added.
        bits: of each token; sides are averaged.
        coarse: how many codebooks, from the lowest, the curve is the mean of.

    Raises:
        MissingPartError: matplotlib is not installed.
        OstinatoError: the picture cannot be written there.
    """
    target = check(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 5.0), dpi=140, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1.2, 1])
    _wave(above, audio)
    _curve(above.twinx(), columns(bits[:, :coarse].mean((0, 1))), audio.seconds, coarse)
    image = below.imshow(
        columns(bits.mean(0)).numpy(),
        aspect="auto",
        extent=(0.0, audio.seconds, bits.shape[1] + 0.5, 0.5),
        cmap="magma",
        interpolation="nearest",
    )
    _ = below.set_ylabel("codebook")
    _ = below.set_xlabel("seconds")
    _ = figure.colorbar(image, ax=below, label="bits a token", pad=0.01)
    above.set_xlim(0, audio.seconds)
    for panel in (above, below):
        panel.tick_params(labelsize=8, colors=INK)
    save(figure, target)
    return target


def columns(rows: Float[Tensor, "*row frame"]) -> Float[Tensor, "*row column"]:
    """Rows as the picture can show them: means over frames where there are more than it has columns."""
    return (
        rows
        if rows.shape[-1] <= COLUMNS
        else F.adaptive_avg_pool1d(rows.reshape(1, -1, rows.shape[-1]), COLUMNS).view(*rows.shape[:-1], COLUMNS)
    )


def _wave(panel: Any, audio: Audio) -> None:
    mono = audio.wave[:1].mean(1).abs().float()
    peaks = F.adaptive_max_pool1d(mono, min(COLUMNS, audio.samples))[0]
    times = [audio.seconds * (place + 0.5) / len(peaks) for place in range(len(peaks))]
    _ = panel.fill_between(times, (-peaks).tolist(), peaks.tolist(), color=GREY, linewidth=0)
    _ = panel.set_yticks([])
    _ = panel.set_title("surprise over the waveform", loc="left", fontsize=10, color=INK)


def _curve(panel: Any, surprise: Float[Tensor, " column"], seconds: float, coarse: int) -> None:
    times = [seconds * (place + 0.5) / len(surprise) for place in range(len(surprise))]
    _ = panel.plot(times, surprise.tolist(), color=CURVE, linewidth=1)
    _ = panel.set_ylabel(f"bits a token, codebooks 1 to {coarse}", fontsize=8, color=INK)
    panel.tick_params(labelsize=8, colors=INK)
