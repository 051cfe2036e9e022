"""Attention over frames with learnt relative positions, on a line or on a circle."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from .lower import SharpLinear

Features = Float[Tensor, "batch frame channel"]
Bias = Float[Tensor, "head frame frame"]


def distances(frames: int, *, circular: bool = False, device: torch.device | None = None) -> Int[Tensor, "frame frame"]:
    """Key position minus query position; on a circle the shorter way round."""
    places = torch.arange(frames, device=device)
    ahead = places[None, :] - places[:, None]
    return (ahead + frames // 2) % frames - frames // 2 if circular else ahead


def buckets(distance: Int[Tensor, "..."], count: int, furthest: int) -> Int[Tensor, "..."]:
    """Bucket numbers of signed distances: exact when near, logarithmic up to `furthest`, then one for all.

    Source: T5, arXiv:1910.10683, section 2.1; the logarithm is taken in float32.
    """
    half = count // 2
    near = half // 2
    size = distance.abs()
    ratio = torch.log(size.float().clamp_min(1) / near) / math.log(furthest / near)
    far = (near + (ratio * (half - near)).long()).clamp_max(half - 1)
    return torch.where(distance > 0, half, 0) + torch.where(size < near, size, far)


class RelativeBias(nn.Module):
    """A learnt attention bias for every head and bucket of distance."""

    def __init__(self, heads: int, count: int, furthest: int) -> None:
        super().__init__()
        self.furthest = furthest
        self.table = nn.Embedding(count, heads)

    def forward(self, frames: int, *, circular: bool) -> Bias:
        ahead = distances(frames, circular=circular, device=self.table.weight.device)
        return self.table(buckets(ahead, self.table.num_embeddings, self.furthest)).permute(2, 0, 1).contiguous()


class Attention(nn.Module):
    """Multi-head self-attention without biases; a relative bias is added to the scaled scores."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = SharpLinear(width, width, bias=False)

    def forward(self, x: Features, bias: Bias) -> Features:
        q, k, v = (f(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.query, self.key, self.value))
        drop = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None].to(q.dtype), dropout_p=drop)
        return self.out(mixed.transpose(1, 2).flatten(2))
