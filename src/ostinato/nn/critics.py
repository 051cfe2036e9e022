"""Critics for codec training: convolutions over the frames of complex spectra, at several resolutions."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ..dsp import spectrum
from ..types import Signal

Score = Float[Tensor, "batch frame"]
Features = Float[Tensor, "batch frame channel"]


class TimeConv(nn.Module):
    """A convolution over frames written as a linear layer on neighbours side by side: the fast form in bfloat16."""

    def __init__(self, ins: int, outs: int, kernel: int) -> None:
        super().__init__()
        self.kernel = kernel
        self.linear = nn.utils.parametrizations.weight_norm(nn.Linear(ins * kernel, outs))

    def forward(self, x: Features) -> Float[Tensor, "batch frame out"]:
        reach = self.kernel // 2
        padded = F.pad(x, (0, 0, reach, reach))
        return self.linear(torch.cat([padded[:, i : i + x.shape[1]] for i in range(self.kernel)], dim=-1))


class SpectralCritic(nn.Module):
    """Judges a signal by the power-compressed complex spectrum of frames of `size` samples.

    Frequency bins are channels, so that it works at frame rate: a fraction of the cost of two-dimensional
    convolutions, which matters on a CPU.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.size = size
        self.layers = nn.ModuleList([TimeConv(size + 2, width, 1), *(TimeConv(width, width, 5) for _ in range(3))])
        self.judge = TimeConv(width, 1, 3)

    def forward(self, signal: Signal) -> tuple[Score, list[Features]]:
        """A score for every frame, above 0 for "real", and what each layer saw."""
        h, seen = compress(spectrum(signal.float(), self.size, self.size // 4)), []
        for layer in self.layers:
            h = F.leaky_relu(layer(h), 0.1)
            seen.append(h)
        return self.judge(h)[..., 0], seen


class Critics(nn.Module):
    """Critics of several frame sizes (samples)."""

    def __init__(self, sizes: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(SpectralCritic(size, width) for size in sizes)

    def forward(self, signal: Signal) -> list[tuple[Score, list[Features]]]:
        return [critic(signal) for critic in self.each]


def compress(spectra: Tensor, power: float = 0.3) -> Float[Tensor, "batch frame part"]:
    """Real and imaginary parts of spectra whose magnitude is raised to `power`: quiet partials become visible."""
    gain = (spectra.real.square() + spectra.imag.square() + 1e-9).pow((power - 1) / 2)
    return torch.cat([spectra.real * gain, spectra.imag * gain], dim=-1)


def critic_loss(
    real: list[tuple[Score, list[Features]]], made: list[tuple[Score, list[Features]]]
) -> Float[Tensor, ""]:
    """Hinge loss of the critics (Lim and Ye, arXiv:1705.02894)."""
    parts = [F.relu(1 - r).mean() + F.relu(1 + m).mean() for (r, _), (m, _) in zip(real, made, strict=True)]
    return torch.stack(parts).mean()


def maker_losses(
    real: list[tuple[Score, list[Features]]], made: list[tuple[Score, list[Features]]]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """What the codec pays: hinge loss to please the critics, and relative distance between what they saw."""
    please = torch.stack([-m.mean() for m, _ in made]).mean()
    pairs = [(r.detach(), m) for (_, rs), (_, ms) in zip(real, made, strict=True) for r, m in zip(rs, ms, strict=True)]
    match = torch.stack([(r - m).abs().mean() / r.abs().mean().clamp_min(1e-5) for r, m in pairs]).mean()
    return please, match
