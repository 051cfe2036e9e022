"""The masked model: given a grid with hidden cells, how likely is each token in each cell?

One class; the coarse model and the fine one are two configurations. The published VampNet network
(arXiv:2307.04686) is another.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .config import config, knob
from .errors import ConfigError
from .nn.transformer import Transformer
from .types import Codes, Mask


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

    def __init__(self, settings: LMConfig) -> None:
        super().__init__()
        self.config = c = settings
        self.register_buffer("vectors", torch.zeros(c.codebooks, c.vocabulary, c.dim))
        self.hidden = nn.Parameter(torch.randn(c.codebooks, c.dim))
        self.enter = nn.Linear(c.codebooks * c.dim, c.width)
        self.transformer = Transformer(c.width, c.layers, c.heads, c.dropout, c.buckets, c.furthest)
        self.classify = nn.Linear(c.width, c.predicted * c.vocabulary)

    def forward(
        self, codes: Codes, mask: Mask, *, circular: bool = False
    ) -> Float[Tensor, "batch predicted frame vocab"]:
        """Logits of shape (batch, predicted codebook, frame, vocabulary)."""
        features = self.transformer(self.embed(codes, mask), circular=circular)
        return self.classify(features).unflatten(-1, (self.config.predicted, -1)).transpose(1, 2)

    def embed(self, codes: Codes, mask: Mask) -> Float[Tensor, "batch frame channel"]:
        """Features of every frame before the transformer."""
        looked_up = torch.stack([F.embedding(c, v) for c, v in zip(codes.unbind(1), self.vectors, strict=True)], dim=2)
        cells = torch.where(mask.transpose(1, 2)[..., None], self.hidden, looked_up)
        return self.enter(cells.flatten(2)).float()
