"""Spectra: what a transform takes apart, its inverse puts together."""

import math

import numpy as np
import pytest
import torch

from ostinato.dsp import (
    covered,
    frames,
    left_right,
    log_mel,
    mel_filters,
    mid_side,
    overlap_add,
    spectrum,
    synthesis,
    transform,
)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)) * 0.1


def test_frames_are_slices_of_the_signal():
    x = torch.arange(20.0)[None]
    assert torch.equal(frames(x, 8, 4), x.unfold(-1, 8, 4))


def test_overlap_add_is_the_adjoint_of_framing():
    x, y = noise(1, 40), noise(1, 9, 8)
    assert torch.allclose((frames(x, 8, 4) * y).sum(), (x * overlap_add(y, 4)).sum(), atol=1e-6)


@pytest.mark.parametrize(("first", "last"), [(0, 20), (3, 20), (0, 15), (4, 9)])
def test_what_only_some_frames_cover_is_made_whole_by_their_share(first: int, last: int):
    x = noise(2, 23 * 384)
    there = torch.zeros(2, 20, dtype=torch.bool)
    there[:, first:last] = True
    back = synthesis(spectrum(x, 1536, 384) * there[..., None], 384) / covered(there, 1536, 384)
    inner = slice(first * 384 + 576, (last + 3) * 384 - 576)
    assert torch.allclose(back[:, inner], x[:, inner], atol=1e-6)
    assert torch.equal(covered(there, 1536, 384)[:, : first * 384], torch.full((2, first * 384), 0.5))


def test_synthesis_undoes_the_spectrum_away_from_the_ends():
    x = noise(2, 12 * 384)
    back = synthesis(spectrum(x, 1536, 384), 384)
    inner = slice(1536, -1536)
    assert torch.allclose(back[:, inner], x[:, inner], atol=1e-6)


def test_a_full_scale_sine_has_a_spectral_peak_of_one():
    x = torch.sin(torch.arange(4096) * 2 * math.pi * 64 / 1024)[None]
    assert spectrum(x, 1024, 256).abs().amax() == pytest.approx(1, abs=1e-3)


def test_a_tone_falls_into_the_mel_band_of_its_pitch():
    low, high = (
        log_mel(torch.sin(torch.arange(8192) * 2 * math.pi * f / 44100)[None], 44100, size=2048, mels=64)
        for f in (440.0, 4400.0)
    )
    assert low.mean(1).argmax() < high.mean(1).argmax()


def test_mel_bands_cover_every_frequency_and_have_unit_area():
    bank = mel_filters(44100, 4096, 40)
    assert bool((bank[2:-2].sum(1) > 0).all())
    area = bank.sum(0) * (44100 / 4096)
    assert np.allclose(area[10:], 1, atol=0.02)


def test_stereo_comes_back_from_mid_and_side():
    wave = noise(2, 100)
    assert torch.allclose(left_right(mid_side(wave)), wave, atol=1e-7)
    assert torch.equal(left_right(mid_side(wave[:1])), wave[:1])


def test_the_side_of_doubled_mono_is_silence():
    assert not mid_side(noise(1, 50).repeat(2, 1))[1].any()


@pytest.mark.parametrize("size", [1, 2, 7, 32])
def test_the_gradient_of_the_transform_is_that_of_torch(size: int):
    pieces = noise(3, size).double()
    assert torch.autograd.gradcheck(transform, pieces.requires_grad_(True))
    assert torch.equal(transform(pieces), torch.fft.rfft(pieces))
