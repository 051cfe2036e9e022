"""The masked model: given a grid with hidden cells, how likely is each token in each cell?

One class; the coarse model and the fine one are two configurations. The published VampNet network
(arXiv:2307.04686) is another.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .config import config, knob
from .errors import ConfigError
from .nn.attend import Bias
from .nn.lower import Linear, lower
from .nn.transformer import Transformer
from .types import Codes, HiddenLogits, Mask


@config
class LMConfig:
    """Sizes of a masked model. It sees `codebooks` codebooks and predicts all but the lowest `given`."""

    codebooks: int = knob("codebooks that it sees, coarsest first", default=4, low=1)
    given: int = knob("lowest codebooks that it only reads", default=0, low=0)
    vocabulary: int = knob("values a token can take", default=1024, low=2)
    dim: int = knob("dimension of the codec's code vectors", default=8, low=1)
    width: int = knob("features of a frame", default=320, low=1)
    layers: int = knob("layers", default=6, low=1)
    heads: int = knob("attention heads; divides the width", default=5, low=1)
    dropout: float = knob("share of features dropped in training", default=0.0, low=0, high=0.9)
    buckets: int = knob("buckets of relative distance", default=32, low=4)
    furthest: int = knob("distance from which all are alike", default=128, unit="frames", low=2)

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ConfigError(f"LMConfig.heads must divide width ({self.width}), got {self.heads}")
        if self.given >= self.codebooks:
            raise ConfigError(f"LMConfig.given must be below codebooks ({self.codebooks}), got {self.given}")

    @property
    def predicted(self) -> int:
        """How many codebooks it predicts."""
        return self.codebooks - self.given


class MaskedModel(nn.Module):
    """Logits for every cell of the predicted codebooks; what lies under the mask is never looked at.

    A frame's features are a projection of the codec's own code vectors, with a learnt vector for hidden cells.
    """

    vectors: Tensor
    precision: str = "fp32"

    def __init__(self, settings: LMConfig) -> None:
        super().__init__()
        self.config = c = settings
        self.register_buffer("vectors", torch.zeros(c.codebooks, c.vocabulary, c.dim))
        self.hidden = nn.Parameter(torch.randn(c.codebooks, c.dim))
        self.enter = nn.Linear(c.codebooks * c.dim, c.width)
        self.transformer = Transformer(c.width, c.layers, c.heads, c.dropout, c.buckets, c.furthest)
        self.classify = Linear(c.width, c.predicted * c.vocabulary)

    def forward(
        self, codes: Codes, mask: Mask, *, circular: bool = False
    ) -> Float[Tensor, "batch predicted frame vocab"]:
        """Logits of shape (batch, predicted codebook, frame, vocabulary)."""
        with self._computing(codes.device):
            features = self.transformer(self.embed(codes, mask), self.bias(codes.shape[-1], circular=circular))
            logits = self.classify(features).unflatten(-1, (self.config.predicted, -1)).transpose(1, 2)
        return logits if self.precision == "fp32" else logits.float()

    def bias(self, frames: int, *, circular: bool = False) -> Bias:
        """The relative bias of attention over so many frames, which is the same in every pass."""
        bias = self.transformer.bias(frames, circular=circular)
        return bias.bfloat16() if self.precision == "bf16" else bias

    def hidden_logits(self, codes: Codes, mask: Mask, bias: Bias) -> HiddenLogits:
        """`forward` for the hidden cells of the predicted codebooks alone; `bias` is that of so many frames."""
        c = self.config
        wanted = mask[:, c.given :].flatten(0, 1)
        counts = wanted.sum(1).tolist()
        logits = torch.empty(sum(counts), c.vocabulary, device=codes.device)
        with self._computing(codes.device):
            features = self.transformer(self.embed(codes, mask), bias)
            for number, (rows, hidden) in enumerate(zip(logits.split(counts), wanted, strict=True)):
                item, level = divmod(number, c.predicted)
                part = slice(level * c.vocabulary, (level + 1) * c.vocabulary)
                _ = rows.copy_(self.classify(features[item, hidden], part))
        return logits

    def lower(self, precision: str) -> None:
        """Compute in another precision from now on: "bf16" or "int8", which only a CPU has.

        In int8 what goes in and what comes out is unrounded: it is little work, and decides most. There is no way back.

        Raises:
            ConfigError: there is no such precision.
        """
        lower(self.transformer, precision)
        if precision == "bf16":
            _ = self.classify.bfloat16()
        self.precision = precision

    def _computing(self, device: torch.device) -> AbstractContextManager[object]:
        return torch.autocast(device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    def embed(self, codes: Codes, mask: Mask) -> Float[Tensor, "batch frame channel"]:
        """Features of every frame before the transformer."""
        looked_up = torch.stack([F.embedding(c, v) for c, v in zip(codes.unbind(1), self.vectors, strict=True)], dim=2)
        cells = torch.where(mask.transpose(1, 2)[..., None], self.hidden, looked_up)
        return self.enter(cells.flatten(2)).float()
