"""What a prompt keeps is played from the original, and fades lie on the hidden side of the edge."""

from itertools import groupby

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato.splice import Turn, Voice, carried, crossfade, spliced, turns
from ostinato.types import Audio

HOP, FADE = 10, 5


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def frames(drawing: str) -> torch.Tensor:
    """'#' is hidden or made, '.' is kept or original."""
    return torch.tensor([cell == "." for cell in drawing])


def runs(drawing: str, *, circular: bool = False) -> str:
    return "".join(".#"[not each] for each in carried(~frames(drawing)[None], circular=circular).tolist())


def plan(drawing: str, *, circular: bool = False, fade: int = FADE) -> list[Turn]:
    return turns(frames(drawing), lambda frame: HOP * frame, fade, circular=circular)


def test_runs_of_more_than_two_kept_frames_carry_the_original_and_shorter_ones_do_not():
    assert runs("#.#..#...#....") == "######...#...."
    assert runs("..") == ".."
    assert runs("#") == "#"


def test_a_frame_is_kept_only_where_every_codebook_is():
    hidden = torch.zeros(3, 8, dtype=torch.bool)
    hidden[2, 3] = True
    assert carried(hidden).tolist() == [True] * 3 + [False] + [True] * 4
    hidden[1, 6] = True
    assert carried(hidden).tolist() == [True] * 3 + [False] * 5


def test_on_a_circle_a_run_may_pass_from_the_end_to_the_start():
    assert runs("..##.", circular=True) == "..##."
    assert runs("..##.") == "#####"
    assert runs(".###.", circular=True) == "#####"


@given(st.text(".#", min_size=1, max_size=40), st.integers(-40, 40))
def test_a_circle_that_is_turned_carries_the_same_turned(drawing: str, turn: int):
    hidden = ~frames(drawing)[None]
    turned = carried(hidden.roll(turn, -1), circular=True)
    assert torch.equal(turned, carried(hidden, circular=True).roll(turn))


@given(st.text(".#", min_size=1, max_size=40))
def test_carried_frames_are_kept_and_come_in_runs_of_three_or_all(drawing: str):
    found = runs(drawing)
    assert all(original == "#" or kept == "." for original, kept in zip(found, drawing, strict=True))
    assert all(len(list(run)) >= min(3, len(drawing)) for original, run in groupby(found) if original == ".")


def test_fades_take_the_edges_of_the_hidden_stretch_only():
    assert plan("...##...") == [
        Turn(Voice.ORIGINAL, 30),
        Turn(Voice.LEAVE, 5),
        Turn(Voice.MADE, 10),
        Turn(Voice.RETURN, 5),
        Turn(Voice.ORIGINAL, 30),
    ]


def test_both_fades_fit_into_a_single_hidden_frame():
    assert [each.samples for each in plan("...#...")] == [30, 5, 5, 30]
    assert [each.samples for each in plan("...#...", fade=99)] == [30, 5, 5, 30]


def test_a_sound_that_begins_or_ends_hidden_has_no_fade_there_but_a_circle_has():
    ends_made = [Voice.MADE, Voice.RETURN, Voice.ORIGINAL, Voice.LEAVE, Voice.MADE]
    assert [each.voice for each in plan("##...#")] == ends_made
    assert [each.voice for each in plan("#...", circular=True)] == [Voice.LEAVE, Voice.RETURN, Voice.ORIGINAL]
    assert [each.voice for each in plan("...#", circular=True)] == [Voice.ORIGINAL, Voice.LEAVE, Voice.RETURN]
    assert [each.voice for each in plan("#...#", circular=True)] == ends_made


@given(st.text(".#", min_size=1, max_size=40), st.integers(0, 30), st.booleans())
def test_turns_add_up_to_the_sound(drawing: str, fade: int, circular: bool):
    made = plan(drawing, fade=fade, circular=circular)
    assert sum(each.samples for each in made) == HOP * len(drawing)
    original = sum(each.samples for each in made if each.voice is Voice.ORIGINAL)
    assert original == HOP * drawing.count(".")


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_a_splice_does_not_depend_on_how_its_sounds_were_cut(cut: int):
    one, other = noise(1, 2, 100), noise(1, 2, 100, seed=1)
    shared = plan("...##..#..")
    whole = torch.cat([p.wave for p in spliced([Audio(one, 8000)], [Audio(other, 8000)], shared)], -1)
    pieces = [[Audio(w, 8000) for w in wave.split(size, -1)] for wave, size in ((one, cut), (other, 2 * cut))]
    assert torch.equal(torch.cat([p.wave for p in spliced(*pieces, shared)], -1), whole)
    assert whole.shape == one.shape


def test_outside_the_hidden_frames_the_null_test_is_silent_and_inside_their_fades_nothing_of_the_original_is_left():
    one, other = noise(1, 1, 80), noise(1, 1, 80, seed=1)
    wave = torch.cat([p.wave for p in spliced([Audio(one, 8000)], [Audio(other, 8000)], plan("...##..."))], -1)
    assert torch.equal(wave[..., :30], one[..., :30])
    assert torch.equal(wave[..., 50:], one[..., 50:])
    assert torch.equal(wave[..., 35:45], other[..., 35:45])
    assert not bool((wave == one)[..., 30:50].any())


def test_a_fade_between_equals_changes_nothing():
    sound = noise(1, 2, 400)
    torch.testing.assert_close(crossfade(sound, sound), sound)


@pytest.mark.parametrize("shared", [0.0, 0.3, 0.7, 1.0])
def test_a_fade_keeps_the_power_however_alike_its_sounds_are(shared: float):
    one, rest = noise(1, 1, 200_000), noise(1, 1, 200_000, seed=1)
    other = shared * one + (1 - shared**2) ** 0.5 * rest
    faded = crossfade(one, other)
    power = faded.view(10, -1).square().mean(1)
    torch.testing.assert_close(power, torch.ones(10), atol=0.04, rtol=0)


def test_a_fade_starts_with_the_one_and_ends_with_the_other_and_is_never_louder_than_both():
    one, other = noise(1, 1, 1000), -noise(1, 1, 1000)
    faded = crossfade(one, other)
    torch.testing.assert_close(faded[..., :5], one[..., :5], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(faded[..., -5:], other[..., -5:], atol=1e-3, rtol=1e-3)
    assert float(faded.abs().max()) <= float(one.abs().max())


def test_a_fade_from_silence_is_finite():
    assert torch.isfinite(crossfade(torch.zeros(1, 1, 50), noise(1, 1, 50))).all()
    assert not crossfade(torch.zeros(1, 1, 50), torch.zeros(1, 1, 50)).any()


def test_a_fade_is_never_louder_than_the_louder_of_both_or_full_scale():
    one, other = torch.ones(1, 1, 20), torch.ones(1, 1, 20) * torch.tensor([1.0, -1.0]).repeat(10)
    wave = torch.cat([p.wave for p in spliced([Audio(one, 8000)], [Audio(other, 8000)], [Turn(Voice.LEAVE, 20)])], -1)
    assert float(crossfade(one, other).abs().max()) > 1.3
    assert float(wave.abs().max()) == 1.0
