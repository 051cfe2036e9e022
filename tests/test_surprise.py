"""Surprise: every token is scored once, unseen, in bits; and the hints that speak of it."""

import math

import pytest
import torch
from torch import Tensor

from ostinato.clip import Clip
from ostinato.errors import ConfigError, PromptError
from ostinato.filling import FINE_SPAN, SPAN
from ostinato.hints import Expected, Hint, Surprising, parse_hint
from ostinato.hints.surprise import smoothed
from ostinato.lm import LMConfig, MaskedModel
from ostinato.masks import drawing
from ostinato.prompts import Prompt
from ostinato.surprise import by_frame, surprisal
from ostinato.types import Grid
from tests import tiny

COARSE, FINE = tiny.model(tiny.COARSE), tiny.model(tiny.FINE)


def tokens(frames: int, sides: int = 2, seed: int = 0) -> Tensor:
    return torch.randint(32, (sides, 6, frames), generator=torch.Generator().manual_seed(seed))


class Shrug(MaskedModel):
    """A model to which all tokens are alike, and which remembers what was hidden from it."""

    def __init__(self, settings: LMConfig) -> None:
        super().__init__(settings)
        self.masks: list[Tensor] = []

    def forward(self, codes: Tensor, mask: Tensor, *, circular: bool = False) -> Tensor:
        self.masks.append(mask)
        return torch.zeros(*codes[:, self.config.given :].shape, self.config.vocabulary)


@pytest.mark.parametrize("passes", [2, 3, 5])
@pytest.mark.parametrize("frames", [1, 7, 40])
def test_every_cell_is_hidden_once_and_the_coarse_ones_are_given_to_the_fine_model(passes: int, frames: int):
    for settings in (tiny.COARSE, tiny.FINE):
        model, given = Shrug(settings), settings.given
        _ = surprisal([model], tokens(frames), passes=passes)
        times = torch.stack(model.masks).sum(0)
        assert bool((times[:, given:] == 1).all())
        assert times.shape == (2, settings.codebooks, frames)
        assert not times[:, :given].any()


@pytest.mark.parametrize("frames", [1, 30, SPAN + 1, 3 * SPAN + 5])
@pytest.mark.parametrize("circular", [False, True])
def test_a_model_that_shrugs_is_surprised_by_the_size_of_the_vocabulary(frames: int, circular: bool):
    bits = surprisal([Shrug(tiny.COARSE), Shrug(tiny.FINE)], tokens(frames, sides=1), circular=circular)
    assert bits.shape == (1, 6, frames)
    torch.testing.assert_close(bits, torch.full_like(bits, math.log2(32)))


def test_a_cell_is_scored_by_the_model_that_is_not_shown_its_frame():
    codes = tokens(20)
    bits = surprisal([COARSE, FINE], codes)
    hidden = torch.zeros(2, 4, 20, dtype=torch.bool)
    hidden[:, :, 1::2] = True
    likely = COARSE(codes[:, :4], hidden).log_softmax(-1)
    assert bits[1, 2, 7].item() == pytest.approx(-likely[1, 2, 7, codes[1, 2, 7]].item() / math.log(2), rel=1e-5)
    other = codes.clone()
    other[:, :, 7] = (other[:, :, 7] + 1) % 32
    again = surprisal([COARSE, FINE], other)
    assert torch.equal(again[:, :4, 1:6:2], bits[:, :4, 1:6:2])
    assert not torch.equal(again[:, :4, 6], bits[:, :4, 6])


def test_the_coarse_model_alone_gives_the_coarse_codebooks():
    codes = tokens(30)
    assert torch.equal(surprisal([COARSE], codes), surprisal([COARSE, FINE], codes)[:, :4])
    assert torch.equal(by_frame(COARSE, codes), surprisal([COARSE], codes).mean((0, 1)))


def test_a_long_sound_is_scored_in_the_windows_of_filling_each_cell_by_the_nearest():
    for model, span in ((COARSE, SPAN), (FINE, FINE_SPAN)):
        codes, half = tokens(span + 100, sides=1), span // 2
        bits = surprisal([model], codes)
        torch.testing.assert_close(bits[..., :half], surprisal([model], codes[..., :span])[..., :half])
        torch.testing.assert_close(bits[..., half + 100 :], surprisal([model], codes[..., 100:])[..., half:])


def test_what_comes_in_small_integers_is_scored_the_same():
    codes = tokens(12)
    assert torch.equal(surprisal([COARSE], codes.to(torch.int16)), surprisal([COARSE], codes))


@pytest.mark.parametrize("frames", [24, SPAN + 4])
@pytest.mark.parametrize("turn", [1, 2, -5])
def test_a_circular_clip_that_is_turned_has_its_surprise_turned(frames: int, turn: int):
    codes = tokens(frames, sides=1)
    bits = surprisal([COARSE, FINE], codes, circular=True)
    turned = surprisal([COARSE, FINE], codes.roll(turn, -1), circular=True, turned=turn)
    assert torch.equal(turned, bits.roll(turn, -1))
    if turn == 2 and frames == 24:
        free = surprisal([COARSE], codes.roll(turn, -1), circular=True)
        torch.testing.assert_close(free, bits.roll(turn, -1)[:, :4], rtol=1e-3, atol=1e-3)


def test_a_watcher_hears_of_every_pass():
    told: list[tuple[str, int, int]] = []
    _ = surprisal([COARSE, FINE], tokens(10), passes=3, watch=lambda *what: told.append(what))
    assert told == [("surprise", number, 6) for number in range(1, 7)]


def test_one_pass_is_refused_and_so_is_turning_what_has_ends():
    with pytest.raises(ConfigError, match="at least 2 passes, so that something is given, got 1"):
        _ = surprisal([COARSE], tokens(5), passes=1)
    with pytest.raises(ConfigError, match="only a loop can be turned, got turned=3"):
        _ = surprisal([COARSE], tokens(5), turned=3)


GRID = Grid(sample_rate=1000, hop=100, codebooks=2, vocabulary=16)
HEARD = torch.tensor([1.0, 1.5, 9.0, 8.0, 2.0, 3.0, 1.25, 1.125, 7.0, 2.5])


def draw(hint: Hint | str, *, around: int | None = None, heard: Tensor = HEARD) -> str:
    clip = Clip(GRID, samples=1000, around=around, surprise=heard)
    rows = drawing((parse_hint(hint) if isinstance(hint, str) else hint)(clip))
    assert rows[0] == rows[1]
    return rows[0]


@pytest.mark.parametrize(
    ("text", "picture"),
    [
        ("surprising:smooth=0", "..##......"),
        ("surprising:share=0.3,smooth=0", "..##....#."),
        ("surprising:share=0", ".........."),
        ("surprising:share=1", "##########"),
        ("expected:smooth=0", "#......#.."),
        ("expected:share=0.4,smooth=0", "##....##.."),
        ("surprising:share=0.3,smooth=0.2", "..##.....#"),
    ],
)
def test_the_hints_speak_of_whole_frames_by_their_surprise(text: str, picture: str):
    assert draw(text) == picture


@pytest.mark.parametrize("share", [0.0, 0.01, 0.25, 0.5, 0.999])
@pytest.mark.parametrize("smooth", [0.0, 0.3, 60.0])
def test_the_share_is_exact_and_opposites_meet_at_a_half(share: float, smooth: float):
    heard = torch.rand(1000, generator=torch.Generator().manual_seed(1))
    clip = Clip(GRID, samples=100_000, surprise=heard)
    most, least = (kind(share=share, smooth=smooth)(clip) for kind in (Surprising, Expected))
    assert most.sum() == least.sum() == 2 * round(share * 1000)
    if share <= 0.5 and smooth < 60:
        assert not (most & least).any()


@pytest.mark.parametrize("turn", [1, 4, -3])
@pytest.mark.parametrize("smooth", [0.0, 0.4])
def test_on_a_circle_the_hints_turn_with_the_clip(turn: int, smooth: float):
    heard = torch.rand(10, generator=torch.Generator().manual_seed(2))
    whole = draw(Surprising(share=0.5, smooth=smooth), around=10, heard=heard)
    turned = draw(Surprising(share=0.5, smooth=smooth), around=10, heard=heard.roll(turn))
    assert turned == whole[-turn:] + whole[:-turn]


def test_smoothing_keeps_what_is_even_and_goes_round_on_a_circle_only():
    even = torch.full((9,), 3.0)
    for circular in (False, True):
        assert torch.equal(smoothed(even, 4, circular=circular), even.double())
    peak = torch.tensor([6.0, 0.0, 0.0, 0.0, 0.0])
    assert smoothed(peak, 1, circular=True).tolist() == [2, 2, 0, 0, 2]
    assert smoothed(peak, 1, circular=False).tolist() == [3, 2, 0, 0, 0]


def test_without_a_model_to_tell_the_hint_says_so():
    prompt = Prompt.of(hide=["surprising"])
    assert prompt.needs == {"surprise"}
    with pytest.raises(PromptError, match="the prompt needs the surprise of the sound"):
        _ = prompt.mask(Clip(GRID, 1000))
