"""The codec: audio to a grid of tokens and back.

The default is spectral: short-time spectra in, ConvNeXt blocks at frame rate, residual quantisation, and
magnitudes and phases out, after Vocos (arXiv:2306.00814) and DAC (arXiv:2306.06546). It codes one channel;
what the channels of a stereo sound become is decided in `pipeline`.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor, nn

from .config import config, knob
from .dsp import covered, spectrum, synthesis
from .errors import AudioError, ConfigError
from .nn.convnext import Merge, Split, Stage
from .nn.describe import band_means, describe, log_magnitude, seen, turning
from .nn.quantize import ResidualQuantizer
from .types import Codes, CodesStream, Grid, Means, MeansStream, Signal, SignalStream
from .windows import windows

FADE = 0.25  # of a silent frame, next to one that sounds
AUDIBLE = 1e-3  # a frame whose peak is above can be heard


@runtime_checkable
class Codec(Protocol):
    """Turns signals into codes and back; codes do not depend on how a long signal was cut."""

    quantizer: ResidualQuantizer

    @property
    def grid(self) -> Grid: ...

    @property
    def reach(self) -> int:
        """Frames on either side that a code or a sample can depend on."""
        ...

    @property
    def period(self) -> int:
        """Frames after which time is alike: a circle turned by a multiple of it is drawn the same, turned.

        By other numbers of frames, phases may change.
        """
        ...

    @property
    def draws_phases(self) -> bool:
        """Whether phases are drawn anew, much the same ones in rows that go with each other."""
        ...

    def encode(self, signal: Signal) -> Codes:
        """The codes of each row: `grid.frames_of(samples)` frames of `grid.codebooks` tokens."""
        ...

    def decode(self, codes: Codes, samples: int) -> Signal:
        """`samples` samples for each row; `codes` may hold only the lowest codebooks."""
        ...

    def encode_blocks(self, blocks: SignalStream) -> CodesStream:
        """`encode` for a stream of blocks of any length, in flat memory."""
        ...

    def decode_blocks(self, codes: CodesStream, samples: int) -> SignalStream:
        """`decode` for a stream of codes, in flat memory."""
        ...

    def decode_means(self, means: MeansStream, samples: int) -> SignalStream:
        """`decode` for a stream of code vectors that may lie between codes, in flat memory.

        Each is a vector, then 1, or 0 where a cell says nothing.
        """
        ...

    def vectors(self) -> Float[Tensor, "codebook vocab dim"]:
        """The code vectors of every codebook, for a model to look up."""
        ...


@config
class CodecConfig:
    """Sizes of the spectral codec. The fast rate is that of the spectra, the slow one that of the tokens."""

    grid: Grid = knob("the raster of tokens", default=Grid())
    size: int = knob("length of a spectral frame", default=1536, unit="samples", low=4)
    hop: int = knob("distance of spectral frames; divides the grid's hop", default=384, unit="samples", low=1)
    fast_in: int = knob("encoder width at the fast rate", default=192, low=1)
    fast_in_blocks: int = knob("encoder blocks at the fast rate", default=2, low=1)
    slow_in: int = knob("encoder width at the slow rate", default=288, low=1)
    slow_in_blocks: int = knob("encoder blocks at the slow rate", default=4, low=1)
    slow_out: int = knob("decoder width at the slow rate", default=384, low=1)
    slow_out_blocks: int = knob("decoder blocks at the slow rate", default=5, low=1)
    fast_out: int = knob("decoder width at the fast rate", default=256, low=1)
    fast_out_blocks: int = knob("decoder blocks at the fast rate", default=3, low=1)
    kernel: int = knob("width of the depthwise convolutions; odd", default=7, unit="frames", low=1)
    expansion: int = knob("widening inside a block", default=3, low=1)
    dim: int = knob("dimension of the code vectors", default=8, low=1)
    window: int = knob("frames coded at once", default=240, unit="frames", low=1)
    phased: int = knob("lowest bins whose phases are coded; above, they are drawn", default=0, low=0)
    phased_from: int = knob("lowest codebook that tells of phases; not the coarse model's", default=4, low=0)

    def __post_init__(self) -> None:
        if self.grid.hop % self.hop or self.size % (2 * self.hop):
            raise ConfigError(
                f"CodecConfig.hop must divide grid.hop ({self.grid.hop}) and half of size ({self.size}), got {self.hop}"
            )
        if self.window * self.factor * self.hop % self.size:
            raise ConfigError(
                f"CodecConfig.window must hold whole spectral frames of {self.size} samples, got {self.window} frames"
            )
        if self.kernel % 2 == 0:
            raise ConfigError(f"CodecConfig.kernel must be odd, got {self.kernel}")
        if self.phased and not (self.phased <= self.size // 2 and self.phased_from < self.grid.codebooks):
            raise ConfigError(
                f"CodecConfig.phased must be at most {self.size // 2}, half of size, and phased_from below "
                f"{self.grid.codebooks}, the number of codebooks, got {self.phased} and {self.phased_from}"
            )

    @property
    def factor(self) -> int:
        """Spectral frames in a token frame."""
        return self.grid.hop // self.hop

    @property
    def period(self) -> int:
        """Token frames in which a tone in the middle of any bin makes whole turns."""
        return self.size // math.gcd(self.size, self.grid.hop)

    @property
    def context(self) -> int:
        """Token frames on either side that can reach a result, in the encoder or the decoder."""
        reach = self.kernel // 2
        edge = -(-self.size // self.grid.hop)
        sides = (
            (self.fast_in_blocks, self.slow_in_blocks),
            (self.fast_out_blocks, self.slow_out_blocks),
        )
        return edge + max(slow * reach + -(-fast * reach // self.factor) for fast, slow in sides)


class SpectralCodec(nn.Module):
    """The default codec. Encoding and decoding run window by window, in fixed shapes, so that they are exact."""

    bands: Tensor

    def __init__(self, settings: CodecConfig) -> None:
        super().__init__()
        self.config = c = settings
        bins, shape = c.size // 2 + 1, {"kernel": c.kernel, "expansion": c.expansion}
        self.register_buffer("bands", band_means(bins), persistent=False)
        self.shape_in = nn.Linear(c.factor * self.bands.shape[1], c.slow_in)
        self.encoder = nn.Sequential(
            nn.Linear(seen(bins), c.fast_in),
            nn.LayerNorm(c.fast_in),
            Stage(c.fast_in, c.fast_in_blocks, **shape),
            Merge(c.fast_in, c.slow_in, c.factor),
            Stage(c.slow_in, c.slow_in_blocks, **shape),
            nn.LayerNorm(c.slow_in),
            nn.Linear(c.slow_in, c.slow_in),
        )
        self.quantizer = ResidualQuantizer(c.slow_in, c.grid.codebooks, c.grid.vocabulary, c.dim, join=c.phased_from)
        self.decoder = nn.Sequential(
            nn.Linear(c.slow_in, c.slow_out),
            nn.LayerNorm(c.slow_out),
            Stage(c.slow_out, c.slow_out_blocks, **shape),
            Split(c.slow_out, c.fast_out, c.factor),
            Stage(c.fast_out, c.fast_out_blocks, **shape),
            nn.LayerNorm(c.fast_out),
        )
        self.head = nn.Linear(c.fast_out, 2 * bins)
        self.shape_out = Split(c.slow_in, bins, c.factor)
        _ = nn.init.constant_(self.shape_out.part.bias, -6.0)
        if c.phased:
            self.phase_in = nn.Linear(c.factor * 2 * c.phased, c.slow_in, bias=False)
            self.phase_head = nn.Linear(c.fast_out, 2 * c.phased)
            self.phase_out = Split(c.slow_in, 2 * c.phased, c.factor)

    @property
    def grid(self) -> Grid:
        return self.config.grid

    @property
    def reach(self) -> int:
        return self.config.context

    @property
    def period(self) -> int:
        return self.config.period

    @property
    def draws_phases(self) -> bool:
        return True

    def vectors(self) -> Float[Tensor, "codebook vocab dim"]:
        """The code vectors of every codebook."""
        return torch.stack([level.codebook.detach() for level in self.quantizer.levels])

    @cached_property
    @torch.no_grad()
    def silence(self) -> Int[Tensor, " codebook"]:
        """The tokens of a frame far inside digital silence; taken at the first coding: weights must stay then."""
        reach = self.config.context
        signal = self.head.weight.new_zeros(1, (2 * reach + 1) * self.grid.hop)
        return self._quantize(signal)[0, :, reach]

    @property
    def _margin(self) -> int:
        return (self.config.size - self.config.hop) // 2

    def spectra(self, signal: Signal) -> Complex[Tensor, "batch fast bin"]:
        """Spectra of a signal of whole frames, at the fast rate; its edges see silence."""
        padded = nn.functional.pad(signal, (self._margin, self._margin))
        return spectrum(padded, self.config.size, self.config.hop)

    def analyse(self, signal: Signal) -> Float[Tensor, "batch frame channel"]:
        """Features of a signal of whole frames, before quantisation and without phases."""
        return self.features(self.spectra(signal))

    def features(self, spectra: Complex[Tensor, "batch fast bin"]) -> Float[Tensor, "batch frame channel"]:
        """Features of spectra, before quantisation and without phases."""
        level = log_magnitude(spectra)
        return self.shape(level) + self.encoder(describe(spectra, level))

    def phases(self, spectra: Complex[Tensor, "batch fast bin"]) -> Float[Tensor, "batch frame channel"] | None:
        """What joins the features at codebook `phased_from`, if anything does."""
        c = self.config
        return self.phase_in(turning(spectra, c.phased, c.factor)) if c.phased else None

    def _quantize(self, signal: Signal, refused: Bool[Tensor, "batch frame vocab"] | None = None) -> Codes:
        spectra = self.spectra(signal)
        return self.quantizer.encode(self.features(spectra), self.phases(spectra), refused=refused)

    def shape(self, level: Float[Tensor, "batch fast bin"]) -> Float[Tensor, "batch frame channel"]:
        """The linear part of the features: log magnitudes in bands, projected."""
        bands = level @ self.bands
        return self.shape_in(bands.reshape(bands.shape[0], -1, self.config.factor * bands.shape[2]))

    def draw(
        self, features: Float[Tensor, "batch frame channel"]
    ) -> tuple[Float[Tensor, "batch fast bin"], Float[Tensor, "batch fast bin"]]:
        """Log magnitudes (at most that of a full-scale tone) and angles (radians) of the spectra of features.

        Angles of the lowest bins are those of a sum: of a unit of what is drawn, and of what the codes tell, which is
        longer the more they do. Tones that are told nothing of turn as those in the middle of their bins.
        """
        made, n = self.decoder(features), self.config.phased
        level, angle = self.head(made).float().chunk(2, dim=-1)
        angle = angle + self._advance(level.shape[1])
        if n:
            real, imaginary = (self.phase_head(made) + self.phase_out(features)).float().chunk(2, dim=-1)
            first, drawn, rest = angle.split([1, n, angle.shape[-1] - n - 1], dim=-1)
            angle = torch.cat([first, torch.atan2(drawn.sin() + imaginary, drawn.cos() + real), rest], dim=-1)
        return (level + self.shape_out(features).float()).clamp(-18, 0), angle

    def _advance(self, frames: int) -> Float[Tensor, "fast bin"]:
        """How far a tone in the middle of each bin turns from the first frame to each, in radians.

        With it a steady tone needs steady features; without it only multiples of the frame rate could be steady.
        """
        c, device = self.config, self.head.weight.device
        turns = torch.arange(c.size // 2 + 1, device=device) * torch.arange(frames, device=device)[:, None] * c.hop
        return (turns % c.size) * (2 * math.pi / c.size)

    def sound(self, level: Float[Tensor, "batch fast bin"], angle: Float[Tensor, "batch fast bin"]) -> Signal:
        """The signal of drawn spectra."""
        return synthesis(torch.polar(level.exp(), angle), self.config.hop)[..., self._margin : -self._margin]

    def render(self, features: Float[Tensor, "batch frame channel"]) -> Signal:
        """The signal of features."""
        return self.sound(*self.draw(features))

    def tokens(self, signal: Signal) -> Codes:
        """The codes of a whole signal of whole frames. A frame that can be heard never has the token of silence."""
        heard = signal.unflatten(-1, (-1, self.grid.hop)).abs().amax(-1) > AUDIBLE
        silent = torch.arange(self.grid.vocabulary, device=signal.device) == self.silence[0]
        return self._quantize(signal, heard[..., None] & silent)

    @torch.no_grad()
    def encode_blocks(self, blocks: SignalStream) -> CodesStream:
        """Codes of a stream of blocks, a window at a time; the last frame is filled up with silence."""
        c, hop = self.config, self.grid.hop
        for window, real in windows(blocks, c.window * hop, c.context * hop):
            rows = [self.tokens(row[None]) for row in window.float()]
            yield torch.cat(rows)[..., c.context : c.context + self.grid.frames_of(real)]

    def decode_blocks(self, codes: CodesStream, samples: int) -> SignalStream:
        """The signal of a stream of codes, a window at a time, `samples` samples in all.

        A frame whose coarsest token is that of silence is silent, whatever the others say: the network would draw a
        hum there. What lies before the first frame and after the last is seen as silence, too.
        """
        return self._decoded((part + 1 for part in codes), self._coded, samples)

    def decode_means(self, means: MeansStream, samples: int) -> SignalStream:
        """The same for code vectors that may lie between codes; the code nearest to one tells of silence."""
        return self._decoded(means, self._blended, samples)

    @torch.no_grad()
    def _decoded(
        self, parts: Iterable[Tensor], read: Callable[[Tensor], tuple[Tensor, Tensor]], samples: int
    ) -> Iterator[Float[Tensor, "_ _"]]:
        c, hop, left = self.config, self.grid.hop, samples
        for window, real in windows(parts, c.window, c.context):
            rows = [self._window(*read(row[None])) for row in window]
            wave = torch.cat(rows)[..., c.context * hop : (c.context + real) * hop]
            yield wave[..., :left]
            left -= min(left, wave.shape[-1])
        if left > 0:
            raise AudioError(f"these codes hold {samples - left} samples, fewer than the {samples} asked for")

    def _coded(self, from_one: Codes) -> tuple[Tensor, Tensor]:
        """Features and coarsest tokens of a window of codes counted from 1; 0 stands for no frame, told as -1."""
        return self.quantizer.decode((from_one - 1).clamp_min(0)), from_one[:, 0] - 1

    def _blended(self, means: Means) -> tuple[Tensor, Tensor]:
        """The same for code vectors; a coarsest cell that says nothing stands for no frame."""
        coarsest = self.quantizer.levels[0].nearest(means[:, 0, :-1].transpose(1, 2))
        return self.quantizer.blend(means), coarsest.masked_fill(means[:, 0, -1] == 0, -1)

    def _window(self, features: Float[Tensor, "batch frame channel"], coarsest: Int[Tensor, "batch frame"]) -> Signal:
        """The signal of a window, drawn by the frames that are there alone, and gated where they are silent."""
        there = coarsest >= 0
        nothing = self.quantizer.decode(self.silence[None, :, None])
        level, angle = self.draw(torch.where(there[..., None], features, nothing))
        drawn = there.repeat_interleave(self.config.factor, dim=1)
        wave = self.sound(level.masked_fill(~drawn[..., None], -math.inf), angle)
        if not bool(there.all()):
            wave = wave / covered(drawn, self.config.size, self.config.hop)[..., self._margin : -self._margin]
        return wave * gate(there & (coarsest != self.silence[0]), self.grid.hop)

    def encode(self, signal: Signal) -> Codes:
        """The codes of each row of `signal`."""
        return torch.cat(list(self.encode_blocks([signal])), dim=-1)

    def decode(self, codes: Codes, samples: int) -> Signal:
        """`samples` samples for each row of `codes`, which may hold only the lowest codebooks."""
        return torch.cat(list(self.decode_blocks([codes], samples)), dim=-1)


def gate(sounding: Bool[Tensor, "batch frame"], hop: int) -> Signal:
    """1 in frames that sound, 0 in others but for the quarter of one that is next to sound: there it fades."""
    fade = int(hop * FADE)
    place = (torch.arange(fade, device=sounding.device) + 0.5) / fade
    falling = nn.functional.pad((math.pi / 2 * place).cos().square(), (0, hop - fade))
    loud = sounding.float()[..., None]
    before, after = nn.functional.pad(loud, (0, 0, 1, 1)).unfold(1, 3, 1)[..., ::2].unbind(-1)
    return torch.maximum(loud, torch.maximum(before * falling, after * falling.flip(0))).flatten(1)
