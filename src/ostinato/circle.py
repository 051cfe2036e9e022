"""Sounds that go round in a circle, coded so that the end meets the start.

A loop is seldom a whole number of frames long. It is resampled so that the nearest whole number of frames makes up
its length exactly (the nearest multiple of the codec's `period`, so that phases meet, too: two frames in the default
one), coded, and resampled back by the same ratio: its pitch, tempo and length stay what they were, and every frame,
those at the seam too, holds as much of it as any other. Only the codec hears it up to a frame longer or shorter in all:
by 15 cents where the loop lasts two seconds, and less the longer it is. A last frame cut short, or one that overlaps
the first, would be a place unlike the others, and so a seam.

The codec is given the loop with its own end before it and its own start after it, as far as its results reach.
"""

from .codec import Codec
from .resampling import circular
from .types import Codes, Signal
from .windows import around


def encode_circle(codec: Codec, signal: Signal, frames: int) -> Codes:
    """Codes of signals that go round, in so many frames. Signals that are turned by frames have their codes turned.

    The signals may have any sample rate; `grid.frames_around(samples, codec.period)` tells how many frames are best.
    """
    hop, reach = codec.grid.hop, codec.reach
    fitted = circular(signal, frames * hop)
    return codec.encode(around(fitted, reach * hop))[..., reach : reach + frames]


def decode_circle(codec: Codec, codes: Codes, samples: int) -> Signal:
    """The signals of codes that go round, `samples` samples to a round, at any sample rate.

    Turned by multiples of the codec's period, they turn with the codes; by others, phases may change.
    """
    hop, reach, frames = codec.grid.hop, codec.reach, codes.shape[-1]
    wave = codec.decode(around(codes, reach), (frames + 2 * reach) * hop)
    return circular(wave[..., reach * hop : (reach + frames) * hop], samples)
