"""Patterns over the grid, drawn."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato.errors import ConfigError, PromptError
from ostinato.masks import drawing, every, scatter, span, stretches, thinned


def line(pattern: torch.Tensor) -> str:
    return drawing(pattern[None])[0]


@pytest.mark.parametrize(
    ("settings", "picture"),
    [
        ({"period": 1}, "##########"),
        ({"period": 3}, "#..#..#..#"),
        ({"period": 4, "width": 2}, "##..##..##"),
        ({"period": 4, "offset": 1}, ".#...#...#"),
        ({"period": 4, "width": 2, "offset": 3}, "#..##..##."),
        ({"period": 4, "offset": -1}, "...#...#.."),
        ({"period": 4, "width": 4}, "##########"),
        ({"period": 20}, "#........."),
        ({"period": 20, "offset": 12}, ".........."),
    ],
)
def test_every_draws_groups_at_a_period(settings: dict[str, int], picture: str):
    assert line(every(10, **settings)) == picture


@given(st.integers(0, 40), st.integers(1, 9), st.integers(-20, 20), st.data())
def test_a_shifted_pattern_is_the_pattern_shifted(frames: int, period: int, offset: int, data: st.DataObject):
    width = data.draw(st.integers(1, period))
    long = every(frames + 1, period, width=width, offset=offset)
    assert torch.equal(every(frames, period, width=width, offset=offset - 1), long[1:])
    assert torch.equal(every(frames, period, width=width, offset=offset + period), long[:frames])
    assert int(every(period, period, width=width, offset=offset).sum()) == width


def test_a_pattern_of_no_frames_is_empty():
    assert every(0, 3).shape == span(0, 0, 0).shape == scatter(0, 1.0, 5).shape == (0,)


def test_span_takes_its_start_and_leaves_its_end():
    assert line(span(10, 2, 5)) == "..###....."
    assert line(span(10, 0, 10)) == "##########"
    assert line(span(10, 4, 4)) == ".........."


@given(st.integers(0, 60), st.floats(0, 1), st.integers(0, 2**64 - 1))
def test_scatter_strews_exactly_the_share(frames: int, share: float, seed: int):
    assert int(scatter(frames, share, seed).sum()) == round(share * frames)


@given(st.integers(0, 60), st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_a_larger_share_adds_to_the_smaller_one(frames: int, one: float, other: float, seed: int):
    less, more = (scatter(frames, share, seed) for share in sorted([one, other]))
    assert bool((more | ~less).all())


def test_scatter_has_a_seed_and_nothing_else_to_do_with_chance():
    state = torch.random.get_rng_state()
    one, again, other = scatter(200, 0.5, 1), scatter(200, 0.5, 1), scatter(200, 0.5, 2)
    assert torch.equal(one, again)
    assert 50 < int((one != other).sum()) < 150
    assert torch.equal(state, torch.random.get_rng_state())


def test_scatter_favours_no_frame():
    counts = sum(scatter(20, 0.3, seed).int() for seed in range(2000))
    assert isinstance(counts, torch.Tensor)
    assert counts.min() > 500
    assert counts.max() < 700


def test_a_drawing_has_a_line_a_codebook_and_shows_the_first_item():
    mask = torch.tensor([[[True, False, True], [False, False, True]]])
    assert drawing(mask) == drawing(mask[0]) == ["#.#", "..#"]
    assert drawing(torch.cat([mask, ~mask])) == ["#.#", "..#"]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: every(9, 0), "period must be at least 1 frame, got 0"),
        (lambda: every(9, 3, width=4), "width must be between 1 and 3 frames (the period), got 4"),
        (lambda: every(9, 3, width=0), "width must be between 1 and 3 frames (the period), got 0"),
        (lambda: span(9, 5, 10), "a span must lie within frames 0 to 9, start before end, got 5 to 10"),
        (lambda: span(9, -1, 3), "a span must lie within frames 0 to 9, start before end, got -1 to 3"),
        (lambda: span(9, 5, 4), "a span must lie within frames 0 to 9, start before end, got 5 to 4"),
        (lambda: scatter(9, 1.5, 0), "share must be between 0 and 1, got 1.5"),
    ],
)
def test_patterns_outside_the_grid_are_refused(ask, message: str):
    with pytest.raises(PromptError) as refusal:
        ask()
    assert str(refusal.value) == message


def test_a_seed_out_of_range_is_refused():
    with pytest.raises(ConfigError, match=r"a seed must be a whole number between 0 and 2\*\*64 - 1, got -1"):
        _ = scatter(9, 0.5, -1)


@pytest.mark.parametrize(
    ("edges", "line", "circle"),
    [
        ([], "..........", ".........."),
        ([(2, 4), (3, 6)], "..####....", "..####...."),
        ([(2, 2)], "..........", ".........."),
        ([(8, 12)], "........##", "##......##"),
        ([(-2, 1)], "#.........", "#.......##"),
        ([(10, 12), (-3, -2)], "..........", "##.....#.."),
        ([(-99, 99)], "##########", "##########"),
        ([(4, 14)], "....######", "##########"),
    ],
)
def test_stretches_join_and_wrap_only_on_a_circle(edges: list[tuple[int, int]], line: str, circle: str):
    assert drawing(stretches(10, edges)[None]) == [line]
    assert drawing(stretches(10, edges, circular=True)[None]) == [circle]


def test_a_stretch_that_is_turned_round_is_refused():
    with pytest.raises(PromptError, match="a stretch must end after its start, got 4 to 3"):
        _ = stretches(10, [(4, 3)])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_thinned_takes_an_exact_share_of_the_cells_and_a_larger_share_takes_more(share: float):
    cells = scatter(400, 0.6, 3).view(4, 100)
    taken = thinned(cells, share, seed=5)
    assert int(taken.sum()) == round(share * 240)
    assert bool((taken <= cells).all())
    assert bool((taken <= thinned(cells, min(1.0, share + 0.2), seed=5)).all())
    with pytest.raises(PromptError, match="share must be between 0 and 1, got 2"):
        _ = thinned(cells, 2, seed=5)
