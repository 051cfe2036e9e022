"""How far drawn spectra are from real ones, before they become sound."""

import math

from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ..nn.describe import envelope, log_magnitude


def drawing_losses(
    real: Complex[Tensor, "batch fast bin"],
    level: Float[Tensor, "batch fast bin"],
    angle: Float[Tensor, "batch fast bin"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
    """How far drawn spectra are from real ones, before they become sound: in log10 magnitude, in detail, in phase.

    Magnitudes below 1e-5 count as 1e-5. Detail is what the error has beside its envelope, in square nats: its
    gradient reaches partials while loudness is still wrong, which that of an absolute error does not. Of phases
    only differences between neighbours in time and in frequency count, where there is energy: they make a tone
    steady and an attack sharp; the phases themselves are free.

    Source: the amplitude and anti-wrapping phase losses of APNet, arXiv:2305.07952, section II-C.
    """
    size = log_magnitude(real)
    error = level - size
    drawn = error.abs().mean() / math.log(10)
    detail = (error - envelope(error)).square().mean()
    turn = angle - real.angle()
    weight = _energetic(size)
    time = (weight[:, 1:] * (1 - (turn[:, 1:] - turn[:, :-1]).cos())).mean()
    pitch = (weight[..., 1:] * (1 - (turn[..., 1:] - turn[..., :-1]).cos())).mean()
    return drawn, detail, time + pitch


def phase_loss(
    real: Complex[Tensor, "batch fast bin"],
    angle: Float[Tensor, "batch fast bin"],
    phased: int,
    told: Bool[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """How far coded phases are from real ones, 0 to 2, where there is energy, in the rows that are told them."""
    if not (phased and told.any()):
        return angle.new_zeros(())
    low = real[told, :, 1 : phased + 1]
    return (_energetic(log_magnitude(low)) * (1 - (angle[told, :, 1 : phased + 1] - low.angle()).cos())).mean()


def _energetic(level: Float[Tensor, "batch fast bin"]) -> Float[Tensor, "batch fast bin"]:
    weight = (0.3 * level).exp()
    return weight / weight.mean()
