"""A loop is coded as a circle: no frame is unlike another, and its length and pitch come back exactly."""

import math

import pytest
import torch

from ostinato.circle import decode_circle, encode_circle
from ostinato.codec import Codec, SpectralCodec
from ostinato.dsp import overlap_add
from ostinato.metrics import seam
from ostinato.nn.quantize import ResidualQuantizer
from ostinato.types import Codes, CodesStream, Grid, MeansStream, Signal, SignalStream
from tests import tiny

HOP = 768


def noise(samples: int, rows: int = 1) -> torch.Tensor:
    return torch.randn(rows, samples, generator=torch.Generator().manual_seed(1)) * 0.1


@pytest.fixture(scope="module")
def codec() -> SpectralCodec:
    return tiny.codec()


@pytest.mark.parametrize("samples", [1, 383, 767, 768, 20 * HOP - 380, 20 * HOP, 20 * HOP + 1, 31111])
def test_codes_are_the_nearest_number_of_frames_and_the_sound_comes_back_in_its_length(
    codec: SpectralCodec, samples: int
):
    frames = codec.grid.frames_around(samples, codec.period)
    assert codec.period == 2
    assert abs(frames - samples / HOP) <= 1 or frames == 2
    codes = encode_circle(codec, noise(samples, 2), frames)
    assert codes.shape == (2, 6, frames)
    back = decode_circle(codec, codes, samples)
    assert back.shape == (2, samples)
    assert bool(torch.isfinite(back).all())


@pytest.mark.parametrize("turn", [1, 7, -3, 33])
def test_a_circle_that_is_turned_by_frames_has_its_codes_and_its_sound_turned(codec: SpectralCodec, turn: int):
    signal = noise(40 * HOP)
    codes = encode_circle(codec, signal, 40)
    assert torch.equal(encode_circle(codec, signal.roll(turn * HOP, -1), 40), codes.roll(turn, -1))
    turn *= codec.period
    sound = decode_circle(codec, codes, 40 * HOP)
    torch.testing.assert_close(
        decode_circle(codec, codes.roll(turn, -1), 40 * HOP), sound.roll(turn * HOP, -1), atol=1e-5, rtol=0
    )


def test_what_comes_after_the_end_is_the_start_and_not_silence(codec: SpectralCodec):
    signal = noise(40 * HOP)
    line = codec.encode(signal)
    circle = encode_circle(codec, signal, 40)
    inner = slice(codec.reach, 40 - codec.reach)
    assert torch.equal(circle[..., inner], line[..., inner])
    assert not torch.equal(circle[..., -1], line[..., -1])
    assert not torch.equal(decode_circle(codec, circle, 40 * HOP)[:, :100], codec.decode(circle, 40 * HOP)[:, :100])


class Lapped:
    """A transparent codec: its codes are the samples under overlapping windows, in steps of 2^-14."""

    grid = Grid(codebooks=2 * HOP, vocabulary=1 << 16)
    reach = period = 1
    draws_phases = False
    quantizer = ResidualQuantizer(1, 1, 2, 1)
    window = torch.hann_window(2 * HOP).sqrt()

    def encode(self, signal: Signal) -> Codes:
        missing = -signal.shape[-1] % HOP
        padded = torch.nn.functional.pad(signal, (HOP // 2, HOP // 2 + missing))
        pieces = padded.unfold(-1, 2 * HOP, HOP) * self.window
        return ((pieces * (1 << 14)).round().long() + (1 << 15)).transpose(1, 2)

    def decode(self, codes: Codes, samples: int) -> Signal:
        pieces = (codes.transpose(1, 2) - (1 << 15)).float() / (1 << 14) * self.window
        return overlap_add(pieces, HOP)[:, HOP // 2 : HOP // 2 + samples]

    def encode_blocks(self, blocks: SignalStream) -> CodesStream:
        yield self.encode(torch.cat(list(blocks), -1))

    def decode_blocks(self, codes: CodesStream, samples: int) -> SignalStream:
        yield self.decode(torch.cat(list(codes), -1), samples)

    def decode_means(self, means: MeansStream, samples: int) -> SignalStream:
        raise NotImplementedError

    def vectors(self) -> torch.Tensor:
        return torch.zeros(1, 1, 1)


@pytest.mark.parametrize("samples", [20 * HOP, 20 * HOP + 300, 20 * HOP - 383, 3 * HOP + 380])
def test_a_tone_of_any_length_keeps_its_pitch_and_meets_itself_without_a_seam(samples: int):
    tone = 0.5 * torch.sin(2 * math.pi * 31 * torch.arange(samples) / samples)[None]
    lapped: Codec = Lapped()
    back = decode_circle(lapped, encode_circle(lapped, tone, lapped.grid.frames_around(samples)), samples)
    torch.testing.assert_close(back, tone, atol=2**-13, rtol=0)
    line = lapped.decode(lapped.encode(tone), samples)
    circle_seam, line_seam = (torch.stack(seam(each, [0], 44100, circular=True)) for each in (back, line))
    assert float(circle_seam.max()) < 2
    assert float(line_seam.max()) > 2 * float(circle_seam.max())
