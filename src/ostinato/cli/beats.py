"""`ostinato beats`: the tempo, the beats and the bars of a sound, for people, programs and label tracks."""

from pathlib import Path
from typing import Any

import click

from .. import audiofile, beatsfile
from ..clip import Heard
from ..grids import tempo
from ..listening import listen
from ..longplay import file_pieces
from ..types import Beats
from .common import as_json, progress, show, sound, spare, table
from .flags import beat_options, given


@click.command()
@sound
@click.option("-o", "--out", type=click.Path(path_type=Path), help="A label file to write, for Audacity and --beats.")
@beat_options
@click.option("--loop", is_flag=True, help="SOUND goes round: hear its end before its start.")
@as_json
def beats(sound: Path, out: Path | None, loop: bool, as_json: bool, **flags: Any) -> None:
    """Tell the tempo, the beats and the bars of SOUND, as a tracker hears them or as flags give them."""
    source = given(flags, audiofile.info(sound).seconds)
    if out is not None:
        spare(sound, out)
        _ = beatsfile.check_writable(out)
    known = Heard(beats=source.beats)
    with progress() as watch:
        watch("listening", 0, 1)
        found = listen(file_pieces(sound), {"beats"}, known, tracker=source.tracker, circular=loop).beats or Beats(())
    if out is not None:
        beatsfile.write(out, found)
    speed = tempo(found)
    data = {
        "path": str(sound),
        "bpm": None if speed is None else round(speed, 2),
        "beats": [round(time, 6) for time in found.times],
        "downbeats": [round(time, 6) for time in found.downbeats],
        "confidence": round(found.confidence, 3),
        "source": source.told,
    }
    rows = [
        ("tempo", "unknown" if speed is None else f"{speed:.1f} beats a minute"),
        ("beats", _told(found.times)),
        ("downbeats", _told(found.downbeats)),
        ("confidence", f"{found.confidence:.2f}"),
    ]
    rows += [] if out is None else [("labels", str(out))]
    show(data, table(rows, indent=""), json_wanted=as_json)


def _told(times: tuple[float, ...]) -> str:
    """How many there are, and the first few."""
    first = ", ".join(f"{time:.3f}" for time in times[:4])
    return f"{len(times)}: {first}{', ...' if len(times) > 4 else ''} s" if times else "none"
