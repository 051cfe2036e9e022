"""Mean: codes that come near to what the model expects to hear, with a part of a draw in it."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..chance import Noise
from ..config import config, knob
from ..errors import ConfigError
from ..types import CodedMean, Codes, HiddenLogits, Hurry, Mask, Predict, Watch
from .passes import ROWS
from .plug import samplers
from .steps import likelihood, picked


@samplers("mean")
@config
class Mean:
    """Every hidden cell at once: codes that together come near to a point between the mean and a draw.

    The model can tell the tokens of fine codebooks apart by little. All of them drawn, each by itself, are noise; their
    mean is nearer to the music than any draw, and smoother than music is. Codebooks that decide what is played it
    averages away.
    """

    temperature: float = knob("how much unlikely codes weigh; 0 takes the likeliest", default=0.7, low=0, high=10)
    draw: float = knob("how far from the mean to a draw; 0 is the same for any seed", default=0.6, low=0, high=1)

    def passes(self, mask: Mask) -> int:
        """How many times the model is asked: once, if anything is hidden."""
        return int(mask.any())

    @torch.no_grad()
    def __call__(
        self,
        predict: Predict,
        codes: Codes,
        mask: Mask,
        noise: Noise,
        watch: Watch | None = None,
        hurry: Hurry | None = None,
        coded: CodedMean | None = None,
    ) -> Codes:
        """Codes with every hidden cell filled.

        Raises:
            ConfigError: there is no codec that could code a mean, or not one seed of noise for each item.
        """
        if coded is None:
            raise ConfigError("the sampler 'mean' needs the codec of the tokens; where there is none, draw them")
        if not self.passes(mask):
            return codes
        each = zip(predict(codes, mask).split(ROWS), noise.guess(0, mask).split(ROWS), strict=True)
        filled = coded(codes, mask, torch.cat([self._likely(rows.float(), chance) for rows, chance in each]))
        if watch is not None:
            watch(0, filled, torch.zeros_like(mask))
        return filled

    def _likely(self, logits: Float[Tensor, "cell vocab"], noise: Float[Tensor, " cell"]) -> HiddenLogits:
        """How likely each token is, with what is drawn likelier than it is."""
        likely = likelihood(logits, self.temperature)
        guess = picked(likely, noise)[:, None]
        return (likely * (1 - self.draw)).scatter_add_(1, guess, likely.new_full(guess.shape, self.draw))
