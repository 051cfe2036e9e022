"""Grids that musicians give: steady ones, taps and labels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostinato.errors import AudioError, ConfigError
from ostinato.grids import as_labels, beats_in, from_labels, positions, steady, tapped, tempo
from ostinato.types import Beats


def test_a_steady_grid_runs_from_its_offset_to_the_end_and_back_to_the_start():
    beats = steady(4.0, bpm=120, offset=1.25, meter="3/4")
    assert beats.times == pytest.approx([0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75])
    assert beats.downbeats == pytest.approx([1.25, 2.75])
    assert beats.confidence == 1


@pytest.mark.parametrize("bpm", [20, 60, 97.3, 150, 400])
@pytest.mark.parametrize("seconds", [0.5, 6.4, 60])
def test_no_beat_is_at_the_end_or_before_the_start_and_none_is_missing(bpm: float, seconds: float):
    for share in (0, 0.3, 0.999):
        beats = steady(seconds, bpm=bpm, offset=share * seconds)
        assert 0 <= beats.times[0] < 60 / bpm
        assert 0 < seconds - beats.times[-1] <= 60 / bpm + 1e-6
        assert len(beats.times) in {int(seconds * bpm / 60), int(seconds * bpm / 60) + 1}


def test_a_loop_of_whole_beats_has_that_many():
    assert len(steady(6.4, bpm=150).times) == 16
    assert len(steady(6.4, bpm=150).downbeats) == 4
    assert tempo(steady(6.4, bpm=150)) == pytest.approx(150)


def test_a_meter_counts_the_beats_of_its_upper_number():
    assert [beats_in(meter) for meter in ("4/4", "3/4", "6/8", " 12/16 ")] == [4, 3, 6, 12]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"bpm": 0}, "bpm must be between 20 and 400, got 0"),
        ({"bpm": float("nan")}, "bpm must be between 20 and 400, got nan"),
        ({"offset": 4}, "offset must lie within the sound, 0 to 4 s, got 4 s"),
        ({"offset": -0.1}, "offset must lie within the sound, 0 to 4 s, got -0.1 s"),
        ({"meter": "4"}, "a meter is written like 4/4, 3/4 or 6/8, with 1 to 32 beats, got '4'"),
        ({"meter": "0/4"}, "a meter is written like 4/4, 3/4 or 6/8, with 1 to 32 beats, got '0/4'"),
        ({"meter": "4/5"}, "a meter is written like 4/4, 3/4 or 6/8, with 1 to 32 beats, got '4/5'"),
    ],
)
def test_a_grid_that_is_none_is_refused(how: dict[str, float], message: str):
    with pytest.raises(ConfigError) as refusal:
        _ = steady(4.0, **how)  # pyright: ignore[reportArgumentType]
    assert str(refusal.value) == message


def test_taps_are_beats_as_given():
    assert tapped([0.1, 0.62, 1.1, 1.6, 2.1], meter="2/4") == Beats((0.1, 0.62, 1.1, 1.6, 2.1), (0.1, 1.1, 2.1))
    for taps in ([], [1.0], [1.0, 0.5], [-1.0, 2.0], [1.0, 1.0]):
        with pytest.raises(ConfigError, match="taps"):
            _ = tapped(taps)


def test_bars_and_beats_are_counted_from_1_and_the_upbeat_is_bar_0():
    beats = Beats((0.1, 0.2, 0.3, 0.4, 0.5), (0.2, 0.4))
    assert list(positions(beats)) == [(0, 1), (1, 1), (1, 2), (2, 1), (2, 2)]


def test_tempo_is_that_of_most_beats():
    assert tempo(Beats((0.0, 0.5, 1.0, 1.5, 3.0))) == pytest.approx(120)
    assert tempo(Beats((1.0,))) is None


@pytest.mark.parametrize(
    "text",
    [
        "0.500000\t0.500000\t1\n1.0\t1.0\t2\n\n1.5\t1.5\t1\n",
        "0.5\t0.6\t7.1\n1.0\t1.0\t7.2\n\\\t100.0\t200.0\n1.5\t1.5\t8.1",
        "# by ear\n1.5\t1\r\n0.5\t1\r\n1.0\t\r\n",
        "\ufeff0.5 1\n1.0 2\n1.5 1",
        "0,5\t0,5\t1\n1,0\t1,0\t\n1,5\t1,5\t1",
    ],
)
def test_labels_are_read_as_programs_write_them(text: str):
    assert from_labels(text) == Beats((0.5, 1.0, 1.5), (0.5, 1.5))


def test_labels_without_words_are_beats_without_bars():
    assert from_labels("0.5\n1.0\n") == Beats((0.5, 1.0))


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20, unique=True).map(sorted), st.data())
def test_labels_are_the_same_after_writing_and_reading(micros: list[int], data: st.DataObject):
    times = tuple(micro / 1e6 for micro in micros)
    downbeats = tuple(time for time in times if data.draw(st.booleans()))
    assert from_labels(as_labels(Beats(times, downbeats))) == Beats(times, downbeats)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the labels name no beat"),
        ("RIFF\x00\x01", "line 1 of the labels must begin with a time in seconds, got 'RIFF"),
        ("0.5\t0.5\t1\nsoon\t1\t1", "line 2 of the labels must begin with a time in seconds, got 'soon"),
        ("-1\t-1\t1", "beats must be finite and from 0 s"),
        ("nan\tnan\t1", "beats must be finite and from 0 s"),
    ],
)
def test_labels_that_are_none_are_refused(text: str, message: str):
    with pytest.raises(AudioError, match=message):
        _ = from_labels(text)
