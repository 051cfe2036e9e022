"""Windows of a stream do not depend on how the stream was cut."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato.windows import around, open_windows, windows


def whole(stream: torch.Tensor, core: int, context: int) -> list[tuple[torch.Tensor, int]]:
    return list(windows([stream], core, context))


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 7), st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_any_cutting_gives_the_same_windows(length: int, core: int, context: int, cuts: list[int]):
    stream = torch.arange(1, length + 1)[None]
    pieces, at = [], 0
    while at < length:
        step = cuts[len(pieces) % len(cuts)]
        pieces.append(stream[:, at : at + step])
        at += step
    for (a, real_a), (b, real_b) in zip(whole(stream, core, context), windows(pieces, core, context), strict=True):
        assert torch.equal(a, b)
        assert real_a == real_b


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 7))
def test_the_real_parts_of_the_cores_join_to_the_stream(length: int, core: int, context: int):
    stream = torch.arange(1, length + 1)[None]
    parts = [window[:, context : context + real] for window, real in whole(stream, core, context)]
    assert torch.equal(torch.cat(parts, dim=1), stream)


def test_every_window_has_one_shape_and_silence_around_the_stream():
    made = whole(torch.arange(1, 8)[None], 4, 2)
    assert [w.tolist()[0] for w, _ in made] == [[0, 0, 1, 2, 3, 4, 5, 6], [3, 4, 5, 6, 7, 0, 0, 0]]


def test_an_empty_stream_has_no_windows():
    assert list(windows([], 4, 2)) == []


def test_a_circle_cut_open_has_its_end_before_the_start_and_its_start_after_the_end():
    circle = torch.arange(5).expand(2, 3, -1)
    assert around(circle, 2)[1, 2].tolist() == [3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert around(circle, 7)[0, 0, :8].tolist() == [3, 4, 0, 1, 2, 3, 4, 0]
    assert torch.equal(around(circle, 0), circle)


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 7), st.lists(st.integers(1, 20), min_size=1, max_size=8))
def test_any_cutting_gives_the_same_open_windows(length: int, core: int, context: int, cuts: list[int]):
    stream = torch.arange(1, length + 1)[None]
    pieces, at = [], 0
    while at < length:
        step = cuts[len(pieces) % len(cuts)]
        pieces.append(stream[:, at : at + step])
        at += step
    whole = list(open_windows([stream], core, context))
    for (a, *where_a), (b, *where_b) in zip(whole, open_windows(pieces, core, context), strict=True):
        assert torch.equal(a, b)
        assert where_a == where_b


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 7))
def test_open_windows_see_all_the_context_there_is_and_nothing_else(length: int, core: int, context: int):
    stream = torch.arange(length)[None]
    for number, (window, start, real) in enumerate(open_windows([stream], core, context)):
        first, last = max(0, number * core - context), min(length, (number + 1) * core + context)
        assert window.tolist()[0] == list(range(first, last))
        assert (first + start, real) == (number * core, min(core, length - number * core))


def test_an_empty_stream_has_no_open_windows():
    assert list(open_windows([], 4, 2)) == []
