"""Windows cover the grid and overlap; those of a batch do not touch, and the batch size changes no order."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ostinato.errors import ConfigError
from ostinato.plan import Windows, batches, joins

SPAN, OVERLAP = 16, 4


def everywhere(frames: int, value: bool = True) -> torch.Tensor:
    return torch.full((frames,), value)


@given(st.integers(1, 200), st.booleans())
def test_windows_cover_the_grid_and_overlap(frames: int, circular: bool):
    windows = Windows(frames, SPAN, OVERLAP, circular=circular)
    starts = windows.starts()
    assert starts[0] == 0
    assert windows.work == sum(len(windows.places(start)) for start in starts)
    assert len(torch.cat([windows.places(start) for start in starts]).unique()) == frames
    if frames > SPAN:
        around = [*starts, frames] if circular else starts
        assert all(0 < b - a <= SPAN - OVERLAP for a, b in itertools.pairwise(around))
        assert circular or starts[-1] + SPAN == frames
    else:
        assert starts == [0]


def test_no_window_is_there_in_vain():
    assert Windows(17, SPAN, OVERLAP).starts() == [0, 1]
    assert Windows(28, SPAN, OVERLAP).starts() == [0, 12]
    assert Windows(29, SPAN, OVERLAP).starts() == [0, 6, 13]
    assert Windows(17, SPAN, OVERLAP, circular=True).starts() == [0, 8]


def test_a_window_of_a_circle_goes_on_at_the_start():
    assert Windows(20, SPAN, OVERLAP, circular=True).places(10).tolist() == [*range(10, 20), *range(6)]


@given(st.integers(1, 300), st.integers(1, 9), st.booleans(), st.integers(0, 2**31))
def test_the_windows_of_a_batch_do_not_touch_and_its_size_changes_no_order(
    frames: int, most: int, circular: bool, seed: int
):
    chance = torch.Generator().manual_seed(seed)
    blind = torch.rand(frames, generator=chance).cumsum(0).floor() % 9 > 5
    windows = Windows(frames, SPAN, OVERLAP, circular=circular)
    found = batches(windows, everywhere(frames), blind, most)
    assert all(len(batch) <= most for batch in found)
    for batch in found:
        places = torch.cat([windows.places(start) for start in batch])
        assert len(places.unique()) == len(places)
    one_by_one = batches(windows, everywhere(frames), blind, 1)
    assert list(itertools.chain(*found)) == list(itertools.chain(*one_by_one))
    assert sorted(itertools.chain(*found)) == windows.starts()


def test_a_grid_that_can_be_seen_all_along_takes_two_rounds():
    windows = Windows(124, SPAN, OVERLAP)
    assert batches(windows, everywhere(124), everywhere(124, False), 99) == [
        [0, 24, 48, 72, 96], [12, 36, 60, 84, 108],
    ]  # fmt: skip


def test_a_passage_that_is_made_up_is_made_from_its_start_to_its_end():
    windows = Windows(124, SPAN, OVERLAP)
    assert batches(windows, everywhere(124), everywhere(124), 99) == [[start] for start in windows.starts()]
    blind = everywhere(124, False)
    blind[50:54] = True
    found = batches(windows, everywhere(124), blind, 99)
    assert found == [[0, 24, 72, 96], [12, 36], [48], [60, 84, 108]]


def test_windows_with_nothing_to_fill_are_passed_over():
    hidden = everywhere(124, False)
    hidden[60:62] = True
    assert batches(Windows(124, SPAN, OVERLAP), hidden, everywhere(124, False), 9) == [[48], [60]]
    assert batches(Windows(124, SPAN, OVERLAP), everywhere(124, False), everywhere(124), 9) == []


def test_the_ends_of_a_circle_are_neighbours():
    windows = Windows(36, SPAN, OVERLAP, circular=True)
    assert windows.starts() == [0, 12, 24]
    assert batches(windows, everywhere(36), everywhere(36, False), 9) == [[0], [12], [24]]
    assert batches(Windows(48, SPAN, OVERLAP, circular=True), everywhere(48), everywhere(48, False), 9) == [
        [0, 24], [12, 36],
    ]  # fmt: skip


def test_joins_lie_where_one_window_ends_what_another_began():
    line, circle = Windows(40, SPAN, OVERLAP), Windows(36, SPAN, OVERLAP, circular=True)
    assert line.starts() == [0, 12, 24]
    assert joins(line, [[0], [12], [24]]) == [16, 28]
    assert joins(line, [[0, 24], [12]]) == [16, 24]
    assert joins(circle, [[0], [12], [24]]) == [0, 16, 28]
    assert joins(Windows(9, SPAN, OVERLAP), [[0]]) == []


def test_windows_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match="at most half their span of 16, got 5 frames and an overlap of 9"):
        _ = Windows(5, SPAN, 9)
    with pytest.raises(ConfigError, match="at least 1 window, got 0"):
        _ = batches(Windows(5, SPAN, OVERLAP), everywhere(5), everywhere(5), 0)
