"""How a codec's weights begin: as the best linear codec, or with those of a codec that is there."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from ..checkpoint import read_config
from ..codec import CodecConfig, SpectralCodec
from ..nn.describe import log_magnitude
from ..types import Signal
from .state import start_from

SPOKEN, ROOM = 1.5, 2


def begin(codec: SpectralCodec, checkpoint: str, signal: Signal) -> None:
    """Give a new codec its first weights: for `signal`, or those of a checkpoint, which may be one without phases.

    Then its codebooks from `phased_from` on move up by two, and the two that come free are made for phases: with them
    tones have their pitch from the first step on, and what the others learnt is not lost.

    Raises:
        What `start_from` raises.
    """
    c = codec.config
    found = read_config(Path(checkpoint), CodecConfig) if checkpoint else None
    if found is None:
        align(codec, signal)
    elif not c.phased or found.phased:
        start_from(checkpoint, codec, c)
    else:
        old = SpectralCodec(replace(c, phased=0, phased_from=found.phased_from))
        start_from(checkpoint, old, old.config)
        _begin_phases(codec, old, signal)


@torch.no_grad()
def _begin_phases(codec: SpectralCodec, old: SpectralCodec, signal: Signal) -> None:
    _ = codec.load_state_dict(old.state_dict(), strict=False)
    align_phases(codec, signal)
    generator, first = torch.Generator().manual_seed(0), codec.config.phased_from
    levels = codec.quantizer.levels
    for level, before in zip(levels[first + ROOM :], old.quantizer.levels[first:], strict=False):
        _ = level.load_state_dict(before.state_dict())
    left = codec.phases(codec.spectra(signal))
    assert left is not None
    for level in levels[first : first + ROOM]:
        _ = level.usage.zero_()
        level.settle(left, 1.0, generator)
        left = left - level.value(level.nearest(level.down(left)))


@torch.no_grad()
def align(codec: SpectralCodec, signal: Signal) -> None:
    """Start from the best linear codec for `signal`; done once, before training.

    Features become the principal components of log magnitudes in bands, and magnitudes their regression on the
    features; the networks add nothing at first and learn what is missing. From random weights they learn
    loudness and tilt first, which drown all else.
    """
    level, c = log_magnitude(codec.spectra(signal)), codec.config
    last = codec.encoder[-1]
    assert isinstance(last, nn.Linear)
    for part in (last.weight, last.bias, codec.head.weight[: c.size // 2 + 1], codec.head.bias[: c.size // 2 + 1]):
        _ = part.zero_()
    bands = (level @ codec.bands).reshape(-1, codec.shape_in.in_features)
    mean = bands.mean(0)
    directions = torch.linalg.svd(bands - mean, full_matrices=False)[2][: c.slow_in]
    _ = codec.shape_in.weight.zero_()[: len(directions)].copy_(directions)
    _ = codec.shape_in.bias.copy_(-(codec.shape_in.weight @ mean))
    features = codec.shape(level).flatten(0, 1)
    levels = level.reshape(len(features), -1)
    ridge = torch.eye(c.slow_in) * (1e-3 * len(features))
    weights = torch.linalg.solve(features.T @ features + ridge, features.T @ (levels - levels.mean(0)))
    _ = codec.shape_out.part.weight.copy_(weights.T)
    _ = codec.shape_out.part.bias.copy_(levels.mean(0))
    if c.phased:
        align_phases(codec, signal)


@torch.no_grad()
def align_phases(codec: SpectralCodec, signal: Signal) -> None:
    """Let phases join along the directions in which features of `signal` say least, and be read from there.

    There the networks see the mean of features at first. The lowest 8 bins weigh most, 230 Hz in the default codec:
    of them few bits tell most.
    """
    c, features = codec.config, codec.analyse(signal).flatten(0, 1)
    mean, first = features.mean(0), codec.decoder[0]
    assert isinstance(first, nn.Linear)
    weight = SPOKEN * (8 / torch.arange(1, c.phased + 1).repeat(2 * c.factor)).clamp_max(1)
    basis = torch.linalg.svd(features - mean, full_matrices=False)[2].flip(0)[: len(weight)]
    weight = weight[: len(basis), None]
    for part in (first, codec.shape_out.part):
        blind = part.weight @ basis.T @ basis
        _ = part.bias.add_(blind @ mean)
        _ = part.weight.sub_(blind)
    for part in (codec.phase_in.weight, *codec.phase_out.parameters(), *codec.phase_head.parameters()):
        _ = part.zero_()
    _ = codec.phase_in.weight[:, : len(basis)].copy_((weight * basis).T)
    _ = codec.phase_out.part.weight[: len(basis)].copy_(2 / weight * basis)
    _ = codec.phase_out.part.bias.copy_(-(codec.phase_out.part.weight @ mean))
