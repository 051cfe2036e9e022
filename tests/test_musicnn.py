"""The embedding of a music tagger: the published network, as measured once, and what it hears."""

import math

import pytest
import torch
from torch import Tensor

from ostinato.errors import AudioError
from ostinato.evaluate.embedding import embed, tagger
from ostinato.metrics import frechet_distance
from ostinato.nn.musicnn import MusicNN, listen
from ostinato.resampling import resample
from ostinato.types import Audio

RATE = 16000
GOLDEN = [0.6465, -0.0329, 0.0031, -0.1861, -0.0787, 0.6411, 0.8308, -0.1957, -0.0242, -0.6351, -0.0592, -0.1891]


def tune(seconds: float, rate: int = RATE, pitch: float = 110.0) -> Tensor:
    """A tone that rises and is plucked twice a second, over a square wave that ticks four times a second."""
    time = torch.arange(round(seconds * rate)).double() / rate
    tone = (2 * math.pi * (pitch * time + 90 * time**2)).sin() * (-6 * ((2 * time) % 1)).exp()
    tick = (2 * math.pi * 1760 * time).sin().sign() * (((4 * time) % 1) < 0.1)
    return (0.3 * tone + 0.1 * tick).float()


def sound(wave: Tensor, rate: int = RATE) -> Audio:
    return Audio(wave.expand(1, 1, -1), rate)


def test_the_embedding_is_that_of_the_published_network():
    """The numbers were computed from the published arrays by another implementation, in double precision."""
    (found,) = embed([sound(tune(3.025))])
    assert found[:12].tolist() == pytest.approx(GOLDEN, abs=2e-3)
    assert float(found.norm()) == pytest.approx(7.2712, abs=5e-3)


def test_every_three_seconds_are_a_window_and_the_rest_is_dropped():
    assert [len(embed([sound(tune(seconds))])) for seconds in (2.99, 5.9, 6.1)] == [1, 1, 2]
    assert embed([sound(tune(1.0)), sound(tune(3.1)), sound(tune(6.1))]).shape == (3, 200)
    with pytest.raises(AudioError, match=r"the embedding needs sounds of at least 2\.99 s; there is none"):
        _ = embed([sound(tune(1.0))])


def test_windows_are_heard_alone():
    both = embed([sound(tune(6.1))])
    assert torch.allclose(tagger()(listen(tune(6.1)[None])[1:]), both[1:], atol=1e-5)


def test_the_rate_and_the_channels_matter_little():
    plain = embed([sound(tune(3.1))])
    high = embed([resample(sound(tune(3.1)), 44100)])
    wide = embed([Audio(tune(3.1).expand(1, 2, -1), RATE)])
    other = embed([sound(tune(3.1, pitch=300.0))])
    assert torch.allclose(wide, plain, atol=1e-5)
    assert (high - plain).norm() < 0.3 * (other - plain).norm()


def test_noise_is_further_away_the_louder_it_is():
    chance = torch.Generator().manual_seed(0)
    waves = [tune(3.1, pitch=100.0 + 40 * number) for number in range(12)]
    clean = embed(sound(wave) for wave in waves)
    far = [
        frechet_distance(clean, embed(sound(w + level * torch.randn(len(w), generator=chance)) for w in waves))
        for level in (0.001, 0.01, 0.1)
    ]
    assert far == sorted(far)
    assert far[0] > 0


def test_a_network_without_its_weights_has_their_shapes():
    assert {key: value.shape for key, value in MusicNN().state_dict().items()} == {
        key: value.shape for key, value in tagger().state_dict().items()
    }
    assert sum(p.numel() for p in tagger().parameters()) < 792_079
