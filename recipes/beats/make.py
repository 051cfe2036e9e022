"""`python recipes/beats/make.py FONT WAD... -o music/beats`: music with known beats, to train the tracker on."""

from pathlib import Path

import click
import freedoom
import numpy as np
import soundfile
from compose import Piece, compose
from render import RATE, Band, mix

VALIDATION = 12


@click.command()
@click.argument("font", type=click.Path(path_type=Path, exists=True))
@click.argument("wads", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("music/beats"), show_default=True)
@click.option("--pieces", type=click.IntRange(min=1), default=200, show_default=True, help="Pieces to compose.")
@click.option("--seconds", type=click.FloatRange(min=20), default=40.0, show_default=True, help="Length of a piece.")
@click.option("--mixes", type=click.IntRange(min=1), default=3, show_default=True, help="Mixes of each piece.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def make(font: Path, wads: tuple[Path, ...], out: Path, pieces: int, seconds: float, mixes: int, seed: int) -> None:
    """Compose pieces, take others from Freedoom's WADS, and write mixes of them into OUT/train and OUT/val.

    Beside each WAV lies a `.beats` file: a line a beat, its time in seconds and its place in the bar (1 is the
    downbeat). Every twelfth piece goes to val. The same seed makes the same music; what is there is not made again.
    """
    band = Band(font)
    tunes = freedoom.pieces(list(wads), seconds, np.random.default_rng([seed, 0]))
    total = pieces + len(tunes)
    with click.progressbar(range(total), label="pieces") as numbers:
        for number in numbers:
            chance = np.random.default_rng([seed, 1, number])
            piece = compose(chance, seconds) if number < pieces else tunes[number - pieces]
            folder = out / ("val" if number % VALIDATION == VALIDATION - 1 else "train")
            folder.mkdir(parents=True, exist_ok=True)
            names = [folder / f"{number:04d}-{piece.name}-{version}" for version in range(mixes)]
            if names[-1].with_suffix(".beats").is_file():
                continue
            stems = band.stems(piece, chance)
            for name in names:
                wave, speed = mix(stems, piece, chance)
                soundfile.write(name.with_suffix(".wav"), wave, RATE, subtype="PCM_16")
                _ = name.with_suffix(".beats").write_text(labels(piece, speed), encoding="utf-8")


def labels(piece: Piece, speed: float) -> str:
    """Lines of time and place in the bar; beats before the first downbeat count back from it."""
    places = np.searchsorted(piece.downbeats, piece.beats + 1e-3) - 1
    lines = []
    for number, (time, bar) in enumerate(zip(piece.beats, places, strict=True)):
        first = np.searchsorted(piece.beats, piece.downbeats[max(bar, 0)] - 1e-3) if len(piece.downbeats) else 0
        place = number - first + 1 if bar >= 0 else 0
        lines.append(f"{time / speed:.4f}\t{place}\n")
    return "".join(lines)


if __name__ == "__main__":
    make()
