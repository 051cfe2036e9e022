"""Excerpts are drawn by (seed, index) and nothing else."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ostinato.data import Excerpts, draw, songs
from ostinato.errors import CorpusError


@pytest.fixture
def music(tmp_path: Path) -> Path:
    chance = np.random.default_rng(0)
    (tmp_path / "sub").mkdir()
    for name, rate, channels, seconds in (
        ("a.wav", 44100, 2, 0.5),
        ("sub/b.flac", 22050, 1, 1.0),
        ("c.ogg", 44100, 2, 2),
    ):
        soundfile.write(tmp_path / name, chance.normal(size=(int(rate * seconds), channels)) * 0.1, rate)
    _ = (tmp_path / "notes.txt").write_text("not music")
    return tmp_path


def test_songs_are_found_below_the_folder_in_order(music: Path):
    assert [s.path.name for s in songs(music)] == ["a.wav", "c.ogg", "b.flac"]
    assert [s.path.name for s in songs(music, least=0.9)] == ["c.ogg", "b.flac"]


def test_an_excerpt_is_the_same_on_every_call_and_another_at_every_index(music: Path):
    excerpts = Excerpts(songs(music), 5000, 44100, seed=3, gain=24)
    assert torch.equal(excerpts.excerpt(7), excerpts.excerpt(7))
    assert not torch.equal(excerpts.excerpt(7), excerpts.excerpt(8))
    assert torch.equal(excerpts.batch(2, 4)[1], excerpts.excerpt(9))
    assert not torch.equal(excerpts.excerpt(7), Excerpts(songs(music), 5000, 44100, seed=4).excerpt(7))


def test_excerpts_have_one_length_at_any_sample_rate(music: Path):
    batch = Excerpts(songs(music), 30000, 44100, seed=0).batch(0, 12)
    assert batch.shape == (12, 30000)
    assert batch.dtype == torch.float32


def test_the_level_only_falls(music: Path):
    one = songs(music)[1:2]
    loud, varied = (Excerpts(one, 4000, 44100, seed=0, gain=g).batch(0, 24).abs().amax(1) for g in (0.0, 24.0))
    assert bool((varied <= loud + 1e-6).all())
    assert float((varied / loud).min()) < 0.5


def test_chance_depends_on_its_whole_path():
    firsts = {float(draw(*path).random()) for path in ((0, 0), (0, 1), (1, 0), (0, 0, 0), (0, 1, 0))}
    assert len(firsts) == 5


def test_a_folder_without_music_is_refused(tmp_path: Path):
    with pytest.raises(CorpusError, match="no folder of music"):
        songs(tmp_path / "none")
    with pytest.raises(CorpusError, match="no audio of 0 s or more"):
        songs(tmp_path)
    _ = (tmp_path / "bad.wav").write_text("text")
    with pytest.raises(CorpusError, match=r"bad\.wav is not audio"):
        songs(tmp_path)
