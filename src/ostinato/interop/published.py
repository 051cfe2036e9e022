"""VampNet's sampler and chunking exactly as published, faults included: the baseline that ours are measured against.

Numbers are drawn from one `torch.Generator`, in the published order: seeded as the published code seeds torch, it
gives the published tokens (on x86 processors, where torch draws by Intel's MKL). A grid is written as published:
`Tokens`, in which the vocabulary's size stands for a hidden cell, and a mask of 0 and 1. Nothing else in this
project reads such grids.

Source: VampNet, arXiv:2307.04686, section 3, and the code published with it.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..chance import Noise, derive
from ..config import config, knob
from ..lm import MaskedModel
from ..types import CodedMean, Codes, Grid, Hurry, Mask, Predict, Watch
from .published_masks import frames

Tokens: TypeAlias = Int[Tensor, "batch codebook frame"]
Bits: TypeAlias = Int[Tensor, "batch codebook frame"]
Made: TypeAlias = Int[Tensor, "made codebook longer"]
Flat: TypeAlias = Int[Tensor, "batch cell"]
Scores: TypeAlias = Float[Tensor, "batch predicted frame vocab"]


@config
class Published:
    """The published settings of one generation, by their published names; as a sampler it follows `sampling.Sampler`.

    `typical_filtering`, `typical_mass`, `typical_min_tokens` and the value of `cfg_guidance` change no token: the
    published code drops what it computes from them. They are here so that published settings can be written down.
    """

    sampling_steps: int = knob("passes through the model", default=12, low=1)
    temperature: float = knob("freedom in each guess; 0 and less mean 1", default=1.0)
    mask_temperature: float = knob("freedom in which guesses stay, fading to 0", default=10.5)
    top_p: float | None = knob("share of likelihood to guess from", default=None)
    sample_cutoff: float = knob("part of the steps that guess; later ones take the likeliest", default=1.0)
    typical_filtering: bool = knob("no effect", default=True)
    typical_mass: float = knob("no effect", default=0.15)
    typical_min_tokens: int = knob("no effect", default=64)
    cfg_guidance: float | None = knob("doubles the batch, which shifts the random numbers", default=None)

    def passes(self, mask: Mask) -> int:
        """How many times the model is asked, whatever is hidden."""
        return self.sampling_steps

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
        """Codes with every hidden cell filled; all rows share one generator, seeded by the first row's noise."""
        hidden_id = -1
        first = noise.first_frame if isinstance(noise.first_frame, int) else noise.first_frame[0]
        chance = torch.Generator().manual_seed(derive(noise.seeds[0], first))

        def tell(step: Step) -> None:
            if watch is not None:
                now = _unflatten(step.tokens, codes.shape[1])
                watch(step.number, now.clamp_min(0), now == hidden_id)

        def logits(tokens: Tokens) -> Scores:
            hidden = tokens == hidden_id
            said = predict(tokens.clamp_min(0), hidden)
            return said.new_zeros(*tokens.shape, said.shape[-1]).masked_scatter(hidden[..., None], said)

        return _fill(logits, codes[:, :0], codes.masked_fill(mask, hidden_id), hidden_id, self, chance, tell, hurry)


@dataclass(frozen=True)
class Step:
    """What one step of a generation drew and decided; cells run frame by frame, and codebook by codebook in each.

    Args:
        number: of the step, from 0.
        guesses: a token for every cell, hidden or not.
        likelihood: of each guess.
        left: how many cells each row was to leave hidden.
        temperature: freedom in which guesses stayed, for each row.
        hidden: the cells that were hidden again.
        tokens: the grid after the step, hidden cells marked.
    """

    number: int
    guesses: Flat
    likelihood: Float[Tensor, "batch cell"]
    left: Int[Tensor, "batch 1"]
    temperature: Float[Tensor, " batch"]
    hidden: Bool[Tensor, "batch cell"]
    tokens: Flat


@torch.no_grad()
def generate(
    model: MaskedModel,
    tokens: Tokens,
    mask: Int[Tensor, "batch *codebook frame"] | None = None,
    settings: Published | None = None,
    *,
    chance: torch.Generator,
    seed: int | None = None,
    watch: Callable[[Step], None] | None = None,
) -> Tokens:
    """Tokens in which the cells where `mask` is 1, and those hidden from the start, are filled by the model.

    Args:
        model: coarse or fine.
        tokens: over all the codebooks that the model sees.
        mask: for all cells, or one row for all codebooks; all that the model predicts, unless given.
        settings: how; the published defaults unless given.
        chance: where numbers are drawn from.
        seed: if given, `chance` is seeded by it first.
        watch: called after every step.
    """
    if seed is not None:
        _ = chance.manual_seed(seed)
    how, given, hidden_id = settings or Published(), model.config.given, model.config.vocabulary
    if mask is None:
        mask = torch.ones_like(tokens)
        mask[:, :given] = 0
    if mask.ndim == 2:
        mask = mask[:, None].expand_as(tokens)

    def logits(now: Tokens) -> Scores:
        hidden = now == hidden_id
        return model(now.masked_fill(hidden, 0), hidden)

    start = tokens.masked_fill(mask.bool(), hidden_id)
    return _fill(logits, tokens[:, :given], start, hidden_id, how, chance, watch)


def _fill(
    logits: Callable[[Tokens], Scores],
    given: Int[Tensor, "batch given frame"],
    now: Tokens,
    hidden_id: int,
    how: Published,
    chance: torch.Generator,
    watch: Callable[[Step], None] | None,
    hurry: Hurry | None = None,
) -> Tokens:
    """The published loop. The cells to hide are counted over the whole batch, those of given codebooks included.

    From the second step on, given codebooks are `given`, whatever was hidden of them.
    """
    total, batch, predicted = (now == hidden_id).sum(), len(now), now.shape[1] - given.shape[1]
    if how.cfg_guidance is not None:
        given, now = torch.cat([given, given]), torch.cat([now, torch.full_like(now, hidden_id)])
    filled = _flatten(now[:, given.shape[1] :])
    for number in range(how.sampling_steps):
        r = torch.full((len(now),), (number + 1) / how.sampling_steps)
        scores = logits(now).permute(0, 2, 1, 3).flatten(1, 2)
        guesses, likelihood = guess(
            narrowed(scores, top_p=how.top_p),
            temperature=how.temperature,
            sample=number / how.sampling_steps <= how.sample_cutoff,
            chance=chance,
        )
        flat = _flatten(now[:, given.shape[1] :])
        hidden = flat == hidden_id
        filled = torch.where(hidden, guesses, flat)
        left = torch.floor(gamma(r) * total)[:, None].long()
        if number < how.sampling_steps - 1:
            left = torch.minimum(hidden.sum(-1, keepdim=True) - 1, left).clamp_min(1)
        heat = how.mask_temperature * (1 - r)
        hidden = least_sure(left, likelihood.masked_fill(~hidden, torch.inf), heat, chance)
        flat = filled.masked_fill(hidden, hidden_id)
        now = torch.cat([given, _unflatten(flat, predicted)], dim=1)
        if watch is not None:
            watch(Step(number, guesses, likelihood, left, heat, hidden, flat))
        if hurry is not None and bool(hidden.any()) and hurry():
            break
    return torch.cat([given, _unflatten(filled, predicted)], dim=1)[:batch]


def gamma(r: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """The share of cells that is hidden once the share `r` of the steps is done."""
    return (r * math.pi / 2).cos().clamp(1e-10, 1.0)


def inverse_gamma(share: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
    """The share of the steps after which the share `share` of cells is hidden."""
    return 2 * share.acos() / math.pi


def narrowed(
    logits: Float[Tensor, "*cell vocab"], *, top_k: int | None = None, top_p: float | None = None
) -> Float[Tensor, "*cell vocab"]:
    """Logits of the `top_k` likeliest tokens, then of the likeliest that reach the likelihood `top_p`; others are out.

    Likelihood is taken before any temperature.
    """
    if top_k is not None:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[..., -1:], -torch.inf)
    if top_p is not None and top_p < 1:
        ranked, order = logits.sort(descending=True)
        over = ranked.softmax(-1).cumsum(-1) > top_p
        out = F.pad(over, (1, 0))[..., :-1]
        logits = logits.masked_fill(torch.zeros_like(out).scatter(-1, order, out), -torch.inf)
    return logits


def typical(
    logits: Float[Tensor, "batch cell vocab"], mass: float = 0.95, least: int = 1
) -> Bool[Tensor, "batch cell vocab"]:
    """The tokens that the published typical filter would keep. The published sampler runs it and drops the result."""
    surprise = -logits.log_softmax(-1)
    entropy = (surprise * (-surprise).exp()).nansum(-1, keepdim=True)
    oddness, order = (surprise - entropy).abs().sort(-1)
    held = logits.gather(-1, order).softmax(-1).cumsum(-1)
    last = (held < mass).sum(-1, keepdim=True).clamp_max(logits.shape[-1] - 1)
    out = oddness > oddness.gather(-1, last)
    if least > 1:
        out[..., :least] = False
    return ~torch.zeros_like(out).scatter(-1, order, out)


def guess(
    logits: Float[Tensor, "batch cell vocab"], *, temperature: float = 1.0, sample: bool = True, chance: torch.Generator
) -> tuple[Flat, Float[Tensor, "batch cell"]]:
    """A token for every cell and its likelihood: drawn, or the likeliest. A temperature of 0 or less means 1."""
    likelihood = (logits / temperature if temperature > 0 else logits).softmax(-1)
    if sample:
        token = likelihood.flatten(0, 1).multinomial(1, generator=chance).view(logits.shape[:-1])
    else:
        token = logits.argmax(-1)
    return token, likelihood.gather(-1, token[..., None])[..., 0]


def least_sure(
    count: Int[Tensor, "batch 1"],
    likelihood: Float[Tensor, "batch cell"],
    temperature: Float[Tensor, " batch"],
    chance: torch.Generator,
) -> Bool[Tensor, "batch cell"]:
    """The `count` cells of each row of least noisy log-likelihood; fewer where cells tie."""
    uniform = torch.zeros_like(likelihood).uniform_(1e-20, 1, generator=chance)
    sure = likelihood.log() + temperature[:, None] * -(-uniform.log()).log()
    return sure < sure.sort(dim=-1).values.gather(-1, count)


def _flatten(tokens: Tokens) -> Flat:
    """Frame by frame, and codebook by codebook in each."""
    return tokens.transpose(1, 2).flatten(1)


def _unflatten(flat: Flat, codebooks: int) -> Tokens:
    return flat.unflatten(1, (-1, codebooks)).transpose(1, 2)


@dataclass(frozen=True)
class Vamper:
    """The published way from codes to new codes: coarse codebooks in chunks, then fine ones in shorter chunks.

    Args:
        grid: of the codec.
        coarse: the coarse model.
        fine: the fine model.
        chance: where numbers are drawn from, by whatever is asked first.
        coarse_seconds: length of a coarse chunk.
        fine_seconds: length of a fine chunk.
    """

    grid: Grid
    coarse: MaskedModel
    fine: MaskedModel
    chance: torch.Generator
    coarse_seconds: float = 10.0
    fine_seconds: float = 3.0

    def vamp(
        self,
        tokens: Tokens,
        mask: Bits,
        settings: Published | None = None,
        *,
        batch_size: int = 1,
        feedback_steps: int = 1,
        time_stretch_factor: int = 1,
        seed: int | None = None,
    ) -> tuple[Made, Made]:
        """New tokens for the whole grid, and the tokens with the cells hidden that were to be filled.

        Fine codebooks get two steps of the default settings, whatever `settings` are. Every feedback pass but the
        last is lost: each starts from the same tokens.
        """
        tokens, mask = tokens.expand(batch_size, -1, -1), mask.expand(batch_size, -1, -1)
        if time_stretch_factor > 1:
            tokens, mask = (x.repeat_interleave(time_stretch_factor, -1) for x in (tokens, mask))
            mask = mask.masked_fill(torch.arange(mask.shape[-1]) % time_stretch_factor != 0, 1)
        made, shown = tokens, tokens
        for _ in range(feedback_steps):
            made, shown = self.coarse_vamp(tokens, mask, settings, seed=seed)
        made, shown_fine = self.coarse_to_fine(made, mask, Published(sampling_steps=2))
        return made, torch.cat([shown, shown_fine[:, shown.shape[1] :]], dim=1)

    def coarse_vamp(
        self, tokens: Tokens, mask: Bits, settings: Published | None = None, *, seed: int | None = None
    ) -> tuple[Tokens, Int[Tensor, "batch coarse frame"]]:
        """Tokens whose coarse codebooks were filled chunk by chunk, and those codebooks with hidden cells marked.

        A chunk in which anything is kept keeps its first and last frame. Given a seed, every chunk starts from it.
        """
        codebooks, length = self.coarse.config.codebooks, frames(self.grid, self.coarse_seconds)
        made, shown = [], []
        for part, bits in _chunks(length, tokens[:, :codebooks], mask[:, :codebooks]):
            hidden = _anchored(bits)
            shown.append(part.masked_fill(hidden.bool(), self.coarse.config.vocabulary))
            made.append(generate(self.coarse, part, hidden, settings, chance=self.chance, seed=seed))
        return torch.cat([torch.cat(made, dim=-1), tokens[:, codebooks:]], dim=1), torch.cat(shown, dim=-1)

    def coarse_to_fine(
        self,
        tokens: Int[Tensor, "batch given frame"],
        mask: Bits | None = None,
        settings: Published | None = None,
        *,
        seed: int | None = None,
    ) -> tuple[Tokens, Tokens]:
        """Tokens whose fine codebooks were filled chunk by chunk, and the result with those cells hidden again.

        The last chunk is filled up with token 0, which the model takes for music; absent codebooks are token 0 too.
        Without a mask all fine codebooks are filled.
        """
        sizes, length = self.fine.config, frames(self.grid, self.fine_seconds)
        count = tokens.shape[-1]
        tokens = F.pad(tokens, (0, -count % length, 0, sizes.codebooks - tokens.shape[1]))
        bits = torch.ones_like(tokens) if mask is None else F.pad(mask, (0, -count % length), value=1)
        bits = bits.clone()
        bits[:, : sizes.given] = 0
        made = [
            generate(self.fine, part, hidden, settings, chance=self.chance, seed=seed)
            for part, hidden in _chunks(length, tokens, bits)
        ]
        filled = torch.cat(made, dim=-1)
        return filled[..., :count], filled.masked_fill(bits.bool(), sizes.vocabulary)[..., :count]


def _anchored(mask: Bits) -> Bits:
    """A mask that keeps the first and the last frame, if it keeps anything."""
    ends = torch.tensor([0, mask.shape[-1] - 1])
    return mask.index_fill(-1, ends, 0) if bool((mask == 0).any()) else mask


def _chunks(length: int, tokens: Tokens, mask: Bits) -> Iterator[tuple[Int[Tensor, "_ _ _"], Int[Tensor, "_ _ _"]]]:
    return zip(tokens.split(length, -1), mask.split(length, -1), strict=True)
