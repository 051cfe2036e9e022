"""Grids of any length are filled: the same at any batch size, and on a circle wherever it begins."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ostinato import filling
from ostinato.errors import ConfigError
from ostinato.filling import Stage, fill, stages
from ostinato.lm import MaskedModel
from ostinato.nn.attend import distances
from ostinato.sampling import Confidence, Halton, Sampler
from tests import tiny

Grid = tuple[Tensor, Tensor]


@pytest.fixture(autouse=True)
def _short_windows(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(filling, "SPAN", 16)
    monkeypatch.setattr(filling, "OVERLAP", 4)
    monkeypatch.setattr(filling, "FINE_SPAN", 12)
    monkeypatch.setattr(filling, "FINE_OVERLAP", 3)


def work(coarse: Sampler | None = None, seed: int = 0) -> list[Stage]:
    how = {"coarse": coarse or Confidence(steps=5), "fine": Confidence(steps=2)}
    return stages(tiny.codec().quantizer, tiny.model(tiny.COARSE), tiny.model(tiny.FINE), how, seed)


def grid(grid_of: Callable[..., Grid], frames: int, share: float = 0.8) -> Grid:
    codes, mask = grid_of(batch=2, codebooks=6, frames=frames, vocab=32, share=share)
    return codes, mask[:1].expand_as(codes)


@pytest.mark.parametrize("frames", [5, 16, 17, 100])
@pytest.mark.parametrize("circular", [False, True])
def test_visible_cells_stay_and_hidden_ones_are_filled_whatever_lies_under_them(
    grid_of: Callable[..., Grid], frames: int, circular: bool
):
    codes, mask = grid(grid_of, frames)
    filled = fill(work(), codes, mask, circular=circular)
    other = fill(work(), torch.where(mask, (codes + 3) % 32, codes), mask, circular=circular)
    assert torch.equal(filled[~mask], codes[~mask])
    assert torch.equal(filled, other)
    assert 0 <= int(filled.min()) <= int(filled.max()) < 32


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("share", [0.8, 1.0])
def test_a_long_grid_is_the_same_at_any_batch_size(grid_of: Callable[..., Grid], share: float, circular: bool):
    codes, mask = grid(grid_of, 150, share)
    one = fill(work(), codes, mask, circular=circular)
    for batch in (2, 3, 100):
        assert torch.equal(fill(work(), codes, mask, circular=circular, batch=batch), one)


class Echo(MaskedModel):
    """Says what the nearest cell says that it can see."""

    def bias(self, frames: int, *, circular: bool = False) -> Tensor:
        return distances(frames, circular=circular)[None].abs().float()

    def hidden_logits(self, codes: Tensor, mask: Tensor, bias: Tensor) -> Tensor:
        nearest = bias.masked_fill(mask[:, :1], torch.inf).argmin(-1)
        token = codes[:, 0].gather(-1, nearest) * (~mask[:, 0]).any(-1, keepdim=True)
        said = 50.0 * torch.nn.functional.one_hot(token, 32)[:, None].expand(-1, self.config.predicted, -1, -1)
        return said[mask[:, self.config.given :]]


@pytest.mark.parametrize("circular", [False, True])
def test_what_is_made_up_goes_on_from_window_to_window(circular: bool):
    codes = torch.full((1, 6, 150), 5)
    mask = torch.ones_like(codes, dtype=torch.bool)
    mask[..., :3] = False
    parts = stages(
        tiny.codec().quantizer,
        Echo(tiny.COARSE),
        tiny.model(tiny.FINE),
        {"coarse": Confidence(), "fine": Confidence()},
        0,
    )
    filled = fill(parts[:1], codes.masked_fill(mask, 0), mask, circular=circular, batch=9)
    assert bool((filled[:, :4] == 5).all())


def test_windows_that_need_not_wait_are_filled_at_once(grid_of: Callable[..., Grid]):
    codes, mask = grid(grid_of, 124)
    rows: list[int] = []
    parts = work()
    hook = parts[0].model.transformer.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    _ = fill(parts[:1], codes, mask, batch=100)
    hook.remove()
    assert rows == [2 * 5] * 5 + [2 * 5] * 5


@pytest.mark.parametrize("circular", [False, True])
def test_each_model_sees_windows_of_its_own_length(grid_of: Callable[..., Grid], circular: bool):
    def listened(part: Stage) -> set[int]:
        seen: set[int] = set()
        _ = part.model.transformer.register_forward_pre_hook(lambda _, given: seen.add(given[0].shape[1]))
        return seen

    parts = work()
    seen = [listened(part) for part in parts]
    _ = fill(parts, *grid(grid_of, 50), circular=circular)
    assert seen == [{16}, {12}]


@pytest.mark.parametrize("turn", [1, 7, -3])
@pytest.mark.parametrize("frames", [14, 60])
@pytest.mark.parametrize("sampler", [Confidence(steps=5), Halton(steps=5)])
def test_law_18_a_circle_that_is_turned_is_filled_the_same_turned(
    grid_of: Callable[..., Grid], frames: int, turn: int, sampler: Sampler
):
    codes, mask = grid(grid_of, frames)
    filled = fill(work(sampler), codes, mask, circular=True)
    turned = fill(work(sampler), codes.roll(turn, -1), mask.roll(turn, -1), circular=True, turned=turn)
    assert torch.equal(turned, filled.roll(turn, -1))


@pytest.mark.parametrize("frames", [14, 60])
def test_on_a_circle_the_end_is_filled_in_view_of_the_start(grid_of: Callable[..., Grid], frames: int):
    codes, mask = grid(grid_of, frames)
    mask = mask.clone()
    mask[..., :3] = False
    other = codes.clone()
    other[..., :3] = (other[..., :3] + 7) % 32
    for circular, cares in ((True, True), (False, frames == 14)):
        ends = [fill(work(), each, mask, circular=circular)[..., -4:] for each in (codes, other)]
        assert torch.equal(*ends) is not cares


def test_small_integers_are_filled_as_large_ones_are(grid_of: Callable[..., Grid]):
    codes, mask = grid(grid_of, 40)
    small = fill(work(), codes.to(torch.int16), mask)
    assert small.dtype == torch.int16
    assert torch.equal(small.long(), fill(work(), codes, mask))


def test_another_seed_fills_otherwise_and_what_was_given_is_left_alone(grid_of: Callable[..., Grid]):
    codes, mask = grid(grid_of, 40)
    before = codes.clone()
    assert not torch.equal(fill(work(seed=1), codes, mask), fill(work(seed=2), codes, mask))
    assert torch.equal(codes, before)


def test_a_line_that_is_turned_and_a_batch_of_no_windows_are_refused(grid_of: Callable[..., Grid]):
    with pytest.raises(ConfigError, match="only a loop can be turned, got turned=3"):
        _ = fill(work(), *grid(grid_of, 40), turned=3)
    with pytest.raises(ConfigError, match="at least 1 window, got 0"):
        _ = fill(work(), *grid(grid_of, 40), batch=0)
