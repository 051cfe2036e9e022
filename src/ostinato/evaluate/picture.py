"""A look at what the codec keeps: spectrograms of a sound and of its reconstructions, one above the other."""

from pathlib import Path

from ..codec import Codec
from ..dsp import log_mel
from ..errors import AudioError
from ..types import Audio
from ..whole import whole
from .judges import mel, optional
from .reconstruction import levels_of

FLOOR, CEILING = -3.0, 2.0


def listen(codec: Codec, sound: Audio, target: Path) -> None:
    """Write a PNG with the mel spectrograms of `sound` and of its reconstructions from 1, 4 and all codebooks.

    `sound` is mono, at the codec's sample rate. Every title gives the mel distance to `sound`.

    Raises:
        MissingPartError: matplotlib is not installed.
        AudioError: the picture cannot be written.
    """
    codes = codec.encode(sound.wave[:, 0])
    rows = {"original": sound}
    for levels in levels_of(codec):
        wave = codec.decode(codes[:, :levels], sound.samples)
        rows[f"{levels} of {codec.grid.codebooks} codebooks"] = Audio(wave[:, None], sound.sample_rate)
    figure = optional("matplotlib.figure").Figure(figsize=(12, 2.2 * len(rows)), layout="constrained")
    panels = figure.subplots(len(rows), 1)
    for axes, (title, row) in zip(panels, rows.items(), strict=True):
        image = log_mel(row.wave[:, 0], row.sample_rate, size=2048, mels=160)[0].T.numpy()
        extent = (0.0, row.seconds, 0.0, 1.0)
        _ = axes.imshow(image, origin="lower", aspect="auto", extent=extent, vmin=FLOOR, vmax=CEILING, cmap="magma")
        _ = axes.set_title(f"{title}: mel distance {mel(sound, row):.3f}", fontsize=9, loc="left")
        _ = axes.set(yticks=[], ylabel="mel")
    _ = panels[-1].set_xlabel("seconds")
    with whole(target, AudioError) as part:
        figure.savefig(part, format="png", dpi=110)
