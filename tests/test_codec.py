"""The codec keeps time exactly, however a sound is cut, and survives what sounds can be."""

import math
from dataclasses import replace

import pytest
import torch

from ostinato.codec import AUDIBLE, Codec, CodecConfig, SpectralCodec, gate
from ostinato.errors import AudioError, ConfigError
from ostinato.nn.quantize import VectorQuantizer
from ostinato.train.beginning import align_phases
from ostinato.types import Grid
from tests import tiny


def noise(samples: int, rows: int = 1) -> torch.Tensor:
    return torch.randn(rows, samples, generator=torch.Generator().manual_seed(1)) * 0.1


@pytest.fixture(scope="module")
def codec() -> SpectralCodec:
    return tiny.codec()


def test_the_default_is_a_codec(codec: SpectralCodec):
    assert isinstance(codec, Codec)


@pytest.mark.parametrize("samples", [1, 767, 768, 769, 2205, 30000])
def test_codes_cover_the_sound_and_the_sound_comes_back_in_its_length(codec: SpectralCodec, samples: int):
    codes = codec.encode(noise(samples, 2))
    assert codes.shape == (2, 6, codec.grid.frames_of(samples))
    assert 0 <= int(codes.min()) <= int(codes.max()) < 32
    assert codec.decode(codes, samples).shape == (2, samples)


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("block", [100, 768, 5000, 12345, 24000])
def test_codes_and_sound_do_not_depend_on_how_they_were_cut(codec: SpectralCodec, block: int, silent: bool):
    signal = noise(50000)
    signal[:, 10000:30000] *= not silent
    codes = codec.encode(signal)
    assert torch.equal(torch.cat(list(codec.encode_blocks(signal.split(block, -1))), -1), codes)
    parts = codec.decode_blocks(codes.split(max(1, block // 768), -1), 50000)
    assert torch.equal(torch.cat(list(parts), -1), codec.decode(codes, 50000))


def test_a_row_is_the_same_alone_and_in_a_batch(codec: SpectralCodec):
    signal = noise(20000, 3)
    assert torch.equal(codec.encode(signal)[1:2], codec.encode(signal[1:2]))


def test_no_frame_beyond_the_stated_context_matters(codec: SpectralCodec):
    reach = codec.config.context
    signal, other = noise(60 * 768), noise(60 * 768)
    other[:, : (30 - reach) * 768] = 0
    other[:, (31 + reach) * 768 :] = 0
    assert torch.allclose(codec.analyse(signal)[:, 30], codec.analyse(other)[:, 30], atol=1e-5)


def test_the_context_is_not_wider_than_needed(codec: SpectralCodec):
    signal, other = noise(60 * 768), noise(60 * 768)
    other[:, : 27 * 768] = 0
    assert not torch.allclose(codec.analyse(signal)[:, 30], codec.analyse(other)[:, 30], atol=1e-5)


@pytest.mark.parametrize(
    "signal",
    [torch.zeros(1, 5000), torch.ones(1, 5000), noise(5000) * 100, noise(2205)],
    ids=["silence", "constant", "clipping", "0.05 s"],
)
def test_odd_sounds_give_finite_sound(codec: SpectralCodec, signal: torch.Tensor):
    back = codec.decode(codec.encode(signal), signal.shape[-1])
    assert bool(torch.isfinite(back).all())


@pytest.mark.parametrize("samples", [1, 768, 5000, 40 * 768 + 5])
def test_silence_comes_back_as_silence(codec: SpectralCodec, samples: int):
    codes = codec.encode(torch.zeros(2, samples))
    assert bool((codes == codec.silence[:, None]).all())
    for books in (1, 6):
        assert not codec.decode(codes[:, :books], samples).any()


def test_a_frame_is_silent_where_its_coarsest_token_says_so_and_no_other_is_touched(codec: SpectralCodec):
    codes = torch.full((2, 6, 40), int(codec.silence[0] + 1) % 32)
    gap = codes.clone()
    gap[0, 0, 10:20] = codec.silence[0]
    gap[0, 0, 30] = codec.silence[0]
    frames = codec.decode(gap, 40 * 768).unflatten(1, (40, 768))
    silent = torch.zeros(2, 40, dtype=torch.bool)
    silent[0, 10:20] = silent[0, 30] = True
    assert not frames[0, 11:19].any()
    assert not frames[0, 30, 192:576].any()
    assert bool(frames[0, 30, :192].any())
    assert bool(frames[0, 30, 576:].any())
    assert not frames[0, 10, 192:].any()
    assert not frames[0, 19, :576].any()
    assert bool(frames[~silent].any(-1).all())
    assert torch.equal(frames[1], codec.decode(codes, 40 * 768)[1].unflatten(0, (40, 768)))


def test_what_can_be_heard_never_has_the_token_of_silence(codec: SpectralCodec):
    signal = noise(768 * 200) * torch.logspace(-5, 0, 768 * 200)
    nearest, codes = codec.quantizer.encode(codec.analyse(signal))[0, 0], codec.encode(signal)[0, 0]
    heard = signal.view(200, 768).abs().amax(-1) > AUDIBLE
    assert bool((nearest == codec.silence[0])[heard].any())
    assert not (codes == codec.silence[0])[heard].any()
    assert bool((codes == codec.silence[0])[~heard].any())
    assert torch.equal(codes[~heard], nearest[~heard])


def test_silence_is_reached_and_left_in_a_fade():
    shape = gate(torch.tensor([[True, False, False, True, False, True]]), 100)[0]
    assert bool((shape[:100] == 1).all())
    assert bool((shape[300:400] == 1).all())
    assert not shape[125:275].any()
    assert not shape[425:475].any()
    assert bool((shape[100:125].diff() < 0).all())
    assert bool((shape[275:300].diff() > 0).all())
    assert float(shape.diff().abs().max()) < 0.07


def test_a_sound_begins_and_ends_as_it_does_amid_silence(codec: SpectralCodec):
    codes = codec.encode(noise(40 * 768))
    quiet = codec.silence[None, :, None].expand(1, -1, 8)
    amid = codec.decode(torch.cat([quiet, codes, quiet], -1), 56 * 768)[:, 8 * 768 : 48 * 768]
    alone = codec.decode(codes, 40 * 768)
    torch.testing.assert_close(alone[:, 576:-576], amid[:, 576:-576], atol=1e-6, rtol=1e-4)


def test_fewer_codebooks_can_be_heard_alone(codec: SpectralCodec):
    codes = codec.encode(noise(20000))
    one, all_ = codec.decode(codes[:, :1], 20000), codec.decode(codes, 20000)
    assert one.shape == all_.shape
    assert not torch.equal(one, all_)


def test_codes_that_end_before_the_sound_does_are_refused(codec: SpectralCodec):
    codes = codec.encode(noise(7680))
    with pytest.raises(AudioError, match="7680 samples, fewer than the 9000"):
        codec.decode(codes, 9000)


def test_every_level_codes_what_the_one_before_left(codec: SpectralCodec):
    features = codec.analyse(noise(768 * 20))
    codes = codec.quantizer.encode(features)
    first = codec.quantizer.levels[0]
    left = features - first.value(codes[:, 0])
    second = codec.quantizer.levels[1]
    assert torch.equal(second.nearest(second.down(left)), codes[:, 1])


def test_phases_join_where_they_are_said_to(codec: SpectralCodec):
    spectra = codec.spectra(noise(768 * 20))
    features = codec.features(spectra)
    codes, alone = codec.quantizer.encode(features, codec.phases(spectra)), codec.quantizer.encode(features)
    assert torch.equal(codes[:, :4], alone[:, :4])
    assert not torch.equal(codes[:, 4], alone[:, 4])


def test_told_phases_are_drawn_and_others_turn_as_the_middle_of_their_bins():
    codec = tiny.codec(replace(tiny.CODEC, slow_in=64))
    signal = noise(768 * 60)
    align_phases(codec, signal)
    spectra = codec.spectra(signal)
    features, phases = codec.features(spectra), codec.phases(spectra)
    assert phases is not None
    told, untold = (codec.draw(x)[1] for x in (features + phases, features))
    off = 1 - (told - spectra.angle()).cos()
    assert float(off[..., 1:5].mean()) < 0.1
    assert float(off[..., 5:].mean()) > 0.8
    turning = untold.diff(dim=1)[..., 1:5] - math.tau * 384 / 1536 * torch.arange(1, 5)
    assert float(turning.cos().mean()) > 0.9


def test_the_nearest_code_is_looked_up():
    level = VectorQuantizer(16, 32, 8, by_direction=False)
    codes, vectors = (10 * noise(82 * 8).view(1, 82, 8)).split([32, 50], dim=1)
    _ = level.codebook.data.copy_(codes[0])
    found = level.nearest(vectors)
    assert torch.equal(found, torch.cdist(vectors, level.codebook[None]).argmin(-1))
    assert len(found.unique()) > 10


def test_codes_of_a_quiet_sound_are_not_all_alike(codec: SpectralCodec):
    assert len(codec.encode(noise(768 * 60) * 1e-2)[0, 0].unique()) > 1


def test_frames_that_do_not_divide_are_refused():
    with pytest.raises(ConfigError, match=r"hop must divide grid\.hop \(768\)"):
        CodecConfig(hop=500)
    with pytest.raises(ConfigError, match="kernel must be odd, got 6"):
        CodecConfig(kernel=6)
    with pytest.raises(ConfigError, match="phased must be at most 768, half of size"):
        CodecConfig(phased=769)
    with pytest.raises(ConfigError, match="phased_from below 12, the number of codebooks, got 24 and 12"):
        CodecConfig(phased=24, phased_from=12)


def test_code_vectors_are_those_that_are_looked_up(codec: SpectralCodec):
    assert codec.vectors().shape == (6, 32, 8)
    assert torch.equal(codec.vectors()[2], codec.quantizer.levels[2].codebook)


def test_the_default_grid_is_574_bits_a_second_for_a_codebook():
    assert Grid().bits_per_second == pytest.approx(574.2, abs=0.1)


def test_a_level_aligned_to_features_leaves_less_of_them():
    fresh = tiny.codec(seed=3).quantizer.requires_grad_(True)
    chance = torch.Generator().manual_seed(0)
    features = torch.randn(4, 50, 16, generator=chance) @ torch.randn(16, 16, generator=chance)
    depth = torch.full((4,), 6)
    with torch.no_grad():
        made = fresh(features, depth, memory=0.9, least=0.03, generator=chance)
    left = [features - fresh.decode(made.codes[:, :n]) for n in range(1, 7)]
    energy = [float((each.square().mean() / features.square().mean()).detach()) for each in left]
    assert energy == sorted(energy, reverse=True)
    assert energy[0] < 0.7
    assert energy[-1] < 0.2
