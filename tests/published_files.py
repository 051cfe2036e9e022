"""Tiny files in VampNet's published format, random, written key by key as the published code names its layers."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

CODEC = {
    "encoder_dim": 4,
    "encoder_rates": [2, 4],
    "decoder_dim": 16,
    "decoder_rates": [4, 2],
    "n_codebooks": 5,
    "codebook_size": 16,
    "codebook_dim": 4,
    "quantizer_dropout": False,
    "sample_rate": 8000,
}
COARSE = {
    "n_heads": 2,
    "n_layers": 2,
    "r_cond_dim": 0,
    "n_codebooks": 4,
    "n_conditioning_codebooks": 0,
    "latent_dim": 4,
    "embedding_dim": 16,
    "vocab_size": 16,
    "flash_attn": False,
    "noise_mode": "mask",
    "dropout": 0.1,
    "ctrl_dims": None,
}
FINE = COARSE | {"n_layers": 1, "n_codebooks": 5, "n_conditioning_codebooks": 4}
RANK = 3

Tensors = dict[str, Tensor]


class Random:
    """Seeded tensors by name."""

    def __init__(self, seed: int) -> None:
        self.chance = torch.Generator().manual_seed(seed)
        self.made: Tensors = {}

    def put(self, key: str, *shape: int) -> None:
        self.made[key] = torch.randn(*shape, generator=self.chance) * 0.5

    def normed(self, stem: str, *shape: int, bias: int) -> None:
        """A layer with weight normalisation."""
        self.put(f"{stem}.bias", bias)
        self.put(f"{stem}.weight_g", shape[0], *[1] * (len(shape) - 1))
        self.put(f"{stem}.weight_v", *shape)

    def conv(self, stem: str, ins: int, outs: int, kernel: int) -> None:
        self.normed(stem, outs, ins, kernel, bias=outs)

    def linear(self, stem: str, ins: int, outs: int, lora: bool = True) -> None:
        self.put(f"{stem}.weight", outs, ins)
        if lora:
            self.put(f"{stem}.lora_A", RANK, ins)
            self.put(f"{stem}.lora_B", outs, RANK)


def codec_tensors(seed: int = 0, said: dict[str, Any] = CODEC) -> Tensors:
    made, width = Random(seed), said["encoder_dim"]
    made.conv("encoder.block.0", 1, width, 7)
    for number, stride in enumerate(said["encoder_rates"], start=1):
        for unit in range(3):
            stem = f"encoder.block.{number}.block.{unit}.block"
            made.put(f"{stem}.0.alpha", 1, width, 1)
            made.conv(f"{stem}.1", width, width, 7)
            made.put(f"{stem}.2.alpha", 1, width, 1)
            made.conv(f"{stem}.3", width, width, 1)
        made.put(f"encoder.block.{number}.block.3.alpha", 1, width, 1)
        made.conv(f"encoder.block.{number}.block.4", width, 2 * width, 2 * stride)
        width *= 2
    last = len(said["encoder_rates"]) + 1
    made.put(f"encoder.block.{last}.alpha", 1, width, 1)
    made.conv(f"encoder.block.{last + 1}", width, width, 3)
    for level in range(said["n_codebooks"]):
        stem = f"quantizer.quantizers.{level}"
        made.conv(f"{stem}.in_proj", width, said["codebook_dim"], 1)
        made.conv(f"{stem}.out_proj", said["codebook_dim"], width, 1)
        made.put(f"{stem}.codebook.weight", said["codebook_size"], said["codebook_dim"])
    decoder_tensors(made, width, said)
    return {key: value.abs() + 0.1 if key.endswith("alpha") else value for key, value in made.made.items()}


def decoder_tensors(made: Random, features: int, said: dict[str, Any]) -> None:
    width = said["decoder_dim"]
    made.conv("decoder.model.0", features, width, 7)
    for number, stride in enumerate(said["decoder_rates"], start=1):
        stem = f"decoder.model.{number}.block"
        made.put(f"{stem}.0.alpha", 1, width, 1)
        made.normed(f"{stem}.1", width, width // 2, 2 * stride, bias=width // 2)
        width //= 2
        for branch, kernel in enumerate((3, 7, 11)):
            for unit in range(3):
                inner = f"{stem}.2.mrf_blocks.{branch}.block.{unit}.layer"
                made.put(f"{inner}.0.alpha", 1, width, 1)
                made.conv(f"{inner}.1", width, width, kernel)
                made.put(f"{inner}.2.alpha", 1, width, 1)
                made.conv(f"{inner}.3", width, width, kernel)
    last = len(said["decoder_rates"]) + 1
    made.put(f"decoder.model.{last}.alpha", 1, width, 1)
    made.conv(f"decoder.model.{last + 1}", width, 1, 7)


def model_tensors(said: dict[str, Any], seed: int = 0) -> Tensors:
    made, width = Random(seed), said["embedding_dim"]
    made.put("embedding.special.MASK", said["n_codebooks"], said["latent_dim"])
    made.put("embedding.out_proj.weight", width, said["n_codebooks"] * said["latent_dim"], 1)
    made.put("embedding.out_proj.bias", width)
    for layer in range(said["n_layers"]):
        stem = f"transformer.layers.{layer}"
        made.put(f"{stem}.norm_1.weight", width)
        for name in ("w_qs", "w_ks", "w_vs", "fc"):
            made.linear(f"{stem}.self_attn.{name}", width, width, lora=name != "w_ks")
        if layer == 0:
            made.put(f"{stem}.self_attn.relative_attention_bias.weight", 32, said["n_heads"])
        made.put(f"{stem}.norm_3.weight", width)
        made.linear(f"{stem}.feed_forward.w_1", width, 4 * width)
        made.linear(f"{stem}.feed_forward.w_2", 2 * width, width)
    made.put("transformer.norm.weight", width)
    rows = said["vocab_size"] * (said["n_codebooks"] - said["n_conditioning_codebooks"])
    made.conv("classifier.layers.0", width, rows, 1)
    return made.made


def lora_of(tensors: Tensors) -> Tensors:
    return {key: value for key, value in tensors.items() if "lora_" in key}


def write(path: Path, tensors: Tensors, said: dict[str, Any] | None) -> Path:
    """A file as the published code saves it; without settings, bare tensors."""
    torch.save(tensors if said is None else {"state_dict": tensors, "metadata": {"kwargs": said}}, path)
    return path


def write_all(folder: Path, seed: int = 0) -> dict[str, Path]:
    """`codec`, `coarse` and `fine` files, ready for `import_model`."""
    return {
        "codec": write(folder / "codec.pth", codec_tensors(seed), CODEC),
        "coarse": write(folder / "coarse.pth", model_tensors(COARSE, seed + 1), COARSE),
        "fine": write(folder / "c2f.pth", model_tensors(FINE, seed + 2), FINE),
    }
