"""The transformer that masked models are made of: RMS normalisation, relative attention, gated GELU."""

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .attend import Attention, Bias, RelativeBias
from .lower import SharpLinear

Features = Float[Tensor, "batch frame channel"]
EPSILON = 1e-6


class GatedGELU(nn.Module):
    """Feed-forward layer whose first half is gated by the GELU (tanh form) of its second (arXiv:2002.05202)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.widen = nn.Linear(width, 4 * width, bias=False)
        self.narrow = SharpLinear(2 * width, width, bias=False)

    def forward(self, x: Features) -> Features:
        value, gate = self.widen(x).chunk(2, dim=-1)
        return self.narrow(value * F.gelu(gate, approximate="tanh"))


class Layer(nn.Module):
    """Attention, then feed-forward, each on normalised input and added to it."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.RMSNorm(width, eps=EPSILON)
        self.attention = Attention(width, heads, dropout)
        self.norm_feed = nn.RMSNorm(width, eps=EPSILON)
        self.feed = GatedGELU(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Features, bias: Bias) -> Features:
        x = x + self.drop(self.attention(self.norm_attention(x), bias))
        return x + self.drop(self.feed(self.norm_feed(x)))


class Transformer(nn.Module):
    """Layers that share one relative bias, and a last normalisation.

    `run` computes what they do, if another runtime is to.
    """

    run: Callable[[Tensor, Tensor], Tensor] | None = None

    def __init__(self, width: int, layers: int, heads: int, dropout: float, count: int, furthest: int) -> None:
        super().__init__()
        self.bias = RelativeBias(heads, count, furthest)
        self.layers = nn.ModuleList(Layer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=EPSILON)

    def forward(self, x: Features, bias: Bias) -> Features:
        if self.run is not None:
            return self.run(x, bias)
        for layer in self.layers:
            x = layer(x, bias)
        return self.norm(x)
