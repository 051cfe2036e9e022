"""What may come in: how many bytes, how many seconds, which formats; checked before anything waits in the queue."""

import os
import re
import shutil
import unicodedata
from pathlib import Path

from .. import audiofile
from ..config import config, knob
from ..errors import AudioError, OstinatoError
from .store import Store

SUFFIXES = {
    "WAV": ".wav",
    "WAVEX": ".wav",
    "RF64": ".wav",
    "AIFF": ".aiff",
    "FLAC": ".flac",
    "OGG": ".ogg",
    "MP3": ".mp3",
}
TAKEN = "WAV, AIFF, FLAC, OGG or MP3"
LONGEST_STEM = 60


@config
class Limits:
    """How much a client may ask of a server."""

    megabytes: int = knob("size of an upload, at most", default=100, unit="MB", low=1, high=4000)
    seconds: float = knob("length of a sound, at most", default=600.0, unit="s", low=1, high=36000)
    kept: int = knob("of uploads and takes, after which the oldest go", default=2000, unit="MB", low=10)
    hours: float = knob("how long uploads and takes are kept", default=6.0, unit="h", low=0.01, high=1000)
    takes: int = knob("takes in one job, at most", default=8, low=1, high=64)

    @property
    def bytes(self) -> int:
        return self.megabytes * 1_000_000


def admit(upload: str | Path | None, store: Store, room: Path, limits: Limits) -> Path:
    """An uploaded sound as a file in a room, under a plain name, once it is sure that it is one.

    Its contents decide what it is, not its name or what a client calls it. All of it is decoded, so that no header
    is taken at its word.

    Raises:
        AudioError: there is none, it is no sound of a kind that we take, damaged, too big or too long.
    """
    if not upload:
        raise AudioError("no input audio received; choose or record a sound first")
    source = Path(upload)
    if source.is_symlink() or not store.holds(source):
        raise AudioError("that file was not uploaded here, or has expired; upload it again")
    try:
        facts = _checked(source, limits)
    except OstinatoError as error:
        raise by_name(error, source) from None
    target = room / (plain_stem(source.name) + SUFFIXES[facts.format])
    if target.exists():
        if target.samefile(source):
            return target
        target = target.with_stem(f"{target.stem}-{audiofile.sha256(source)[:8]}")
    if not target.exists():
        _ = shutil.copyfile(source, target)
    return target


def _checked(source: Path, limits: Limits) -> audiofile.Facts:
    if source.stat().st_size > limits.bytes:
        raise AudioError(f"{source} is too big; a sound may have {limits.megabytes} MB here, cut it or save it as FLAC")
    facts = audiofile.info(source)
    if facts.format not in SUFFIXES:
        raise AudioError(f"{source} is {facts.format}, which is not taken here; save it as {TAKEN}")
    if facts.seconds > limits.seconds:
        raise AudioError(f"{source} lasts {facts.seconds:.0f} s; at most {limits.seconds:g} s are taken here, cut it")
    for _ in audiofile.blocks(source):
        pass
    return facts


def by_name(error: OstinatoError, source: Path) -> AudioError:
    """An error about a file, without the folder that it lies in."""
    return AudioError(str(error).replace(str(source), plain_name(source.name)))


def plain_stem(name: str) -> str:
    """A file's name without its suffix, in ASCII letters, digits and dashes; `sound` where nothing is left."""
    letters = unicodedata.normalize("NFKD", os.path.splitext(name)[0]).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "-", letters).strip("-")[:LONGEST_STEM] or "sound"


def plain_name(name: str) -> str:
    """A file's name on one line, for people to read."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:LONGEST_STEM] or "the file"
