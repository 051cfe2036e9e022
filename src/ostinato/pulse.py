"""From how likely each moment is a beat to the beats themselves: a path through peaks, or one tempo; then bars."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from .config import config, knob
from .errors import ConfigError

FINE = 100.0
STEP = 1.02
LEAN = 2
TURN = 2
UNSURE, CLEAR, SURE = 0.1, 0.3, 0.97
NEAR, WIDE = 3, 2
AROUND, SLIP = 0.01, 1.5
FEW = 4

Curve = Float[np.ndarray, " frame"]


@config
class Picking:
    """How beats are chosen from a curve of likelihoods: bounds of tempo, and what leaving a steady pulse costs.

    Costs are in nats: a moment that is surely a beat is worth 3.5, one that is surely none costs 2.2, before `eager`.
    """

    slowest: float = knob("lowest tempo", default=50.0, unit="beats a minute", low=10, high=1000)
    fastest: float = knob("highest tempo", default=220.0, unit="beats a minute", low=10, high=1000)
    eager: float = knob("how much likelier a beat is taken to be than the curve says", default=0.35, low=-2, high=2)
    turning: float = knob("cost of a tempo that changes by 2 % from one beat to the next", default=1.0, low=0)
    leaning: float = knob("cost of a beat that is 10 ms early or late", default=0.25, low=0)
    breaking: float = knob("cost of starting afresh, in any tempo, after a break", default=30.0, low=0)
    steady: float = knob(
        "share of the likelihood of a free path that one at a single tempo needs to be taken instead; 2 is never",
        default=0.4,
        low=0,
        high=2,
    )
    metres: tuple[int, ...] = knob("beats that a bar may have", default=(2, 3, 4))
    switching: float = knob("cost of another metre from one bar to the next", default=6.0, low=0)

    def __post_init__(self) -> None:
        if self.slowest >= self.fastest:
            raise ConfigError(f"Picking.slowest must be below fastest ({self.fastest:g}), got {self.slowest:g}")
        if not self.metres or min(self.metres) < 1:
            raise ConfigError(f"Picking.metres must be whole numbers from 1, at least one, got {self.metres}")


def follow(curve: Curve, rate: float, how: Picking) -> tuple[Float[np.ndarray, " beat"], Float[np.ndarray, " beat"]]:
    """The beats along the likeliest path: their times in seconds, and how likely each is by `curve`.

    A path may turn and break. Where one tempo from end to end is nearly as likely, that is taken instead, through all
    that sounds: music played to a click does not change its phase for a few bars, as peaks off the beat suggest.

    Args:
        curve: probability of a beat in each frame, 0 to 1; frame `n` stands for the time `n / rate`.
        rate: frames in a second, in Hz.
        how: bounds and costs.

    Returns:
        Nothing where no path is likelier than silence, such as for a curve of zeros.

    Source: dynamic programming over beats (Ellis, "Beat tracking by dynamic programming", 2007, section 3), with
    the tempo as a part of the state (Krebs, Böck, Widmer, ISMIR 2015) and breaks at a fixed cost.
    """
    if len(curve) == 0:
        return np.zeros(0), np.zeros(0)
    fine = _resampled(curve, rate)
    sure = np.clip(fine, UNSURE, SURE)
    odds = np.log(sure) - np.log1p(-sure) + how.eager
    path = _Paths(odds, how).best()
    times = np.array([_centre(fine, at) for at in path.tolist()])
    if len(path) >= FEW:
        near = np.where(fine > 0, _highest(odds, WIDE), 0)
        score, steady = _steady(near, float(np.median(np.diff(times))))
        if score >= how.steady * odds[path].sum():
            path = np.array([_peak(fine, at) for at in steady[fine[steady] > 0].tolist()])
            times = np.array([_centre(fine, at) for at in path.tolist()])
    return times / FINE, fine[path]


def bars(likely: Float[np.ndarray, " beat"], how: Picking) -> Int[np.ndarray, " downbeat"]:
    """Which beats begin a bar, by number, given how likely each beat is to: bars of one metre while that is likely."""
    if len(likely) == 0:
        return np.zeros(0, dtype=np.int64)
    metres = np.array(how.metres)
    ends = np.cumsum(metres) - 1
    starts = ends - metres + 1
    sure = np.clip(likely, 1 - SURE, SURE)
    first, other = np.log(sure), np.log1p(-sure)
    cost = how.switching * (metres[:, None] != metres[None, :])
    score = np.full(metres.sum(), other[0])
    score[starts] = first[0]
    back = np.zeros((len(likely), len(score)), dtype=np.int64)
    for beat in range(1, len(likely)):
        came = np.arange(len(score)) - 1
        leaving = score[ends][None, :] - cost
        came[starts] = ends[leaving.argmax(1)]
        fresh = score[came] + other[beat]
        fresh[starts] = leaving.max(1) + first[beat]
        score, back[beat] = fresh, came
    state = int(score.argmax())
    states = [state]
    for beat in range(len(likely) - 1, 0, -1):
        state = int(back[beat, state])
        states.append(state)
    return np.flatnonzero(np.isin(states[::-1], starts))


def near(curve: Curve, rate: float, times: Sequence[float] | Float[np.ndarray, " beat"]) -> Float[np.ndarray, " beat"]:
    """The highest value of `curve` within 30 ms of each time."""
    fine = _resampled(curve, rate)
    found = [round(time * FINE) for time in times]
    return np.array([fine[max(0, at - NEAR) : at + NEAR + 1].max(initial=0.0) for at in found])


def _resampled(curve: Curve, rate: float) -> Float[np.ndarray, " moment"]:
    """`curve` at 100 Hz."""
    last = (len(curve) - 1) / rate
    return np.interp(np.arange(int(last * FINE) + 1) / FINE, np.arange(len(curve)) / rate, curve)


def _highest(curve: Curve, side: int) -> Curve:
    """The highest value within `side` frames of each."""
    padded = np.pad(curve, side, constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * side + 1).max(1)


def _steady(odds: Curve, period: float) -> tuple[float, Int[np.ndarray, " beat"]]:
    """The most that beats at one tempo, within 1 % of a period in frames, gain from end to end; and their frames."""
    count = len(odds)
    periods = period * np.linspace(1 - AROUND, 1 + AROUND, max(3, round(2 * AROUND * count / SLIP)))
    best, found = -np.inf, np.zeros(0, dtype=np.int64)
    for each in periods:
        frames = np.rint(np.arange(int(each) + 1)[:, None] + each * np.arange(int(count / each) + 1)).astype(np.int64)
        inside = frames < count
        scores = np.where(inside, odds[np.minimum(frames, count - 1)], 0).sum(1)
        first = int(scores.argmax())
        if scores[first] > best:
            best, found = float(scores[first]), frames[first, inside[first]]
    return best, found


def _peak(fine: Curve, at: int) -> int:
    """The top of the clear peak next to a fine frame; the frame itself where there is none."""
    low = max(0, at - NEAR)
    highest = low + int(fine[low : at + NEAR + 1].argmax())
    return highest if fine[highest] > CLEAR else at


def _centre(fine: Curve, at: int) -> float:
    """The middle of the peak at or next to a fine frame."""
    low = max(0, at - NEAR)
    weights = fine[low : at + NEAR + 1] ** 2
    return low + float(weights @ np.arange(len(weights))) / weights.sum() if fine[at] > UNSURE else float(at)


class _Paths:
    """Best scores of paths that end in a beat at a frame with a period, filled block by block.

    A block is shorter than the shortest period, so that all its frames look back at finished ones. A state is a
    frame times the number of periods, plus the number of a period; -1 is none.
    """

    def __init__(self, odds: Curve, how: Picking) -> None:
        self.odds, self.how = odds, how
        shortest, longest = 60 * FINE / how.fastest, 60 * FINE / how.slowest
        count = max(2, round(np.log(longest / shortest) / np.log(STEP)) + 1)
        self.periods = np.rint(np.geomspace(max(shortest, LEAN + 2), longest, count)).astype(np.int64)
        self.block, self.past = int(self.periods[0]) - LEAN, int(self.periods[-1]) + LEAN
        shape = (self.past + len(odds), count)
        self.settled, self.turned = np.full(shape, -np.inf), np.zeros(shape, dtype=np.int16)
        self.back = np.full((len(odds), count), -1, dtype=np.int64)
        self.top, self.top_at = np.zeros(len(odds) + 1), np.full(len(odds) + 1, -1, dtype=np.int64)

    def best(self) -> Int[np.ndarray, " beat"]:
        """The frames of the beats on the best path, in order."""
        for start in range(0, len(self.odds), self.block):
            rows = np.arange(start, min(len(self.odds), start + self.block))
            score = self._score(rows)
            self._turn(rows, score)
            self._climb(rows, score)
        found, state = [], int(self.top_at[-1])
        while state >= 0:
            frame, period = divmod(state, len(self.periods))
            found.append(frame)
            state = int(self.back[frame, period])
        return np.array(found[::-1], dtype=np.int64)

    def _score(self, rows: Int[np.ndarray, " row"]) -> Float[np.ndarray, "row period"]:
        """Scores of a beat at each row: one period after another beat, or afresh after the best path that ended."""
        leans, columns = np.arange(-LEAN, LEAN + 1), np.arange(len(self.periods))
        places = self.past + rows[:, None, None] - self.periods[:, None] + leans
        reached = self.settled[places, columns[:, None]] - self.how.leaning * np.abs(leans)
        choice = reached.argmax(2)[..., None]
        gained = np.take_along_axis(reached, choice, 2)[..., 0]
        came = np.take_along_axis(places, choice, 2)[..., 0]
        ended = np.maximum(0, rows - self.block)
        afresh = self.top[ended] - self.how.breaking
        jumped = np.where(afresh > 0, self.top_at[ended], -1)[:, None]
        afresh = np.maximum(0, afresh)[:, None]
        state = (came - self.past) * len(self.periods) + self.turned[came, columns]
        self.back[rows] = np.where(gained > afresh, state, jumped)
        return self.odds[rows, None] + np.maximum(gained, afresh)

    def _turn(self, rows: Int[np.ndarray, " row"], score: Float[np.ndarray, "row period"]) -> None:
        """For each period, keep the best of it and its neighbours less what turning costs, and which that was."""
        count = len(self.periods)
        padded = np.pad(score, ((0, 0), (TURN, TURN)), constant_values=-np.inf)
        options = np.stack([padded[:, i : i + count] for i in range(2 * TURN + 1)])
        options -= self.how.turning * np.abs(np.arange(-TURN, TURN + 1))[:, None, None]
        choice = options.argmax(0)
        self.settled[self.past + rows] = np.take_along_axis(options, choice[None], 0)[0]
        self.turned[self.past + rows] = np.arange(count) + choice - TURN

    def _climb(self, rows: Int[np.ndarray, " row"], score: Float[np.ndarray, "row period"]) -> None:
        """Keep the best score so far, and the state that has it, after each row."""
        best, states = score.max(1), rows * len(self.periods) + score.argmax(1)
        before = np.maximum.accumulate(np.concatenate([self.top[rows[:1]], best]))
        last = np.maximum.accumulate(np.where(best > before[:-1], np.arange(len(rows)), -1))
        self.top[rows + 1] = before[1:]
        self.top_at[rows + 1] = np.where(last >= 0, states[last], self.top_at[rows[0]])
