"""The codec that VampNet was published with: waveform convolutions, factorised residual codes, a convolutional decoder.

It is DAC's elder sibling (arXiv:2306.06546), with a decoder that fuses three kernel widths. It is built layer for
layer, with weight normalisation folded in; `interop.vampnet` reads the published file into it.
"""

import math
from collections.abc import Callable, Iterable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .config import config, knob
from .errors import AudioError, ConfigError
from .nn.lac import decoder, decoder_reach, encoder, encoder_reach
from .nn.quantize import ResidualQuantizer
from .types import Codes, CodesStream, Grid, MeansStream, Signal, SignalStream
from .windows import open_windows


@config
class LACConfig:
    """Sizes of the codec. Strides multiply to the grid's hop, both ways; channels double with each on the way in.

    A published file says its own sizes; the defaults only go together.
    """

    grid: Grid = knob("the raster of tokens", default=Grid(codebooks=14))
    width_in: int = knob("channels of the encoder at the sample rate", default=64, low=1)
    strides_in: tuple[int, ...] = knob("steps down in rate, first to last; even", default=(2, 6, 8, 8))
    width_out: int = knob("channels of the decoder at the frame rate; halved with each step up", default=512, low=1)
    strides_out: tuple[int, ...] = knob("steps up in rate, first to last; even", default=(8, 8, 6, 2))
    dim: int = knob("dimension of the code vectors", default=8, low=1)
    window: int = knob("frames coded at once", default=576, unit="frames", low=1)

    def __post_init__(self) -> None:
        for name, strides in (("strides_in", self.strides_in), ("strides_out", self.strides_out)):
            if math.prod(strides) != self.grid.hop:
                raise ConfigError(f"LACConfig.{name} must multiply to grid.hop ({self.grid.hop}), got {strides}")
            if any(stride < 2 or stride % 2 for stride in strides):
                raise ConfigError(f"LACConfig.{name} must be even and at least 2, got {strides}")
        if self.width_out % 2 ** len(self.strides_out):
            halvings = len(self.strides_out)
            raise ConfigError(f"LACConfig.width_out must halve {halvings} times, got {self.width_out}")

    @property
    def features(self) -> int:
        """Features of a frame between encoder and decoder."""
        return self.width_in * 2 ** len(self.strides_in)

    @property
    def context_in(self) -> int:
        """Frames on either side whose samples can reach a frame's codes."""
        first, last = encoder_reach(self.strides_in)
        return max(-(first // self.grid.hop), last // self.grid.hop)

    @property
    def context_out(self) -> int:
        """Frames on either side whose codes can reach a frame's samples."""
        first, last = decoder_reach(self.strides_out)
        return max(-first, last)


class LAC(nn.Module):
    """VampNet's codec.

    `analyse` and `render` take a whole sound at once, as published: every layer sees zeros beyond the ends. The
    rest of the `Codec` protocol works in fixed windows that begin at multiples of `window` frames and are given
    all the context that can reach them, and no zeros but at the two ends. So codes do not depend on how a sound
    was cut, memory is flat, and a sound of at most `window` frames is coded exactly as published; a longer one
    up to the rounding of sums.
    """

    def __init__(self, settings: LACConfig) -> None:
        super().__init__()
        self.config = c = settings
        self.encoder = encoder(c.width_in, c.strides_in)
        self.quantizer = ResidualQuantizer(c.features, c.grid.codebooks, c.grid.vocabulary, c.dim, by_direction=True)
        self.decoder = decoder(c.features, c.width_out, c.strides_out)

    @property
    def grid(self) -> Grid:
        return self.config.grid

    @property
    def reach(self) -> int:
        return max(self.config.context_in, self.config.context_out)

    @property
    def period(self) -> int:
        return 1

    @property
    def draws_phases(self) -> bool:
        return False

    def vectors(self) -> Float[Tensor, "codebook vocab dim"]:
        """The code vectors of every codebook."""
        return torch.stack([level.codebook.detach() for level in self.quantizer.levels])

    def analyse(self, signal: Signal) -> Float[Tensor, "batch frame channel"]:
        """Features before quantisation of a whole signal, filled up with silence to whole frames."""
        missing = -signal.shape[-1] % self.grid.hop
        whole = nn.functional.pad(signal.float(), (0, missing))
        return self.encoder(whole[:, None]).transpose(1, 2)

    def render(self, features: Float[Tensor, "batch frame channel"]) -> Signal:
        """The signal of quantised features, `grid.hop` samples a frame."""
        return self.decoder(features.transpose(1, 2))[:, 0]

    def tokens(self, signal: Signal) -> Codes:
        """The codes of a whole signal, filled up with silence to whole frames."""
        return self.quantizer.encode(self.analyse(signal))

    @torch.no_grad()
    def encode_blocks(self, blocks: SignalStream) -> CodesStream:
        """Codes of a stream of blocks, a window at a time; the last frame is filled up with silence."""
        c, hop = self.config, self.grid.hop
        for part, start, length in open_windows(blocks, c.window * hop, c.context_in * hop):
            rows = [self.tokens(row[None]) for row in part]
            first = start // hop
            yield torch.cat(rows)[..., first : first + self.grid.frames_of(length)]

    def decode_blocks(self, codes: CodesStream, samples: int) -> SignalStream:
        """The signal of a stream of codes, a window at a time, `samples` samples in all.

        Raises:
            AudioError: there are fewer codes than that.
        """
        return self._decoded(codes, self.quantizer.decode, samples)

    def decode_means(self, means: MeansStream, samples: int) -> SignalStream:
        """The same for code vectors that may lie between codes."""
        return self._decoded(means, self.quantizer.blend, samples)

    @torch.no_grad()
    def _decoded(
        self, parts: Iterable[Tensor], features: Callable[[Tensor], Tensor], samples: int
    ) -> Iterator[Float[Tensor, "_ _"]]:
        c, hop, left = self.config, self.grid.hop, samples
        for part, start, length in open_windows(parts, c.window, c.context_out):
            rows = [self.render(features(row[None])) for row in part]
            wave = torch.cat(rows)[..., start * hop : (start + length) * hop][..., :left]
            yield wave
            left -= wave.shape[-1]
        if left > 0:
            raise AudioError(f"these codes hold {samples - left} samples, fewer than the {samples} asked for")

    def encode(self, signal: Signal) -> Codes:
        """The codes of each row of `signal`."""
        return torch.cat(list(self.encode_blocks([signal])), dim=-1)

    def decode(self, codes: Codes, samples: int) -> Signal:
        """`samples` samples for each row of `codes`, which may hold only the lowest codebooks."""
        return torch.cat(list(self.decode_blocks([codes], samples)), dim=-1)
