"""The music that the tracker learns from: its notes keep to its beats, in every style."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

RECIPE = Path(__file__).parents[1] / "recipes" / "beats"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(RECIPE))
    return importlib.import_module("compose")


def styles() -> list[str]:
    text = (RECIPE / "patterns.py").read_text(encoding="utf-8")
    return [line.split('"')[1] for line in text.split("STYLES:")[1].splitlines() if line.startswith('    "')]


@pytest.mark.parametrize("style", styles())
def test_a_piece_has_its_bars_on_its_beats_and_its_notes_in_time(recipe: ModuleType, style: str):
    piece = recipe.compose(np.random.default_rng(3), 30, style)
    assert set(piece.downbeats) <= set(piece.beats)
    assert np.diff(piece.beats).min() > 0.2
    assert abs(piece.beats[-1] - 30) < 10
    notes = [note for part in piece.notes.values() for note in part]
    assert all(0 <= note.start < note.end and 0 < note.pitch < 128 and 0 < note.velocity < 128 for note in notes)


def test_a_bass_drum_on_every_beat_is_on_every_beat(recipe: ModuleType):
    for seed in range(20):
        piece = recipe.compose(np.random.default_rng(seed), 30, "electronic")
        kicks = np.array([note.start for note in piece.notes["drums"] if note.pitch == recipe.DRUMS["kick"]])
        on_time = [np.abs(kicks - beat).min() < 0.03 for beat in piece.beats]
        if np.mean(on_time) > 0.9:
            return
    pytest.fail("no piece out of twenty has a bass drum on nine beats out of ten")


def test_the_same_seed_writes_the_same_piece(recipe: ModuleType):
    a, b, c = (recipe.compose(np.random.default_rng(seed), 20) for seed in (1, 1, 2))
    assert a.notes == b.notes
    assert a.notes != c.notes
