"""Sound files: read and write, in one piece or block by block; nothing is ever left half-written."""

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile
import torch

from . import riff
from .config import from_json
from .errors import AudioError
from .resampling import join
from .resampling import resample as resample
from .types import Audio
from .whole import beside, whole, writable

WRITES = {".wav": "WAV", ".flac": "FLAC"}
SUBTYPES = {".wav": ("PCM_16", "PCM_24", "FLOAT"), ".flac": ("PCM_16", "PCM_24")}
BYTES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}
CHANNELS = 2
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
BLOCK = 1 << 16
WAV_LIMIT = (1 << 32) - (1 << 20)
UNKNOWN_LENGTH = 1 << 56
MOST_IN_A_BYTE = 1 << 14  # samples; silence in FLAC comes to a third of that


@dataclass(frozen=True)
class Facts:
    """What a sound file's header says. `samples` is a promise: only reading proves it."""

    path: Path
    format: str
    subtype: str
    sample_rate: int
    channels: int
    samples: int

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate


class Reader:
    """A sound file open for reading, block by block, in memory that does not grow with its length.

    Raises:
        AudioError: the file is missing, a folder, empty, not a sound, has more than two channels or
            a sample rate that no recorder uses.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = _open(self.path)
        self.facts = Facts(
            path=self.path,
            format=self._file.format,
            subtype=self._file.subtype,
            sample_rate=self._file.samplerate,
            channels=self._file.channels,
            samples=self._file.frames,
        )
        try:
            _check_header(self.facts)
        except AudioError:
            self.close()
            raise

    def blocks(self, samples: int = BLOCK, *, start: int = 0, stop: int | None = None) -> Iterator[Audio]:
        """The sound from `start` to `stop` (in samples, `stop` excluded) in pieces of at most `samples`.

        Raises:
            AudioError: the range lies outside the file, the file ends well before its header says, or a
                sample is not a number.
        """
        promised = self.facts.samples
        end = promised if stop is None else stop
        if not 0 <= start < end <= promised:
            raise AudioError(f"{self.path} has {promised} samples; it has no piece from {start} to {end}")
        at = start
        try:
            if at != self._file.tell():
                at = self._file.seek(start)
            while at < end:
                piece = self._file.read(min(samples, end - at), dtype="float32", always_2d=True)
                if len(piece) == 0:
                    break
                yield self._audio(piece, at)
                at += len(piece)
        except RuntimeError as error:
            raise AudioError(f"{self.path} is damaged or cut short after {_time(at, self.facts)}: {error}") from None
        if end - at > self._forgiven():
            raise AudioError(f"{self.path} is cut short: {promised} samples promised, {at} found")

    def _forgiven(self) -> int:
        """Samples by which a header may overstate: Vorbis encoders often round up to a block; 50 ms at most."""
        return self.facts.sample_rate // 20 if self.facts.format == "OGG" else 0

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _audio(self, piece: np.ndarray, at: int) -> Audio:
        bad = ~np.isfinite(piece).all(axis=1)
        if bad.any():
            where = _time(at + int(bad.argmax()), self.facts)
            raise AudioError(f"{self.path} must hold finite numbers, got NaN or infinity at {where}")
        return Audio(torch.from_numpy(np.ascontiguousarray(piece.T))[None], self.facts.sample_rate)


def info(path: str | Path) -> Facts:
    """What the header of a sound file says.

    Raises:
        AudioError: as for `Reader`.
    """
    with Reader(path) as reader:
        return reader.facts


def blocks(path: str | Path, samples: int = BLOCK) -> Iterator[Audio]:
    """A whole sound file in pieces of at most `samples`.

    Raises:
        AudioError: as for `Reader` and its `blocks`.
    """
    with Reader(path) as reader:
        yield from reader.blocks(samples)


def read(path: str | Path, *, start: int = 0, stop: int | None = None) -> Audio:
    """A sound file, or its samples from `start` to `stop` (excluded), as one batch item.

    Memory follows what is found, not what the header promises.

    Raises:
        AudioError: as for `Reader` and its `blocks`.
    """
    with Reader(path) as reader:
        return join(reader.blocks(start=start, stop=stop))


class Writer:
    """A sound file being written block by block; it appears under its name only when all went well.

    The suffix chooses WAV or FLAC. Samples beyond -1 to 1 are never clipped: where `subtype` is an
    integer format and the sound peaks higher, the whole file is turned down until its peak fits, and
    `gain_db` (below 0) says by how much, here and in `about`. FLOAT keeps every sample as it is.

    Args:
        path: where the file will appear; its folder must exist.
        sample_rate: in Hz.
        channels: 1 or 2.
        about: plain data to keep in the file's comment, as JSON; `about(path)` reads it back.
        subtype: PCM_16, PCM_24 (default) or FLOAT (WAV only).

    Raises:
        AudioError: the suffix or subtype is unknown, the folder does not take files, the disk is
            full, or a WAV would pass 4 GiB.
    """

    def __init__(
        self,
        path: str | Path,
        sample_rate: int,
        channels: int,
        *,
        about: dict[str, Any] | None = None,
        subtype: str | None = None,
    ) -> None:
        self.path = check_writable(path)
        self.subtype = _subtype(self.path, subtype)
        self.sample_rate, self.channels = sample_rate, channels
        self.samples, self.gain_db = 0, 0.0
        self._about, self._peak = about, 0.0
        self._rough = beside(self.path)
        with refusing(self.path):
            self._file = soundfile.SoundFile(self._rough, "w", sample_rate, channels, subtype="FLOAT", format="W64")

    def write(self, audio: Audio) -> None:
        """Append one block.

        Raises:
            AudioError: the block's rate, channels or batch do not fit, the disk is full, or a WAV
                would pass 4 GiB.
        """
        if (audio.wave.shape[0], audio.channels, audio.sample_rate) != (1, self.channels, self.sample_rate):
            got = f"{audio.wave.shape[0]} x {audio.channels} channels at {audio.sample_rate} Hz"
            raise AudioError(f"{self.path} takes 1 x {self.channels} channels at {self.sample_rate} Hz, got {got}")
        self.samples += audio.samples
        size = self.samples * self.channels * BYTES[self.subtype]
        if self.path.suffix.lower() == ".wav" and size > WAV_LIMIT:
            raise AudioError(f"{self.path} would pass the 4 GiB that a WAV can hold; write a .flac")
        self._peak = max(self._peak, float(audio.wave.abs().max()))
        with refusing(self.path):
            self._file.write(audio.wave[0].T.cpu().numpy())

    def close(self) -> None:
        """Finish the file and put it in its place.

        Raises:
            AudioError: nothing was written, or the disk is full.
        """
        try:
            self._file.close()
            if self.samples == 0:
                raise AudioError(f"{self.path} would hold no samples; a sound needs at least one")
            with refusing(self.path), whole(self.path, AudioError) as ready:
                self._finish(ready)
        finally:
            self.discard()

    def discard(self) -> None:
        """Forget what was written; whatever was under the name before stays."""
        self._file.close()
        self._rough.unlink(missing_ok=True)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _finish(self, path: Path) -> None:
        gain, comment = 1.0, ""
        if self.subtype != "FLOAT" and self._peak > 1:
            gain = 1 / self._peak
            self.gain_db = 20 * math.log10(gain)
        if self._about is not None:
            comment = json.dumps(self._about | ({"gain_db": round(self.gain_db, 3)} if self.gain_db else {}))
        kind = WRITES[self.path.suffix.lower()]
        with (
            soundfile.SoundFile(self._rough) as rough,
            soundfile.SoundFile(path, "w", self.sample_rate, self.channels, subtype=self.subtype, format=kind) as ready,
        ):
            if comment and kind == "FLAC":
                ready.comment = comment
            for piece in rough.blocks(BLOCK, dtype="float32", always_2d=True):
                ready.write(piece * np.float32(gain))
        if kind == "WAV":
            riff.seal(path, comment)


def write(path: str | Path, audio: Audio, *, about: dict[str, Any] | None = None, subtype: str | None = None) -> float:
    """Write one sound to a WAV or FLAC file, whole or not at all.

    Returns:
        The gain in dB, 0 or less, by which it was turned down so that no sample clips; see `Writer`.

    Raises:
        AudioError: as for `Writer`.
    """
    with Writer(path, audio.sample_rate, audio.channels, about=about, subtype=subtype) as writer:
        writer.write(audio)
    return writer.gain_db


def about(path: str | Path) -> dict[str, Any] | None:
    """The plain data that `write` kept in a file's comment, or None where there is none.

    Raises:
        AudioError: as for `Reader`.
    """
    with Reader(path) as reader:
        comment = riff.comment(reader.path) if reader.facts.format == "WAV" else reader._file.comment
    try:
        found = from_json(comment)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """What the disk or the sound library refuses, said in one line."""
    try:
        yield
    except (OSError, RuntimeError, AssertionError) as error:
        raise AudioError(f"cannot write {path}: {str(error) or 'the disk took only a part of it'}") from None


def check_writable(path: str | Path) -> Path:
    """`path`, links followed, once it is sure that a sound file can appear there.

    Raises:
        AudioError: the suffix is not one that is written, or what `writable` refuses.
    """
    return writable(path, tuple(WRITES), AudioError)


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _open(path: Path) -> soundfile.SoundFile:
    if not path.exists():
        raise AudioError(f"there is no file {path}")
    if path.is_dir():
        raise AudioError(f"{path} is a folder; name one sound file")
    try:
        if path.stat().st_size == 0:
            raise AudioError(f"{path} is empty (0 bytes)")
        with open(path, "rb"):
            return soundfile.SoundFile(path)
    except OSError as error:
        raise AudioError(f"cannot read {path}: {error.strerror}") from None
    except (RuntimeError, TypeError, ValueError):
        raise AudioError(f"{path} is not a sound file we can read; convert it to WAV, FLAC, OGG or MP3") from None


def _check_header(facts: Facts) -> None:
    if facts.samples < 1:
        raise AudioError(f"{facts.path} holds no samples; a sound needs at least one")
    if facts.samples >= UNKNOWN_LENGTH:
        raise AudioError(f"{facts.path} does not say how long it is; save it again as WAV or FLAC")
    size = facts.path.stat().st_size
    if facts.samples > MOST_IN_A_BYTE * size:
        raise AudioError(f"{facts.path} is damaged: its header claims {facts.seconds:.0f} s, too many for {size} bytes")
    if not 1 <= facts.channels <= CHANNELS:
        raise AudioError(f"{facts.path} has {facts.channels} channels; mix it down to mono or stereo")
    if not LOWEST_RATE <= facts.sample_rate <= HIGHEST_RATE:
        rule = f"sample rates go from {LOWEST_RATE} to {HIGHEST_RATE} Hz"
        raise AudioError(f"{facts.path}: {rule}, got {facts.sample_rate}")


def _subtype(path: Path, subtype: str | None) -> str:
    allowed = SUBTYPES[path.suffix.lower()]
    if subtype is not None and subtype not in allowed:
        raise AudioError(f"{path.suffix} files take {', '.join(allowed)}, got {subtype}")
    return subtype or "PCM_24"


def _time(samples: int, facts: Facts) -> str:
    return f"{samples / facts.sample_rate:.3f} s"
