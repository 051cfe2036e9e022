"""Whole numbers as text: so many bits each, without gaps, in base64. The same numbers are the same text everywhere."""

import base64
import binascii
import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from .errors import AudioError

AT_ONCE = 1 << 16
WIDEST = 31


def pack(values: Int[Tensor, "*shape"], bits: int) -> str:
    """The text of numbers from 0 to `2**bits - 1`, highest bit first; `unpack` gives them back.

    Raises:
        AudioError: `bits` is not 1 to 31, or a number does not fit into it.
    """
    _check_bits(bits)
    flat = values.reshape(-1)
    if flat.numel() and not 0 <= int(flat.min()) <= int(flat.max()) < 2**bits:
        raise AudioError(f"numbers of {bits} bits go to {2**bits - 1}, got {int(flat.min())} to {int(flat.max())}")
    parts = []
    for part in flat.split(AT_ONCE):
        octets = part.numpy(force=True).astype(">u4").view(np.uint8).reshape(-1, 4)
        parts.append(np.packbits(np.unpackbits(octets, axis=1)[:, 32 - bits :].reshape(-1)).tobytes())
    return base64.b64encode(b"".join(parts)).decode()


def unpack(text: str, shape: Sequence[int], bits: int) -> Int[Tensor, "*shape"]:
    """The numbers that `pack` made `text` of.

    Raises:
        AudioError: `bits` is not 1 to 31, or the text does not hold so many numbers.
    """
    _check_bits(bits)
    try:
        data = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    except (binascii.Error, ValueError):
        raise AudioError(f"packed numbers are base64, got '{text[:20]}'") from None
    count = math.prod(shape)
    if len(data) != -(-count * bits // 8):
        raise AudioError(f"{count} numbers of {bits} bits take {-(-count * bits // 8)} bytes, got {len(data)}")
    flat = np.empty(count, np.int32)
    for start in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - start)
        first = start * bits // 8
        drawn = np.unpackbits(data[first : first - (-size * bits // 8)], count=size * bits).reshape(size, bits)
        wide = np.zeros((size, 32), np.uint8)
        wide[:, 32 - bits :] = drawn
        flat[start : start + size] = np.packbits(wide, axis=1).view(">u4")[:, 0]
    return torch.from_numpy(flat).reshape(tuple(shape))


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= WIDEST:
        raise AudioError(f"packed numbers have 1 to {WIDEST} bits, got {bits}")
