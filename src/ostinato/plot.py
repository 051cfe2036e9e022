"""The picture of a prompt: the input, which tokens were kept, and every take, one above the other."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .dsp import log_mel, mel_filters
from .errors import MissingPartError
from .types import Audio, Beats, Grid, Take
from .whole import whole, writable

WRITES = (".png", ".svg", ".pdf")
WIDTH, SOUND, TOKENS = 11.0, 1.9, 1.5
SIZE, MELS, COLUMNS, RANGE = 2048, 128, 2000, 8.0
KEPT, HIDDEN, INK = "#f2a33a", "#24172f", "#2b2b33"
TICKS = (100, 500, 1000, 2000, 5000, 10000)


def picture(
    path: str | Path,
    audio: Audio,
    mask: Bool[Tensor, "codebook frame"],
    takes: Sequence[Take],
    grid: Grid,
    *,
    prompt: str = "",
    beats: Beats | None = None,
) -> Path:
    """Draw the input's spectrogram, the token grid and each take's spectrogram over one time axis, in seconds.

    Args:
        path: a .png, .svg or .pdf; it appears only when it is whole.
        audio: the input; its first item is shown, its channels added.
        mask: True where a token was hidden.
        takes: what was made of it.
        grid: the raster of `mask`.
        prompt: words to add to the token grid's title.
        beats: those that the prompt spoke of; they are ticks under the grid, longer where a bar begins.

    Raises:
        MissingPartError: matplotlib is not installed.
        OstinatoError: the picture cannot be written there.
    """
    target = check(path)
    from matplotlib.figure import Figure

    heights = [SOUND, TOKENS, *[SOUND] * len(takes)]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.4 * len(heights)), dpi=140, layout="constrained")
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    top = float(_decibels(audio).max())
    share = float((~mask).float().mean())
    _sound(panels[0], audio, "input", top)
    _tokens(panels[1], mask, grid, f"tokens, {share:.0%} kept (orange){prompt}")
    _beats(panels[1], beats or Beats(()))
    for number, (panel, take) in enumerate(zip(panels[2:], takes, strict=True), 1):
        _sound(panel, take.audio, f"take {number}, seed {take.seed}", top)
    panels[0].set_xlim(0, max([audio.seconds, *(take.audio.seconds for take in takes)]))
    panels[-1].set_xlabel("seconds")
    save(figure, target)
    return target


def check(path: str | Path) -> Path:
    """`path`, once it is sure that a picture can be drawn and appear there.

    Raises:
        MissingPartError: matplotlib is not installed.
        OstinatoError: the suffix is not one that is drawn, or the folder is missing or takes no files.
    """
    if find_spec("matplotlib") is None:
        raise MissingPartError("pictures need matplotlib: pip install matplotlib")
    return writable(path, WRITES)


def _sound(panel: Any, audio: Audio, title: str, top: float) -> None:
    rows = _decibels(audio)
    edges = (0.0, audio.seconds, 0.0, float(MELS))
    _ = panel.imshow(
        rows.numpy(), origin="lower", aspect="auto", extent=edges, cmap="magma", vmin=top - 10 * RANGE, vmax=top
    )
    places = [(hertz, _band(hertz, audio.sample_rate)) for hertz in TICKS if hertz < audio.sample_rate / 2]
    _ = panel.set_yticks([at for _, at in places], [f"{h / 1000:g}k" if h >= 1000 else f"{h}" for h, _ in places])
    _ = panel.set_ylabel("Hz")
    _title(panel, title)


def _tokens(panel: Any, mask: Bool[Tensor, "codebook frame"], grid: Grid, title: str) -> None:
    from matplotlib.colors import ListedColormap

    codebooks, frames = mask.shape
    edges = (0.0, grid.seconds(frames), codebooks + 0.5, 0.5)
    colours = ListedColormap([KEPT, HIDDEN])
    _ = panel.imshow(
        mask.cpu().numpy(), aspect="auto", extent=edges, cmap=colours, vmin=0, vmax=1, interpolation="nearest"
    )
    for line in range(1, codebooks):
        _ = panel.axhline(line + 0.5, color="white", linewidth=0.4, alpha=0.5)
    _ = panel.set_yticks(sorted({1, min(4, codebooks), codebooks}))
    _ = panel.set_ylabel("codebook")
    _title(panel, title)


def _beats(panel: Any, beats: Beats) -> None:
    for times, length in ((beats.times, 0.05), (beats.downbeats, 0.1)):
        _ = panel.vlines(times, -length, 0.0, transform=panel.get_xaxis_transform(), color=INK, clip_on=False)


def _title(panel: Any, text: str) -> None:
    _ = panel.set_title(text, loc="left", fontsize=10, color=INK)
    panel.tick_params(labelsize=8, colors=INK)


def _decibels(audio: Audio) -> Float[Tensor, "mel column"]:
    """Mel magnitudes in dB, at most `COLUMNS` columns."""
    mono = audio.wave[:1].mean(1).float().cpu()
    pieces = mono.split(SIZE * 512, dim=-1)
    rows = torch.cat([log_mel(piece, audio.sample_rate, size=SIZE, mels=MELS)[0] for piece in pieces]).T
    if rows.shape[1] > COLUMNS:
        rows = torch.nn.functional.adaptive_avg_pool1d(rows[None], COLUMNS)[0]
    return 20 * rows


def _band(hertz: float, sample_rate: int) -> float:
    """Where a frequency lies on the axis of mel bands."""
    weights = mel_filters(sample_rate, SIZE, MELS)[round(hertz * SIZE / sample_rate)]
    return float(weights.argmax()) + 0.5


def save(figure: Any, target: Path) -> None:
    """Write a figure whole or not at all.

    Raises:
        OstinatoError: it cannot be written there.
    """
    with whole(target) as part:
        figure.savefig(part, format=target.suffix[1:].lower())
