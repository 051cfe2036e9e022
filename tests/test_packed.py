"""Whole numbers as text: nothing is lost, nothing is wasted, and what is damaged is refused."""

import pytest
import torch

from ostinato.errors import AudioError
from ostinato.packed import AT_ONCE, pack, unpack


@pytest.mark.parametrize("bits", [1, 3, 10, 16, 31])
@pytest.mark.parametrize("shape", [(0,), (1,), (2, 3, 7), (2, AT_ONCE // 2 + 5)])
def test_what_is_packed_is_unpacked(bits: int, shape: tuple[int, ...]):
    values = torch.randint(2**bits, shape, generator=torch.Generator().manual_seed(bits))
    again = unpack(pack(values, bits), shape, bits)
    assert torch.equal(again.long(), values)


def test_no_bit_is_wasted_and_the_highest_comes_first():
    assert pack(torch.tensor([0b1100000000, 0b0000000011, 0b1111111111, 0]), 10) == "wAA//AA="
    assert len(pack(torch.zeros(2, 12, 574, dtype=torch.int64), 10)) == 4 * -(-2 * 12 * 574 * 10 // 24)


def test_what_does_not_fit_is_refused_by_its_value():
    with pytest.raises(AudioError, match="numbers of 3 bits go to 7, got 0 to 8"):
        _ = pack(torch.tensor([0, 8]), 3)
    with pytest.raises(AudioError, match="got -1 to 2"):
        _ = pack(torch.tensor([-1, 2]), 3)
    for bits in (0, 32):
        with pytest.raises(AudioError, match=f"1 to 31 bits, got {bits}"):
            _ = pack(torch.tensor([0]), bits)


def test_a_damaged_text_is_refused():
    text = pack(torch.arange(100), 7)
    with pytest.raises(AudioError, match="101 numbers of 7 bits take 89 bytes, got 88"):
        _ = unpack(text, (101,), 7)
    with pytest.raises(AudioError, match="base64"):
        _ = unpack(f"*{text[1:]}", (100,), 7)
