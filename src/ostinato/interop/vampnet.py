"""Read VampNet's published files (codec, coarse, c2f, fine-tuned ones) into our own modules.

Weight normalisation is folded and LoRA weights are merged. Every tensor of the network must be there in its shape,
and no other may be; only LoRA weights may be absent.

Source: VampNet, arXiv:2307.04686, and the files of its authors.
"""

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..config import config, knob, knobs, load
from ..errors import CheckpointError, ConfigError
from ..lac import LAC, LACConfig
from ..lm import LMConfig, MaskedModel
from ..types import Grid
from .torchfile import TorchFile

Module = TypeVar("Module", bound=nn.Module)
Said = TypeVar("Said", "CodecSaid", "ModelSaid")
Naming = list[tuple[str, str]]

BUCKETS, FURTHEST = 32, 128
"""Relative positions as the published network has them; its files do not say."""
ADAPTED = re.compile(r"\.(w_qs|w_vs|fc|w_1|w_2)\.(lora_A|lora_B)$")
POINTWISE = re.compile(r"\b(in_proj|out_proj|classifier\.layers\.0)\.weight$")
OURS = re.compile(r"(\.usage|^vectors)$")
"""What published files do not hold: how often codes were used, and the codec's code vectors beside a model."""

CODEC_NAMES: Naming = [
    (r"^(encoder)\.(\d+)\.(\d)\.layer\.(\d)", r"\1.block.\2.block.\3.block.\4"),
    (r"^(encoder)\.(\d+)\.(\d)\.(?!layer)", r"\1.block.\2.block.\3."),
    (r"^(encoder)\.(\d+)\.(?!block)", r"\1.block.\2."),
    (r"^(decoder)\.(\d+)\.(\d)\.", r"\1.model.\2.block.\3."),
    (r"^(decoder)\.(\d+)\.", r"\1.model.\2."),
    (r"\.branches\.(\d)\.(\d)\.", r".mrf_blocks.\1.block.\2."),
    (r"^quantizer\._levels\.(\d+)\.", r"quantizer.quantizers.\1."),
    (r"\.down\.(\w+)$", r".in_proj.\1"),
    (r"\.up\.(\w+)$", r".out_proj.\1"),
    (r"\.codebook$", r".codebook.weight"),
]
MODEL_NAMES: Naming = [
    (r"^hidden$", "embedding.special.MASK"),
    (r"^enter\.", "embedding.out_proj."),
    (r"^transformer\.bias\.table\.", "transformer.layers.0.self_attn.relative_attention_bias."),
    (r"\.norm_attention\.", ".norm_1."),
    (r"\.norm_feed\.", ".norm_3."),
    (r"\.attention\.query\.", ".self_attn.w_qs."),
    (r"\.attention\.key\.", ".self_attn.w_ks."),
    (r"\.attention\.value\.", ".self_attn.w_vs."),
    (r"\.attention\.out\.", ".self_attn.fc."),
    (r"\.feed\.widen\.", ".feed_forward.w_1."),
    (r"\.feed\.narrow\.", ".feed_forward.w_2."),
    (r"^classify\.", "classifier.layers.0."),
]


@config
class CodecSaid:
    """What a published codec file says of its making."""

    encoder_dim: int = knob(low=1)
    encoder_rates: tuple[int, ...] = knob()
    decoder_dim: int = knob(low=1)
    decoder_rates: tuple[int, ...] = knob()
    n_codebooks: int = knob(low=1)
    codebook_size: int = knob(low=2)
    codebook_dim: int = knob(low=1)
    sample_rate: int = knob(low=1)


@config
class ModelSaid:
    """What a published model file says of its making; the defaults are those of the published code."""

    n_heads: int = knob(default=20, low=1)
    n_layers: int = knob(default=16, low=1)
    n_codebooks: int = knob(default=9, low=1)
    n_conditioning_codebooks: int = knob(default=0, low=0)
    latent_dim: int = knob(default=8, low=1)
    embedding_dim: int = knob(default=1280, low=1)
    vocab_size: int = knob(default=1024, low=2)
    dropout: float = knob(default=0.1, low=0, high=0.9)


def read_codec(file: TorchFile) -> LAC:
    """The codec of a published `codec.pth`.

    Raises:
        CheckpointError: the file is not such a codec; the message names the setting, key or shape.
    """
    said = _said(CodecSaid, file)
    with _of(file), torch.device("meta"):
        grid = Grid(
            sample_rate=said.sample_rate,
            hop=math.prod(said.decoder_rates),
            codebooks=said.n_codebooks,
            vocabulary=said.codebook_size,
        )
        settings = LACConfig(
            grid=grid,
            width_in=said.encoder_dim,
            strides_in=said.encoder_rates,
            width_out=said.decoder_dim,
            strides_out=said.decoder_rates,
            dim=said.codebook_dim,
        )
        codec = LAC(settings)
    usage = {key: torch.ones(value.shape) for key, value in codec.state_dict().items() if key.endswith(".usage")}
    return _filled(codec, _found(codec, folded(file), CODEC_NAMES) | usage)


def read_model(file: TorchFile, vectors: Float[Tensor, "codebook vocab dim"]) -> MaskedModel:
    """The masked model of a published `coarse.pth` or `c2f.pth`, over the code vectors of its codec.

    Raises:
        CheckpointError: the file is not such a model, or the codec is another's; the message names the setting, key
            or shape.
    """
    said = _said(ModelSaid, file)
    with _of(file), torch.device("meta"):
        settings = LMConfig(
            codebooks=said.n_codebooks,
            given=said.n_conditioning_codebooks,
            vocabulary=said.vocab_size,
            dim=said.latent_dim,
            width=said.embedding_dim,
            layers=said.n_layers,
            heads=said.n_heads,
            dropout=said.dropout,
            buckets=BUCKETS,
            furthest=FURTHEST,
        )
        model = MaskedModel(settings)
    found = _found(model, folded(file), MODEL_NAMES)
    looked_up = vectors[: said.n_codebooks]
    if looked_up.shape != model.vectors.shape:
        wanted, got = tuple(model.vectors.shape), tuple(vectors.shape)
        raise CheckpointError(f"{file.path} looks up code vectors of shape {wanted}, the codec has {got}")
    for key in ("classify.weight", "classify.bias"):
        found[key] = _by_codebook(found[key], settings.predicted)
    return _filled(model, found | {"vectors": looked_up.clone()})


def adapted(base: TorchFile, adapter: TorchFile) -> TorchFile:
    """A model file with the LoRA weights of a plain adapter file in the place of its own.

    Raises:
        CheckpointError: the adapter holds anything but LoRA weights, or does not fit; the message names the key.
    """
    for key in adapter.tensors:
        if not ADAPTED.search(key):
            raise CheckpointError(f"{adapter.path} must hold LoRA weights only, got '{key}'")
    foreign = sorted(set(adapter.tensors) - _adaptable(base))
    missing = sorted(_adaptable(base) - set(adapter.tensors))
    if foreign or missing:
        what = f"has '{foreign[0]}'" if foreign else f"lacks '{missing[0]}'"
        raise CheckpointError(f"{adapter.path} does not fit {base.path}: it {what}")
    return replace(base, tensors=base.tensors | adapter.tensors)


def fits(base: TorchFile, adapter: TorchFile) -> bool:
    """Whether a plain adapter file has LoRA weights for exactly the layers of a model file."""
    return set(adapter.tensors) == _adaptable(base)


def is_fine(file: TorchFile) -> bool:
    """Whether a model file is of a model that is given codebooks, rather than of one that starts from nothing.

    Raises:
        CheckpointError: its settings are not those of a model.
    """
    return _said(ModelSaid, file).n_conditioning_codebooks > 0


def folded(file: TorchFile) -> TorchFile:
    """A file with each weight in one piece: `g v / |v|` of weight normalisation, `W + B A / rank` of LoRA.

    The norm is over all but the first axis. LoRA's strength (alpha) is 1 in the published training. Nothing of the
    result is still on the disk, so the file may change or go.

    Raises:
        CheckpointError: a piece is missing or of the wrong shape; the message names it.
    """
    left = dict(file.tensors)
    for key in [key for key in left if key.endswith(".weight_v")]:
        stem = key.removesuffix("_v")
        direction = left.pop(key)
        length = _take(file, left, f"{stem}_g", (len(direction), *[1] * (direction.ndim - 1)))
        norm = torch.linalg.vector_norm(direction, dim=tuple(range(1, direction.ndim)), keepdim=True)
        left[stem] = direction * (length / norm)
    for key in [key for key in left if key.endswith(".lora_A") and ADAPTED.search(key)]:
        stem = key.removesuffix("lora_A")
        down = left.pop(key)
        weight = left.get(f"{stem}weight")
        if weight is None or weight.ndim != 2 or down.ndim != 2 or down.shape[1] != weight.shape[1]:
            raise CheckpointError(f"{file.path}: '{key}' of shape {tuple(down.shape)} fits no '{stem}weight'")
        up = _take(file, left, f"{stem}lora_B", (weight.shape[0], down.shape[0]))
        left[f"{stem}weight"] = weight + (up @ down) / len(down)
    own = {key: value.clone() if value is file.tensors.get(key) else value for key, value in left.items()}
    return replace(file, tensors=own)


def _said(kind: type[Said], file: TorchFile) -> Said:
    """The settings of a file, those that we know of; what else they hold must show in the tensors."""
    if file.settings is None:
        raise CheckpointError(f"{file.path} does not say how its model was made: it has no metadata with kwargs")
    known = {key: value for key, value in file.settings.items() if key in knobs(kind)}
    with _of(file):
        return load(kind, known)


@contextmanager
def _of(file: TorchFile) -> Iterator[None]:
    """Name the file in what goes wrong with its settings."""
    try:
        yield
    except ConfigError as error:
        raise CheckpointError(f"{file.path}: {error}") from error


def _take(file: TorchFile, tensors: dict[str, Tensor], key: str, shape: tuple[int, ...]) -> Tensor:
    if key not in tensors:
        raise CheckpointError(f"{file.path} lacks the tensor '{key}'")
    if tuple(tensors[key].shape) != shape:
        raise CheckpointError(f"{file.path}: '{key}' must be {shape}, got {tuple(tensors[key].shape)}")
    return tensors.pop(key)


def _found(module: nn.Module, file: TorchFile, naming: Naming) -> dict[str, Tensor]:
    """The tensors of a folded file by our names, in our shapes: all that a module (on the meta device) learnt."""
    state = {key: value for key, value in module.state_dict().items() if not OURS.search(key)}
    names = {key: _published(key, naming) for key in state}
    file.check(
        {
            name: (*state[key].shape, 1) if POINTWISE.search(name) else tuple(state[key].shape)
            for key, name in names.items()
        }
    )
    return {key: file.tensors[name].reshape(state[key].shape).float() for key, name in names.items()}


def _filled(module: Module, tensors: Mapping[str, Tensor]) -> Module:
    _ = module.load_state_dict(dict(tensors), assign=True)
    return module.eval().requires_grad_(False)


def _published(key: str, naming: Naming) -> str:
    for pattern, name in naming:
        key = re.sub(pattern, name, key)
    return key


def _by_codebook(rows: Tensor, predicted: int) -> Tensor:
    """Rows of a classifier in the order (codebook, token); published ones are in the order (token, codebook)."""
    return rows.unflatten(0, (-1, predicted)).transpose(0, 1).flatten(0, 1).contiguous()


def _adaptable(base: TorchFile) -> set[str]:
    """The keys of the LoRA weights that a model file has or could have."""
    stems = [key.removesuffix("weight") for key in base.tensors if key.endswith(".weight")]
    keys = {f"{stem}{part}" for stem in stems for part in ("lora_A", "lora_B")}
    return {key for key in keys if ADAPTED.search(key)}
