"""Codes on disk: one safetensors file with the tokens and all that is needed to hear them again."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from .config import config, from_json, knob, load, plain
from .errors import AudioError, ConfigError
from .stereo import Lean, unwritten
from .types import Codes, Grid
from .whole import whole, writable

SUFFIX, KEY, TENSOR, VERSION = ".safetensors", "ostinato", "codes", 2


@config
class Origin:
    """What codes were made from, and by which codec; kept as JSON in the file's metadata."""

    version: int = knob("of the file format", default=VERSION, low=1, high=VERSION)
    grid: Grid = knob("the raster of the codes", default=Grid())
    sample_rate: int = knob(help="of the sound", unit="Hz", low=1)
    channels: int = knob(help="of the sound; codes have one row for each", low=1, high=2)
    samples: int = knob(help="length of the sound at its own rate", unit="samples", low=1)
    circular: bool = knob("whether the end of the sound meets its start", default=False)
    gain: float = knob("what the sound was multiplied by before coding; undone when it is heard", default=1.0, low=1e-9)
    lean: str = knob("which way a sound of two channels leans, packed; empty for nowhere", default="")
    model: str = knob("name of the model whose codec made the codes", default="")
    hash: str = knob("hash of that codec", default="")

    @property
    def found(self) -> Lean | None:
        """Which way the sound leans, as `stereo.lean_of` found it; None for nowhere.

        Raises:
            AudioError: the packed lean is damaged, or not of this sound.
        """
        if not self.lean:
            return None
        return unwritten(self.lean, self.samples, self.sample_rate, circular=self.circular)

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate


def write(path: str | Path, codes: Codes, origin: Origin) -> None:
    """Write codes, 16 bits a token, whole or not at all.

    Raises:
        AudioError: the codes do not fit their origin, or the file cannot be written there.
    """
    target = check_writable(path)
    _check(target, codes, origin)
    dtype = torch.int16 if origin.grid.vocabulary <= torch.iinfo(torch.int16).max + 1 else torch.int32
    with whole(target, AudioError) as part:
        _ = part.write_bytes(save({TENSOR: codes.to(dtype).contiguous()}, metadata={KEY: json.dumps(plain(origin))}))


def read(path: str | Path) -> tuple[Codes, Origin]:
    """Codes and where they came from.

    Raises:
        AudioError: the file is missing, damaged, or not a codes file of this version.
    """
    origin = info(path)
    codes = load_file(path)[TENSOR].long()
    _check(Path(path), codes, origin)
    return codes, origin


def info(path: str | Path) -> Origin:
    """What the header of a codes file says; reads no codes.

    Raises:
        AudioError: as for `read`.
    """
    if not Path(path).is_file():
        raise AudioError(f"there is no codes file {path}")
    try:
        with safe_open(path, "pt") as file:
            about = from_json((file.metadata() or {})[KEY])
            known = TENSOR in file.keys()  # noqa: SIM118
        origin = load(Origin, about)
    except (SafetensorError, OSError):
        raise AudioError(f"{path} is damaged or not a safetensors file") from None
    except (KeyError, ValueError):
        raise AudioError(f"{path} is not a codes file; `ostinato encode` makes one") from None
    except ConfigError as error:
        raise AudioError(f"{path} is not a codes file of version {VERSION}: {error}") from None
    if not known:
        raise AudioError(f"{path} is not a codes file: it has no tensor '{TENSOR}'")
    _check_lean(Path(path), origin)
    return origin


def check_writable(path: str | Path) -> Path:
    """`path`, links followed, once it is sure that a codes file can appear there.

    Raises:
        AudioError: the suffix is not .safetensors, or the folder is missing or takes no files.
    """
    return writable(path, (SUFFIX,), AudioError)


def _check_lean(path: Path, origin: Origin) -> None:
    if origin.lean and origin.channels == 1:
        raise AudioError(f"{path}: a sound of one channel leans nowhere, got a lean")
    try:
        _ = origin.found
    except AudioError as error:
        raise AudioError(f"{path} is damaged where it tells how the sound leans: {error}") from None


def _check(path: Path, codes: Codes, origin: Origin) -> None:
    _check_lean(path, origin)
    most = origin.grid.codebooks
    if codes.ndim != 3 or codes.shape[0] != origin.channels or not 1 <= codes.shape[1] <= most or not codes.shape[2]:
        raise AudioError(f"{path}: codes must be {origin.channels} x 1 to {most} x frames, got {tuple(codes.shape)}")
    low, high = int(codes.min()), int(codes.max())
    if low < 0 or high >= origin.grid.vocabulary:
        raise AudioError(f"{path}: codes must be between 0 and {origin.grid.vocabulary - 1}, got {low} to {high}")
