"""Opus, the codec to compare with: there and back through the programs of opus-tools."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from ..audiofile import read, write
from ..errors import AudioError, MissingPartError
from ..metrics import align
from ..resampling import fit, resample
from ..types import Audio

RATE = 48_000
MAX_LAG = 960


def roundtrip(sound: Audio, kbps: float) -> tuple[Audio, int]:
    """A mono sound after Opus at `kbps` kbit/s (music, mono, 48 kHz, constrained VBR), and the bits of its file.

    The result has the rate and length of `sound` and lies on it as cross-correlation says, within 20 ms. The bits
    are those of the whole file, the Ogg container included.

    Raises:
        MissingPartError: opusenc or opusdec is not installed.
        AudioError: opus-tools fails, or `sound` is silent.
    """
    for program in ("opusenc", "opusdec"):
        if shutil.which(program) is None:
            raise MissingPartError(f"{program} is not installed; apt-get install -y --no-install-recommends opus-tools")
    at_rate = resample(sound, RATE)
    with tempfile.TemporaryDirectory() as folder:
        plain, coded, back = (Path(folder) / name for name in ("in.wav", "coded.opus", "out.wav"))
        _ = write(plain, at_rate, subtype="FLOAT")
        options = ["--quiet", "--music", "--cvbr", "--padding", "0", "--bitrate", f"{kbps:g}"]
        _run("opusenc", *options, str(plain), str(coded))
        _run("opusdec", "--quiet", "--float", "--rate", str(RATE), str(coded), str(back))
        bits = coded.stat().st_size * 8
        heard = fit(read(back), at_rate.samples)
    aligned = Audio(align(at_rate.wave[:, 0], heard.wave[:, 0], MAX_LAG)[:, None], RATE)
    return fit(resample(aligned, sound.sample_rate), sound.samples), bits


def version() -> str:
    """The version line of the Opus encoder, or an empty text where there is none."""
    if shutil.which("opusenc") is None:
        return ""
    found = subprocess.run(["opusenc", "--version"], capture_output=True, text=True, check=False)
    return (found.stdout or found.stderr).partition("\n")[0].strip()


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AudioError(f"{command[0]} failed: {done.stderr.strip().splitlines()[-1:] or done.returncode}")
