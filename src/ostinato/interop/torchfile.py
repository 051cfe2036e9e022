"""Read other projects' torch files as tensors and plain values; nothing in a file can run code."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..registry import nearest


@dataclass(frozen=True)
class TorchFile:
    """The tensors of a file by key, and the settings that it says its model was made with; none for bare tensors."""

    path: Path
    tensors: dict[str, Tensor]
    settings: dict[str, Any] | None = None

    def check(self, wanted: Mapping[str, tuple[int, ...]]) -> None:
        """See that the tensors are exactly those `wanted`, by key and shape, of floating point.

        Raises:
            CheckpointError: one is missing, unknown, of another shape or of whole numbers; the message names it.
        """
        for key in wanted:
            if key not in self.tensors:
                raise CheckpointError(f"{self.path} lacks the tensor '{key}'; {nearest(key, list(self.tensors)[:8])}")
        for key, value in self.tensors.items():
            if key not in wanted:
                raise CheckpointError(f"{self.path} holds a tensor '{key}' that a model of its settings does not have")
            if tuple(value.shape) != wanted[key]:
                raise CheckpointError(f"{self.path}: '{key}' must be {wanted[key]}, got {tuple(value.shape)}")
            if not value.is_floating_point():
                raise CheckpointError(f"{self.path}: '{key}' must be of floating point, got {value.dtype}")


def read(path: Path) -> TorchFile:
    """The tensors and settings of a file that `torch.save` wrote.

    It holds `state_dict` and `metadata` with `kwargs`, or is a table of tensors itself. Tensors are mapped from
    the disk, not read, until they are used.

    Raises:
        CheckpointError: the file is missing, cut short, damaged, or holds anything but tensors and plain values.
    """
    held = _load(path)
    if not isinstance(held, Mapping):
        raise CheckpointError(f"{path} must hold a table of tensors, got a {type(held).__name__}")
    tensors: Any = held.get("state_dict", held)
    metadata: Any = held.get("metadata") if "state_dict" in held else None
    settings = metadata.get("kwargs") if isinstance(metadata, Mapping) else None
    if not isinstance(tensors, Mapping) or not tensors:
        raise CheckpointError(f"{path} holds no tensors")
    for key, value in tensors.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{path} must hold tensors by name, got {type(value).__name__} under {key!r}")
    return TorchFile(path, dict(tensors), dict(settings) if isinstance(settings, Mapping) else None)


def _load(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is cut short, or is not a file of weights that torch.save wrote") from error
    if damaged is not None:
        raise CheckpointError(f"{path} is damaged: the checksum of its part {damaged} is wrong")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # what torch raises for foreign archives is of many classes
        raise CheckpointError(f"{path} must hold nothing but tensors and plain values ({_short(error)})") from error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
