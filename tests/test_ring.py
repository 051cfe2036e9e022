"""The telephone's ring: when it listens, what it plays, and who is next."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ostinato.errors import AudioError
from ostinato.serve.ring import Ring, Room, laid_out, ring_file

ROOM = Room(channels=3, rate=8000, seconds=1.0, hold=0.2, before=0.1)


def noise(seconds: float, level: float = 0.3, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(round(8000 * seconds))).astype(np.float32)


def said(ring: Ring, wave: np.ndarray, block: int = 200) -> list[int]:
    """The blocks at which a sound was taken in."""
    return [k for k in range(len(wave) // block) if ring.hear(wave[k * block : (k + 1) * block])]


def test_a_sound_is_taken_in_once_it_is_over_with_what_was_before_it():
    ring, word = Ring(ROOM), noise(0.3)
    taken = said(ring, np.concatenate([noise(0.5, 1e-4, 1), word, noise(1.0, 1e-5, 2)]))
    assert len(taken) == 1
    held = ring.sound()
    assert np.flatnonzero(np.abs(held) > 0.01)[0] == pytest.approx(800, abs=50)
    assert np.abs(held[800:3200] - word[:2400]).max() < 1e-6
    assert ring.waiting == 3


def test_a_long_sound_is_taken_in_when_the_ring_is_full_and_silence_never():
    assert said(Ring(ROOM), noise(3.0)) == [39]
    assert said(Ring(ROOM), noise(3.0, 1e-4)) == []


def test_no_one_is_heard_until_the_ring_has_come_back():
    ring = Ring(ROOM)
    assert said(ring, noise(2.0))
    for waits in (2, 1, 0):
        assert said(ring, noise(2.0)) == []
        ring.hand_on(ring.sound())
        assert ring.waiting == waits
    assert said(ring, noise(2.0))


def test_a_ring_may_listen_before_it_has_come_back():
    ring = Ring(ROOM)
    assert said(ring, noise(2.0))
    ring.listen()
    assert ring.waiting == 0
    assert said(ring, noise(2.0))


def test_what_is_said_is_mixed_with_what_is_left_and_the_others_go_half_as_loud():
    ring = Ring(ROOM)
    ring.sounds[:] = 0.4
    assert said(ring, noise(2.0, 0.2))
    assert (ring.sounds[:, 1:] == np.float32(0.2)).all()
    assert ring.sounds[:, 0].mean() == pytest.approx(0.1, abs=0.02)


def test_the_ring_plays_round_and_round_and_fades_over_what_changes():
    ring = Ring(ROOM)
    ring.sounds[:] = noise(1.0)[:, None]
    whole = np.concatenate([ring.play(300) for _ in range(80)])
    assert (whole == np.tile(noise(1.0), 3)[:, None]).all()
    ring = Ring(ROOM)
    ring.hand_on(np.ones(8000, np.float32))
    steps = np.abs(np.diff(ring.play(400)[:, 1]))
    assert steps.max() < 0.02
    assert ring.current == 1


def test_hops_are_laid_out_around_the_ring_and_kept_as_one_file(tmp_path: Path):
    hops = [np.full(10, k + 1, np.float32) for k in range(4)]
    whole = laid_out(hops, 3)
    assert whole[::10].tolist() == [[1, 0, 0], [1, 2, 0], [1, 2, 3], [4, 2, 3]]
    with ring_file(tmp_path / "ring.wav", 8000, 3, 1.0) as write:
        for at in range(0, 40, 7):
            write(whole[at : at + 7])
    again, rate = soundfile.read(tmp_path / "ring.wav", dtype="float32")
    assert (again == whole).all()
    assert rate == 8000
    with pytest.raises(AudioError, match="cannot write"), ring_file(tmp_path / "none" / "ring.wav", 8000, 3, 1.0):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["ring.wav"]
