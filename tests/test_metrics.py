"""Laws of the metrics: what a copy scores, what changes nothing, what order things come in, what is refused."""

import math
from collections.abc import Callable

import pytest
import torch
from jaxtyping import TypeCheckError

from ostinato.errors import AudioError, OstinatoError
from ostinato.metrics import (
    align,
    bits_per_token,
    delay,
    frechet_distance,
    mel_distance,
    perplexity,
    seam,
    si_sdr,
    token_bits,
    unigram,
    unigram_entropy,
)

RATE = 44100


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def draws(*shape: int, vocabulary: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, vocabulary, shape, generator=torch.Generator().manual_seed(seed))


def test_a_perfect_copy_scores_the_perfect_score():
    sound = noise(2, 9000)
    assert mel_distance(sound, sound.clone(), RATE).tolist() == [0, 0]
    assert si_sdr(sound, sound.clone()).tolist() == [math.inf, math.inf]
    assert delay(sound, sound.clone(), 50).tolist() == [0, 0]
    assert torch.equal(align(sound, sound.clone(), 50), sound)


def test_mel_distance_is_symmetric_and_grows_with_the_noise():
    sound, hiss = noise(1, 9000), noise(1, 9000, seed=1)
    near, far = sound + 0.05 * hiss, sound + 0.5 * hiss
    assert 0 < mel_distance(sound, near, RATE) < mel_distance(sound, far, RATE)
    torch.testing.assert_close(mel_distance(sound, far, RATE), mel_distance(far, sound, RATE))


def test_six_decibels_cost_three_tenths_of_mel_distance_on_a_sound_that_fills_every_band():
    sound = noise(1, RATE)
    assert mel_distance(sound, sound / 2, RATE).item() == pytest.approx(math.log10(2), abs=0.04)


def test_a_copy_of_silence_is_perfect_and_silence_is_far_from_sound():
    silence = torch.zeros(1, 3000)
    assert mel_distance(silence, silence, RATE).item() == 0
    assert mel_distance(noise(1, 3000), silence, RATE).item() > 2


def test_a_twentieth_of_a_second_has_a_mel_distance():
    assert mel_distance(noise(1, 2205), noise(1, 2205, seed=1), RATE).isfinite().all()


def test_an_item_scores_the_same_alone_and_in_a_batch():
    reference, estimate = noise(3, 6000), noise(3, 6000, seed=1)
    for score in (si_sdr, lambda a, b: mel_distance(a, b, RATE), lambda a, b: delay(a, b, 99)):
        torch.testing.assert_close(score(reference, estimate)[1:2], score(reference[1:2], estimate[1:2]))


def test_si_sdr_sees_neither_gain_nor_offset():
    sound = noise(1, 6000)
    worse = sound + noise(1, 6000, seed=1)
    torch.testing.assert_close(si_sdr(sound, worse), si_sdr(sound, 7 * worse + 0.3), atol=1e-3, rtol=0)


def test_si_sdr_is_the_level_of_uncorrelated_noise():
    sound, hiss = noise(1, 200000), noise(1, 200000, seed=1)
    assert si_sdr(sound, sound + 0.1 * hiss).item() == pytest.approx(20, abs=0.2)
    assert si_sdr(sound, torch.zeros_like(sound)).item() == -math.inf


@pytest.mark.parametrize("late", [-40, -1, 0, 7, 40])
def test_align_undoes_a_delay(late: int):
    source = noise(1, 5200)
    reference, estimate = source[:, 100:5100], source[:, 100 - late : 5100 - late]
    assert delay(reference, estimate, 40).tolist() == [late]
    inner = slice(40, -40)
    torch.testing.assert_close(align(reference, -0.5 * -estimate, 40)[:, inner], 0.5 * reference[:, inner])


def test_delay_looks_no_further_than_it_may():
    source = noise(1, 5200)
    assert abs(delay(source[:, 100:5100], source[:, :5000], 40).item()) <= 40


def test_the_entropy_of_even_use_is_the_bits_of_the_vocabulary_and_of_one_value_nothing():
    even = torch.arange(64).repeat(2)[None, None]
    codes = torch.cat([even, torch.full_like(even, 5)], dim=1)
    torch.testing.assert_close(unigram_entropy(codes, 64), torch.tensor([6.0, 0.0]))
    torch.testing.assert_close(perplexity(codes, 64), torch.tensor([64.0, 1.0]))


def test_unigram_counts_each_codebook_on_its_own():
    codes = torch.tensor([[[0, 0, 1], [2, 2, 2]], [[1, 1, 1], [2, 2, 0]]])
    torch.testing.assert_close(unigram(codes, 3), torch.tensor([[2 / 6, 4 / 6, 0], [1 / 6, 0, 5 / 6]]))


def test_the_unigram_as_logits_costs_the_unigram_entropy():
    codes = draws(2, 3, 50, vocabulary=8)
    logits = unigram(codes, 8).log()[None, :, None].expand(2, 3, 50, 8)
    torch.testing.assert_close(
        bits_per_token(logits, codes, torch.ones_like(codes, dtype=torch.bool)), unigram_entropy(codes, 8)
    )


def test_even_logits_cost_the_bits_of_the_vocabulary():
    codes = draws(1, 2, 9, vocabulary=16)
    torch.testing.assert_close(token_bits(torch.ones(1, 2, 9, 16), codes), torch.full((1, 2, 9), 4.0))


def test_bits_count_hidden_cells_only():
    codes = draws(1, 2, 9, vocabulary=4)
    sure = torch.nn.functional.one_hot(codes, 4) * 100.0
    mask = torch.zeros(1, 2, 9, dtype=torch.bool)
    mask[:, :, 3] = True
    wrong_elsewhere = torch.where(mask[..., None], sure, -sure)
    assert bits_per_token(wrong_elsewhere, codes, mask).tolist() == [0, 0]
    assert (bits_per_token(wrong_elsewhere, codes, ~mask) > 50).all()


@pytest.mark.parametrize("score", [si_sdr, lambda a, b: mel_distance(a, b, RATE), lambda a, b: align(a, b, 9)])
def test_no_samples_and_lengths_that_differ_are_refused(score: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]):
    with pytest.raises(AudioError, match=r"at least one sample, got \(1, 0\)"):
        _ = score(torch.zeros(1, 0), torch.zeros(1, 0))
    with pytest.raises((AudioError, TypeCheckError)):
        _ = score(noise(1, 5), noise(1, 1))


def test_silence_is_refused_by_item_where_it_leaves_nothing_to_say():
    half = torch.cat([noise(1, 100), torch.zeros(1, 100)])
    with pytest.raises(AudioError, match=r"si_sdr needs a reference that sounds; items \[1\] are silent"):
        _ = si_sdr(half, half)
    with pytest.raises(AudioError, match=r"delay needs an estimate that sounds; items \[1\]"):
        _ = delay(noise(2, 100), half, 5)


def test_no_tokens_foreign_tokens_and_nothing_hidden_are_refused():
    with pytest.raises(OstinatoError, match="at least one token"):
        _ = perplexity(torch.zeros(0, 4, 5, dtype=torch.long), 8)
    with pytest.raises(OstinatoError, match=r"0 to 7 .* got 0 to 8"):
        _ = unigram_entropy(torch.tensor([[[0, 8]]]), 8)
    with pytest.raises(OstinatoError, match=r"codebooks \[1\] have none"):
        _ = bits_per_token(torch.zeros(1, 2, 1, 4), torch.zeros(1, 2, 1).long(), torch.tensor([[[True], [False]]]))


def test_a_seam_in_even_noise_is_as_anywhere():
    flux, jump = seam(noise(1, 4 * RATE), range(3000, 4 * RATE - 3000, 7000), RATE)
    assert flux.mean().item() == pytest.approx(1, abs=0.25)
    assert jump.median().item() == pytest.approx(1, abs=0.5)


def test_a_click_is_a_jump_and_an_attack_is_flux():
    tone = torch.cos((torch.arange(RATE) - 20000) * 0.03)[None]
    assert seam(tone, [20000], RATE)[1].item() < 3
    cut = torch.cat([tone[:, :20000], -tone[:, 20000:]], dim=1)
    assert seam(cut, [20000], RATE)[1].item() > 10
    loud = torch.cat([tone[:, :20000] * 0.1, tone[:, 20000:]], dim=1) + noise(1, RATE) * 1e-4
    flux = [seam(each, [20000], RATE)[0].item() for each in (tone + noise(1, RATE) * 1e-4, loud)]
    assert flux[0] < 2
    assert flux[1] > 10


def test_the_seam_of_a_circle_is_between_its_end_and_its_start():
    whole = torch.sin(2 * math.pi * 100 * torch.arange(RATE) / RATE)[None]
    half = whole[:, : RATE // 2 + 110]
    assert seam(whole, [0], RATE, circular=True)[1].item() < 3
    assert seam(half, [0], RATE, circular=True)[1].item() > 30
    for turned, place in ((whole, 0), (half, 0)):
        here = seam(turned, [place], RATE, circular=True)
        there = seam(turned.roll(5000, -1), [5000], RATE, circular=True)
        torch.testing.assert_close(torch.stack(there), torch.stack(here), rtol=0.2, atol=0.05)


def test_a_seam_in_silence_is_nothing():
    flux, jump = seam(torch.zeros(1, 9000), [4000], RATE)
    assert (flux.item(), jump.item()) == (0, 0)


def test_seams_that_are_not_there_are_refused():
    for places, circular in (([], True), ([0], False), ([9000], True), ([-1], True)):
        with pytest.raises(AudioError, match="seams must lie within samples"):
            _ = seam(noise(1, 9000), places, RATE, circular=circular)
    with pytest.raises(AudioError, match="a place at least 1024 samples from all"):
        _ = seam(noise(1, 1000), [500], RATE)


def cloud(samples: int, features: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(samples, features, generator=torch.Generator().manual_seed(seed))


def test_the_frechet_distance_of_a_collection_to_itself_in_any_order_is_nothing():
    some = cloud(40)
    assert frechet_distance(some, some.flip(0)) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(some[:3], some[:3]) == pytest.approx(0, abs=1e-8)


def test_the_frechet_distance_is_symmetric_and_grows_with_the_distance():
    one, other = cloud(50), cloud(70, seed=1) * 1.5
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one))
    far = [frechet_distance(one, one + shift) for shift in (0.1, 0.5, 2.0)]
    assert far == pytest.approx([5 * shift**2 for shift in (0.1, 0.5, 2.0)], rel=1e-4)


def test_the_frechet_distance_is_that_of_normal_distributions():
    """For independent features it is the sum over (mean - mean)^2 + (spread - spread)^2."""
    one = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    other = one * torch.tensor([3.0, 0.5]) + torch.tensor([0.0, 4.0])
    spread = (2 / 3) ** 0.5
    assert frechet_distance(one, other) == pytest.approx(16 + (2 * spread) ** 2 + (0.5 * spread) ** 2, rel=1e-4)


def test_the_frechet_distance_does_not_mind_a_turn_of_the_features():
    one, other = cloud(30), cloud(30, seed=3) + 0.3
    turn = torch.linalg.qr(cloud(5, seed=4)).Q
    assert frechet_distance(one @ turn, other @ turn) == pytest.approx(frechet_distance(one, other), rel=1e-5)


def test_the_frechet_distance_needs_two_samples():
    with pytest.raises(OstinatoError, match="two samples or more on each side, got 9 and 1"):
        _ = frechet_distance(cloud(9), cloud(1))
