"""The published codec keeps time exactly, however a sound is cut, and states its context truly."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from ostinato.circle import decode_circle, encode_circle
from ostinato.codec import Codec
from ostinato.errors import AudioError, ConfigError
from ostinato.lac import LAC, LACConfig
from ostinato.nn import lac
from ostinato.nn.lac import Fusion, Snake, decoder_reach, encoder_reach
from ostinato.types import Grid

GRID = Grid(sample_rate=800, hop=8, codebooks=3, vocabulary=16)
CONFIG = LACConfig(grid=GRID, width_in=4, strides_in=(2, 4), width_out=16, strides_out=(4, 2), dim=4, window=24)


def noise(samples: int, rows: int = 1) -> torch.Tensor:
    return torch.randn(rows, samples, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def codec() -> LAC:
    with torch.random.fork_rng():
        _ = torch.manual_seed(0)
        made = LAC(CONFIG)
    for name, parameter in made.named_parameters():
        if name.endswith("weight"):
            parameter.data *= 2
    return made.eval().requires_grad_(False)


def test_it_is_a_codec(codec: LAC):
    assert isinstance(codec, Codec)


@pytest.mark.parametrize("samples", [1, 7, 8, 9, 191, 192, 193, 1000])
def test_codes_cover_the_sound_and_the_sound_comes_back_in_its_length(codec: LAC, samples: int):
    codes = codec.encode(noise(samples, 2))
    assert codes.shape == (2, 3, GRID.frames_of(samples))
    assert codec.decode(codes, samples).shape == (2, samples)
    assert codec.decode(codes[:, :1], samples).shape == (2, samples)


@pytest.mark.parametrize("block", [1, 8, 77, 192, 500, 3000])
def test_codes_and_sound_do_not_depend_on_how_they_were_cut(codec: LAC, block: int):
    signal = noise(2500)
    codes = codec.encode(signal)
    assert torch.equal(torch.cat(list(codec.encode_blocks(signal.split(block, -1))), -1), codes)
    parts = list(codec.decode_blocks(codes.split(max(1, block // 8), -1), 2500))
    assert torch.equal(torch.cat(parts, -1), codec.decode(codes, 2500))


@pytest.mark.parametrize("samples", [100, 192, 193, 900, 2500])
def test_windows_give_what_the_whole_sound_gives(codec: LAC, samples: int):
    signal = noise(samples)
    whole = codec.quantizer.encode(codec.analyse(signal))
    assert torch.equal(codec.encode(signal), whole)
    wave = codec.render(codec.quantizer.decode(whole))[:, :samples]
    assert torch.allclose(codec.decode(whole, samples), wave, atol=1e-5)


def test_a_row_is_the_same_alone_and_in_a_batch(codec: LAC):
    signal = noise(900, 3)
    codes = codec.encode(signal)
    assert torch.equal(codes[1:2], codec.encode(signal[1:2]))
    assert torch.equal(codec.decode(codes, 900)[1:2], codec.decode(codes[1:2], 900))


def reached(make: "torch.nn.Module", count: int, channels: int, at: slice, where: int) -> tuple[int, int]:
    """First and last step of the input whose change shows in the output at `at`, counted from `where`."""
    x = torch.zeros(1, channels, count, dtype=torch.float64, requires_grad=True)
    out = make.double()(x + 0.1)[..., at].square().sum()
    out.backward()
    assert x.grad is not None
    steps = x.grad[0].abs().sum(0).nonzero()[:, 0]
    return int(steps[0]) - where, int(steps[-1]) - where


def test_the_encoder_reaches_as_far_as_stated(codec: LAC):
    made = LAC(CONFIG).encoder
    assert reached(made, 8 * 101, 1, slice(50, 51), 50 * 8) == encoder_reach(CONFIG.strides_in)


def test_the_decoder_reaches_as_far_as_stated(codec: LAC):
    made = LAC(CONFIG).decoder
    assert reached(made, 101, CONFIG.features, slice(50 * 8, 51 * 8), 50) == decoder_reach(CONFIG.strides_out)


def test_the_context_covers_the_reach_and_no_frame_more(codec: LAC):
    first, last = encoder_reach(CONFIG.strides_in)
    assert CONFIG.context_in == max(-(first // 8), last // 8)
    assert CONFIG.context_out == max(-decoder_reach(CONFIG.strides_out)[0], decoder_reach(CONFIG.strides_out)[1])


def test_a_loop_turned_by_frames_has_its_codes_turned(codec: LAC):
    signal = noise(60 * 8)
    codes = encode_circle(codec, signal, 60)
    assert torch.equal(encode_circle(codec, signal.roll(7 * 8, -1), 60), codes.roll(7, -1))
    assert torch.allclose(
        decode_circle(codec, codes.roll(7, -1), 480), decode_circle(codec, codes, 480).roll(56, -1), atol=1e-5
    )


def test_snake_adds_a_wave_of_its_own_frequency():
    snake = Snake(2).requires_grad_(False)
    snake.alpha[0, 1, 0] = 3.0
    x = torch.linspace(-2, 2, 9).expand(1, 2, 9)
    wanted = torch.stack([x[0, 0] + x[0, 0].sin() ** 2, x[0, 1] + (3 * x[0, 1]).sin() ** 2 / 3])
    assert torch.allclose(snake(x)[0], wanted, atol=1e-6)


def test_a_fusion_is_the_mean_of_its_branches():
    fusion, x = Fusion(4).requires_grad_(False), noise(40).reshape(1, 4, 10)
    parts = torch.stack([branch(x) for branch in fusion.branches])
    assert torch.allclose(fusion(x), parts.mean(0), atol=1e-6)


def test_a_later_level_codes_what_the_ones_before_left(codec: LAC):
    signal = noise(800)
    features, codes = codec.analyse(signal), codec.encode(signal)
    left = features - codec.quantizer.decode(codes[:, :1])
    assert torch.equal(codec.quantizer.levels[1].nearest(codec.quantizer.levels[1].down(left)), codes[:, 1])


def test_codes_that_end_before_the_sound_does_are_refused(codec: LAC):
    with pytest.raises(AudioError, match="80 samples, fewer than the 90"):
        _ = codec.decode(codec.encode(noise(80)), 90)


def test_lookup_goes_by_direction_and_not_by_length(codec: LAC):
    level = codec.quantizer.levels[0]
    vectors = noise(CONFIG.dim * 50).view(1, 50, CONFIG.dim)
    assert torch.equal(level.nearest(vectors), level.nearest(vectors * 7.5))


def test_sizes_that_cannot_be_are_refused():
    about = {"grid": GRID, "width_in": 4, "width_out": 16}
    with pytest.raises(ConfigError, match=r"strides_in must multiply to grid.hop \(8\), got \(2, 2\)"):
        _ = LACConfig(**about, strides_in=(2, 2), strides_out=(4, 2))
    with pytest.raises(ConfigError, match=r"strides_out must be even and at least 2, got \(8, 1\)"):
        _ = LACConfig(**about, strides_in=(2, 4), strides_out=(8, 1))
    with pytest.raises(ConfigError, match="width_out must halve 2 times, got 18"):
        _ = LACConfig(**(about | {"width_out": 18}), strides_in=(2, 4), strides_out=(4, 2))


@pytest.mark.parametrize(("cached", "at_once"), [(1, 1), (40, 3), (160, 1), (700, 2)])
def test_stages_give_piece_by_piece_what_they_give_of_a_whole_sound(
    codec: LAC, monkeypatch: pytest.MonkeyPatch, cached: int, at_once: int
):
    monkeypatch.setattr(lac, "CACHED", cached)
    monkeypatch.setattr(lac, "WORTH", 0)
    exact, features = deepcopy(codec).double(), noise(CONFIG.features * 130).view(1, CONFIG.features, 130)
    for stage in (*exact.encoder.stages, *exact.decoder.stages):
        stage.at_once = at_once
    for layers, x in ((exact.encoder, noise(8 * 130)[None]), (exact.decoder, features)):
        whole = nn.Sequential(*layers)(x.double())
        assert torch.allclose(layers(x.double()), whole, rtol=0, atol=1e-11 * float(whole.abs().max()))
