"""The published networks with the work that the published code does in them, as a yardstick for speed.

They compute what ours compute, from the same weights, in the published order of operations. A pass of a masked model
joins each codebook's table with its hidden vector, projects the vectors of every frame, works out the relative bias
anew, holds all scores of attention, and asks for the logits of every cell. The codec takes a sound as a whole, and
normalises the weights of each convolution when it is used. Nothing makes music with these.

Source: VampNet, arXiv:2307.04686, section 3, and the code published with it.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..lm import MaskedModel
from ..nn.attend import Attention
from ..nn.lac import Fusion, ResidualUnit, Snake
from ..nn.transformer import EPSILON, GatedGELU, Layer
from ..types import Codes, Mask

Features = Float[Tensor, "batch frame channel"]
Scores = Float[Tensor, "batch head frame frame"]


def published_pass(model: MaskedModel, codes: Codes, mask: Mask) -> Float[Tensor, "batch predicted frame vocab"]:
    """The logits of `model`, computed the published way."""
    x = _embedded(model, codes, mask)
    bias = model.transformer.bias(x.shape[1], circular=False)[None]
    there = torch.ones(x.shape[:2], dtype=torch.bool)
    for layer in model.transformer.layers:
        assert isinstance(layer, Layer)
        x = x + _attended(layer.attention, _normed(x, layer.norm_attention.weight), bias, there)
        x = x + _fed(layer.feed, _normed(x, layer.norm_feed.weight))
    channels = _normed(x, model.transformer.norm.weight).transpose(1, 2)
    weight = model.classify.weight
    size = weight.norm(dim=1, keepdim=True)
    logits = F.conv1d(channels, (weight * (size / weight.norm(dim=1, keepdim=True)))[..., None], model.classify.bias)
    return logits.unflatten(1, (model.config.predicted, -1)).permute(0, 1, 3, 2)


def _embedded(model: MaskedModel, codes: Codes, mask: Mask) -> Features:
    found = []
    for number, level in enumerate(codes.masked_fill(mask, model.config.vocabulary).unbind(1)):
        table = torch.cat([model.vectors[number], model.hidden[number, None]])
        found.append(F.embedding(level, table).transpose(1, 2))
    return F.conv1d(torch.cat(found, dim=1), model.enter.weight[..., None], model.enter.bias).transpose(1, 2)


def _normed(x: Features, weight: Float[Tensor, " channel"]) -> Features:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON) * weight


def _attended(attention: Attention, x: Features, bias: Scores, there: Bool[Tensor, "batch frame"]) -> Features:
    q, k, v = (
        part(x).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
        for part in (attention.query, attention.key, attention.value)
    )
    scores = torch.einsum("hblk,hbtk->hblt", q, k) / math.sqrt(q.shape[-1])
    scores += bias
    scores = scores.masked_fill(~there[:, None, None], -1e9)
    mixed = torch.einsum("hblt,hbtv->hblv", scores.softmax(-1), v)
    return attention.out(mixed.transpose(1, 2).flatten(2))


def _fed(feed: GatedGELU, x: Features) -> Features:
    value, gate = feed.widen(x).chunk(2, dim=-1)
    bent = 0.5 * gate * (1.0 + torch.tanh(math.sqrt(2 / math.pi) * (gate + 0.044715 * torch.pow(gate, 3.0))))
    return feed.narrow(value * bent)


def published_wave(part: nn.Module, x: Float[Tensor, "batch channel step"]) -> Float[Tensor, "batch outs longer"]:
    """What the encoder or decoder of VampNet's codec, or any part of it, makes of a whole sound."""
    if isinstance(part, ResidualUnit):
        return x + published_wave(part.layer, x)
    if isinstance(part, Fusion):
        total = published_wave(part.branches[0], x)
        for branch in part.branches[1:]:
            total = total + published_wave(branch, x)
        return total / len(part.branches)
    if isinstance(part, nn.Sequential):
        for each in part:
            x = published_wave(each, x)
        return x
    if isinstance(part, Snake):
        return x + (part.alpha + 1e-9).reciprocal() * torch.sin(part.alpha * x).pow(2)
    if isinstance(part, nn.ConvTranspose1d):
        return F.conv_transpose1d(x, _renormed(part), part.bias, part.stride, int(part.padding[0]))
    if isinstance(part, nn.Conv1d):
        return F.conv1d(x, _renormed(part), part.bias, part.stride, part.padding, part.dilation)
    return part(x)


def _renormed(conv: nn.Conv1d | nn.ConvTranspose1d) -> Float[Tensor, "outs ins kernel"]:
    size = conv.weight.norm(dim=(1, 2), keepdim=True)
    return conv.weight * (size / conv.weight.norm(dim=(1, 2), keepdim=True))
