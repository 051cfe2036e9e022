"""Checkpoints: a folder of `config.json` and `weights.safetensors`, written atomically and loaded strictly."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .codec import SpectralCodec
from .codecs import DEFAULT_KIND, KINDS, CodecSettings, kind_of, make
from .config import from_json, load, plain
from .errors import CheckpointError
from .lac import LAC
from .lm import LMConfig, MaskedModel
from .registry import nearest
from .whole import whole, write_text

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
PIECE = 1 << 24


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file whole or not at all.

    Raises:
        CheckpointError: it cannot be written there.
    """
    with whole(path, CheckpointError) as part:
        try:
            save_file({key: value.contiguous() for key, value in tensors.items()}, part, metadata=dict(about or {}))
        except SafetensorError as error:
            raise CheckpointError(f"cannot write {path}: {error}") from None
        part.chmod(0o644)


def save(folder: Path, settings: Any, module: nn.Module, *, dtype: torch.dtype | None = None) -> None:
    """Write a module and the config it was made from; floating tensors are stored as `dtype` if one is given.

    The config of a codec other than the default one names its kind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        key: value.to(dtype) if dtype is not None and value.is_floating_point() else value
        for key, value in module.state_dict().items()
    }
    write_tensors(folder / WEIGHTS, tensors)
    kind = kind_of(settings)
    named = {} if kind in (None, DEFAULT_KIND) else {"kind": kind}
    write_text(folder / CONFIG, json.dumps(named | plain(settings), indent=1) + "\n")


class _Undrawn(TorchFunctionMode):
    """Within, modules start with no numbers drawn for them.

    They are about to get others; and on the meta device drawing has torch import its compiler, which takes a second.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else options["tensor"]
        return (torch.empty if func is torch.randn else func)(*args, **options)


def read_config(folder: Path, kind: type) -> Any:
    """The config of a checkpoint, as an object of class `kind`.

    Raises:
        CheckpointError: there is no readable config. ConfigError: it does not fit `kind`.
    """
    return load(kind, _read_json(folder))


def read_codec_config(folder: Path) -> CodecSettings:
    """The config of a codec of any kind.

    Raises:
        CheckpointError: there is no readable config, or no such kind. ConfigError: it does not fit its kind.
    """
    settings = _read_json(folder)
    kind = settings.pop("kind", DEFAULT_KIND) if isinstance(settings, dict) else DEFAULT_KIND
    if not isinstance(kind, str) or kind not in KINDS:
        raise CheckpointError(
            f"{folder / CONFIG} is of no kind of codec known here: '{kind}'; {nearest(str(kind), KINDS)}"
        )
    return load(KINDS[kind], settings)


def load_codec(folder: Path) -> SpectralCodec | LAC:
    """The codec of a checkpoint, of whatever kind, ready for use.

    Raises:
        CheckpointError, ConfigError: as `read_codec_config` and `restore`.
    """
    settings = read_codec_config(folder)
    with torch.device("meta"), _Undrawn():
        codec = make(settings)
    restore(folder, codec)
    return codec.eval().requires_grad_(False)


def load_model(folder: Path, precision: str = "fp32") -> MaskedModel:
    """The masked model of a checkpoint, ready for use in a precision of `nn.lower`.

    Raises:
        CheckpointError, ConfigError: as `read_config`, `restore` and `MaskedModel.lower`.
    """
    settings = read_config(folder, LMConfig)
    with torch.device("meta"), _Undrawn():
        model = MaskedModel(settings)
    restore(folder, model, None if precision == "fp32" else lambda: model.lower(precision))
    return model.eval().requires_grad_(False)


def _read_json(folder: Path) -> Any:
    try:
        return from_json((folder / CONFIG).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} is not a checkpoint: it has no {CONFIG}") from error
    except ValueError as error:
        raise CheckpointError(f"{folder / CONFIG} is not JSON ({error})") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        CheckpointError: the file is missing, cut or not safetensors.
    """
    with _opened(path) as file:
        keys: list[str] = file.keys()
        return {key: file.get_tensor(key) for key in keys}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise CheckpointError(f"{path.parent} is not a checkpoint: it has no {path.name}")
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file ({error})") from error


def restore(folder: Path, module: nn.Module, change: Callable[[], None] | None = None) -> None:
    """Load a checkpoint's weights into `module`, strictly, in the module's own precision.

    A module on the meta device takes them as they lie in the file, where they fit as they are: they are read when they
    are used, and cost no memory that others might need. One tensor is read at a time.

    Args:
        folder: of the checkpoint.
        module: what the checkpoint is of.
        change: what to do to the module once the checkpoint is known to fit it, and before weights are read.

    Raises:
        CheckpointError: a tensor is missing, foreign or of another shape; the message names it.
    """
    path = folder / WEIGHTS
    with _opened(path) as file:
        keys: list[str] = file.keys()
        found = {key: tuple(file.get_slice(key).get_shape()) for key in keys}
    _check_fit(path, found, {key: tuple(value.shape) for key, value in module.state_dict().items()})
    if change is not None:
        change()
    types = {key: value.dtype for key, value in module.state_dict().items() if value.is_floating_point()}
    for key, value in _each(path, keys, apart=change is not None):
        owner, _, name = key.rpartition(".")
        part = module.get_submodule(owner)
        on_meta = any(each.is_meta for each in part.state_dict().values())
        _ = part.load_state_dict({name: value.to(types.get(key, value.dtype))}, strict=False, assign=on_meta)


def _each(path: Path, keys: list[str], *, apart: bool) -> Iterator[tuple[str, Tensor]]:
    """Tensors one after the other, as they lie in the file; apart, memory for each is free once it is gone."""
    for part in [[key] for key in keys] if apart else [keys]:
        with _opened(path) as file:
            for key in part:
                yield key, file.get_tensor(key)


def _check_fit(path: Path, found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> None:
    for key in wanted.keys() - found.keys():
        raise CheckpointError(f"{path} lacks the tensor '{key}'")
    for key in found.keys() - wanted.keys():
        raise CheckpointError(f"{path} holds a tensor '{key}' that the config does not know")
    for key, shape in wanted.items():
        if found[key] != shape:
            raise CheckpointError(f"{path}: '{key}' must be {shape}, got {found[key]}")


def digest(*folders: Path) -> str:
    """A hash over configs and weights: the first 16 hex digits of SHA-256 over that of each 16 MiB of them.

    As many are read at once as there are cores: models of the published size are 2.6 GB.
    """
    files = [folder / name for folder in folders for name in (CONFIG, WEIGHTS)]
    pieces = [(file, start) for file in files for start in range(0, file.stat().st_size, PIECE)]
    total = hashlib.sha256()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for part in pool.map(_piece, pieces):
            total.update(part)
    return total.hexdigest()[:16]


def _piece(place: tuple[Path, int]) -> bytes:
    path, start = place
    with path.open("rb") as file:
        _ = file.seek(start)
        return hashlib.sha256(file.read(PIECE)).digest()
