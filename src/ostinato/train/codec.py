"""Training the codec: multi-scale mel loss, commitment, spectral critics, and a guard against collapse."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..checkpoint import save
from ..codec import CodecConfig, SpectralCodec
from ..config import config, knob
from ..data import Excerpts, draw, songs
from ..dsp import log_mel
from ..errors import ConfigError, TrainingError
from ..metrics import MEL_SCALES, mel_distance, perplexity
from ..nn.critics import Critics, critic_loss, maker_losses
from ..nn.quantize import Features
from ..types import Signal
from .beginning import begin
from .loop import LoopConfig, rate
from .losses import drawing_losses, phase_loss
from .state import Average, load_optimizer, muon, optimizer_state

ALIGN, DECAY = 64, 1e-3


@config
class CodecTraining:
    """Everything that decides a codec run."""

    model: CodecConfig = knob("the codec", default=CodecConfig())
    loop: LoopConfig = knob("how long", default=LoopConfig())
    start: str = knob("checkpoint whose weights a new run begins with; empty is none", default="")
    train: str = knob("folder of music to train on", default="music/train")
    validation: str = knob("folder of held-out music", default="music/val")
    batch: int = knob("excerpts in a step", default=8, low=1)
    frames: int = knob("length of an excerpt", default=96, unit="frames", low=8)
    around: int = knob("what encoder and decoder each see before and after, unpaid", default=12, unit="frames", low=1)
    hush: float = knob("share of excerpts with silence before or behind a random place", default=0.15, low=0, high=1)
    gain: float = knob("how far the level of an excerpt may fall", default=24.0, unit="dB", low=0)
    rate: float = knob("peak learning rate", default=4e-4, low=0)
    haste: float = knob("learning rate of the code vectors, as a multiple; they must keep up", default=10.0, low=0)
    clip: float = knob("length to which a longer gradient is cut", default=200.0, low=0)
    warm_up: int = knob("steps until the peak", default=200, low=1)
    average: float = knob("memory of the averaged weights", default=0.999, low=0, high=1)
    scales: int = knob("mel scales drawn in a step", default=3, low=1, high=7)
    mel: float = knob("weight of the mel loss, summed over 7 scales", default=15.0, low=0)
    drawn: float = knob("weight of the distance of log magnitudes, bin by bin", default=20.0, low=0)
    detail: float = knob("weight of the squared error of fine structure", default=20.0, low=0)
    turned: float = knob("weight of the distance of phase differences", default=5.0, low=0)
    phase: float = knob("weight of the distance of phases that are coded", default=5.0, low=0)
    commitment: float = knob("weight of the encoder's distance to its codes", default=0.25, low=0)
    codebook: float = knob("weight of the codes' distance to the encoder", default=1.0, low=0)
    residual: float = knob("weight of the energy that the levels leave over", default=10.0, low=0)
    shallow: float = knob("share of excerpts that use a random number of codebooks", default=0.5, low=0, high=1)
    memory: float = knob("memory of code usage", default=0.95, low=0, high=1)
    least: float = knob("a code used less than this share of an even one is replaced", default=0.03, low=0, high=1)
    collapse: float = knob("perplexity of a coarse codebook below which a run has failed", default=30.0, low=0)
    collapse_after: int = knob("steps before that is looked at", default=600, low=0)
    critics: tuple[int, ...] = knob("frame sizes of the critics", default=(2048, 1024, 512))
    critic_width: int = knob("width of the critics", default=256, low=1)
    critic_from: int = knob("step at which the critics join", default=4000, low=0)
    critic_items: int = knob("excerpts of a step that the critics hear", default=6, low=1)
    please: float = knob("weight of pleasing the critics", default=1.0, low=0)
    match: float = knob("weight of matching what the critics see", default=2.0, low=0)
    keep: str = knob(
        "what stays as it was: with `coarse` the tokens of a coarse model, which it is for, with `tokens` all of them",
        default="nothing",
        choices=("nothing", "coarse", "tokens"),
    )
    held_out: int = knob("held-out excerpts in a score", default=32, low=1)

    def __post_init__(self) -> None:
        if self.keep != "nothing" and not self.start:
            raise ConfigError(f"to keep {self.keep}, a run needs a codec to start from; name one with --from")
        if self.critic_items > self.batch:
            raise ConfigError(f"critic_items must be at most batch ({self.batch}), got {self.critic_items}")


def kept(codec: SpectralCodec, what: str) -> list[torch.nn.Module]:
    """The parts of a codec that a run leaves as they are."""
    if what == "nothing":
        return []
    encoder = [codec.encoder, codec.shape_in]
    if what == "tokens":
        return [*encoder, codec.quantizer, *([codec.phase_in] if codec.config.phased else [])]
    return [*encoder, *codec.quantizer.levels[: codec.config.phased_from]]


def hushed(signal: Signal, share: float, chance: np.random.Generator) -> Signal:
    """A copy of `signal` in which a share of the rows is silent before or behind a random place.

    Music begins and ends, and short clips lie in silence; a codec that never learnt so draws noise into it.
    """
    signal = signal.clone()
    for row in signal:
        if chance.random() < share:
            place = int(chance.integers(len(row)))
            _ = (row[:place] if chance.random() < 0.5 else row[place:]).zero_()
    return signal


def optimizers(codec: SpectralCodec, settings: CodecTraining) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Muon for the matrices of encoder and decoder that learn, and AdamW for all else; code vectors hurry."""
    s, learnt = settings, [p for p in codec.parameters() if p.requires_grad]
    inside = {id(p) for part in (codec.encoder, codec.decoder) for p in part.parameters() if p.ndim == 2}
    hasty = {id(level.codebook) for level in codec.quantizer.levels}
    matrices = [p for p in learnt if id(p) in inside]
    codes = [p for p in learnt if id(p) in hasty]
    rest = [p for p in learnt if id(p) not in inside | hasty]
    groups = [{"params": rest, "haste": 1.0}, {"params": codes, "haste": s.haste, "weight_decay": 0.0}]
    return muon(matrices, s.rate, DECAY), torch.optim.AdamW(
        groups, lr=s.rate, betas=(0.8, 0.99), weight_decay=DECAY, fused=True
    )


class CodecJob:
    """One codec run: modules, optimisers, averaged weights."""

    def __init__(self, settings: CodecTraining) -> None:
        self.settings = s = settings
        with torch.random.fork_rng():
            _ = torch.manual_seed(s.loop.seed)
            self.codec = SpectralCodec(s.model)
            self.critics = Critics(s.critics, s.critic_width)
        for part in kept(self.codec, s.keep):
            _ = part.requires_grad_(False)
        self.matrices, self.rest = optimizers(self.codec, s)
        self.judge = torch.optim.AdamW(
            self.critics.parameters(), lr=s.rate, betas=(0.8, 0.99), weight_decay=DECAY, fused=True
        )
        grid, hop = s.model.grid, s.model.grid.hop
        samples = (s.frames + 4 * s.around) * hop
        long_enough = samples / grid.sample_rate
        self.music = Excerpts(
            songs(Path(s.train), least=long_enough), samples, grid.sample_rate, s.loop.seed, gain=s.gain
        )
        begin(self.codec, s.start, self.music.batch(0, ALIGN))
        self.average = Average(self.codec, s.average)
        held = Excerpts(songs(Path(s.validation), least=long_enough), s.frames * hop, grid.sample_rate, seed=1)
        self.held_out = held.batch(0, s.held_out)

    def step(self, index: int) -> dict[str, float]:
        """One step on one batch."""
        s = self.settings
        speed = rate(index, s.loop.steps, warm_up=s.warm_up)
        for group in (*self.matrices.param_groups, *self.rest.param_groups, *self.judge.param_groups):
            group["lr"] = s.rate * speed * group.get("haste", 1.0)
        real = hushed(self.music.batch(index, s.batch), s.hush, draw(s.loop.seed, 2, index))
        made, figures, loss = self._reconstruct(real, index)
        if index >= s.critic_from:
            loss = loss + self._criticise(_middle(real, 2 * s.around * s.model.grid.hop), made, figures)
        self.codec.zero_grad()
        _ = loss.backward()
        figures["gradient"] = float(torch.nn.utils.clip_grad_norm_(self.codec.parameters(), s.clip))
        for optimizer in (self.matrices, self.rest):
            _ = optimizer.step()
        self.average.update(self.codec, index)
        self._guard(index, figures)
        return figures

    def _reconstruct(
        self, real: Signal, index: int
    ) -> tuple[Float[Tensor, "batch excerpt"], dict[str, float], Float[Tensor, ""]]:
        """The excerpts in the middle of `real` made again, and what that costs.

        At the ends of a signal, convolutions see zeros that no music has. What they reach is cut off after the
        encoder and after the decoder: a codec that is paid for it leans on it, and is worse in the midst of music.
        """
        s, levels = self.settings, self.settings.model.grid.codebooks
        chance = draw(s.loop.seed, 1, index)
        depth = torch.full((s.batch,), levels)
        shallow = int(s.batch * s.shallow)
        depth[:shallow] = torch.from_numpy(chance.integers(1, levels + 1, shallow))
        spectra = self.codec.spectra(real)
        with torch.autocast(real.device.type, torch.bfloat16):
            features, phases = self.codec.features(spectra), self.codec.phases(spectra)
        features = _middle(features, s.around).float()
        phases = None if phases is None else _middle(phases, s.around).float()
        coded, figures, loss = self._quantize(features, phases, depth, chance)
        with torch.autocast(real.device.type, torch.bfloat16):
            level, angle = self.codec.draw(coded)
        hop, fast = s.model.grid.hop, s.around * s.model.factor
        made = _middle(self.codec.sound(level, angle), s.around * hop)
        real = _middle(real, 2 * s.around * hop)
        spectra, level, angle = _middle(spectra, 2 * fast), _middle(level, fast), _middle(angle, fast)
        drawn, detail, turned = drawing_losses(spectra, level, angle)
        phase = phase_loss(spectra, angle, s.model.phased, depth > s.model.phased_from)
        scales = [MEL_SCALES[i] for i in chance.choice(len(MEL_SCALES), s.scales, replace=False)]
        mel = torch.stack([self._mel(real, made, size, mels) for size, mels in scales]).mean()
        loss = loss + len(MEL_SCALES) * s.mel * mel + s.drawn * drawn + s.detail * detail + s.turned * turned
        loss = loss + s.phase * phase
        figures |= {"mel": float(mel.detach()), "drawn": float(drawn.detach())}
        figures |= {"detail": float(detail.detach()), "turned": float(turned.detach())}
        figures |= {"phase": float(phase.detach())}
        return made, figures, loss

    def _quantize(
        self,
        features: Features,
        phases: Features | None,
        depth: Int[Tensor, " batch"],
        chance: np.random.Generator,
    ) -> tuple[Features, dict[str, float], Float[Tensor, ""]]:
        """The features that are left after coding, with what the quantiser has to pay."""
        s, quantizer = self.settings, self.codec.quantizer
        if s.keep == "tokens":
            return quantizer.decode(quantizer.encode(features, phases), depth), {}, features.new_zeros(())
        generator = torch.Generator().manual_seed(int(chance.integers(1 << 62)))
        quantized = quantizer(features, depth, phases, memory=s.memory, least=s.least, generator=generator)
        loss = s.commitment * quantized.commitment + s.codebook * quantized.codebook + s.residual * quantized.residual
        figures = {"commitment": float(quantized.commitment.detach()), "residual": float(quantized.residual.detach())}
        usage = [level.usage / level.usage.sum() for level in quantizer.levels]
        for number, share in enumerate(usage):
            figures[f"perplexity_{number}"] = float((-(share * share.clamp_min(1e-9).log()).sum()).exp())
        return quantized.features, figures, loss

    def _mel(self, real: Signal, made: Signal, size: int, mels: int) -> Float[Tensor, ""]:
        both = torch.cat([real, made])
        a, b = log_mel(both, self.settings.model.grid.sample_rate, size=size, mels=mels).chunk(2)
        return (a - b).abs().mean()

    def _criticise(self, real: Signal, made: Signal, figures: dict[str, float]) -> Float[Tensor, ""]:
        s = self.settings
        real, made = real[-s.critic_items :], made[-s.critic_items :]
        with torch.autocast(real.device.type, torch.bfloat16):
            judged = critic_loss(self.critics(real), self.critics(made.detach()))
        _ = self.judge.zero_grad()
        _ = judged.backward()
        _ = self.judge.step()
        _ = self.critics.requires_grad_(False)
        with torch.autocast(real.device.type, torch.bfloat16):
            please, match = maker_losses(self.critics(real), self.critics(made))
        _ = self.critics.requires_grad_(True)
        figures |= {"critic": float(judged.detach()), "please": float(please.detach()), "match": float(match.detach())}
        return s.please * please + s.match * match

    def _guard(self, index: int, figures: dict[str, float]) -> None:
        if index < self.settings.collapse_after or self.settings.keep == "tokens":
            return
        for number in range(min(4, self.settings.model.grid.codebooks)):
            got = figures[f"perplexity_{number}"]
            if got < self.settings.collapse:
                raise TrainingError(
                    f"codebook {number} has collapsed at step {index}: perplexity {got:.0f}, "
                    f"below {self.settings.collapse:g}; start again with a lower learning rate or commitment"
                )

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Mel distance of held-out music at 1, 4 and all codebooks, and the perplexity of each."""
        shown = self.averaged()
        codes = shown.encode(self.held_out)
        scores = {}
        for depth in sorted({1, min(4, codes.shape[1]), codes.shape[1]}):
            made = shown.decode(codes[:, :depth], self.held_out.shape[-1])
            distance = mel_distance(self.held_out, made, self.settings.model.grid.sample_rate)
            scores[f"held_out_mel_{depth}"] = float(distance.mean())
        if shown.config.phased:
            spectra, told = shown.spectra(self.held_out), torch.ones(len(codes), dtype=torch.bool)
            _, angle = shown.draw(shown.quantizer.decode(codes))
            scores["held_out_phase"] = float(phase_loss(spectra, angle, shown.config.phased, told))
        scores["score"] = scores[f"held_out_mel_{codes.shape[1]}"]
        for number, value in enumerate(perplexity(codes, self.settings.model.grid.vocabulary)):
            scores[f"held_out_perplexity_{number}"] = float(value)
        return scores

    def averaged(self) -> SpectralCodec:
        """The codec with its averaged weights."""
        shown = SpectralCodec(self.settings.model)
        _ = shown.load_state_dict(self.average.weights)
        return shown.eval()

    def export(self, folder: Path) -> None:
        save(folder, self.settings.model, self.averaged(), dtype=torch.float16)

    def state(self) -> dict[str, Any]:
        return {
            "codec": self.codec.state_dict(),
            "critics": self.critics.state_dict(),
            "average": self.average.weights,
            "matrices": optimizer_state(self.matrices),
            "rest": optimizer_state(self.rest),
            "judge": optimizer_state(self.judge),
        }

    def load(self, state: dict[str, Any]) -> None:
        _ = self.codec.load_state_dict(state["codec"])
        _ = self.critics.load_state_dict(state["critics"])
        self.average.weights = state["average"]
        load_optimizer(self.matrices, state["matrices"])
        load_optimizer(self.rest, state["rest"])
        load_optimizer(self.judge, state["judge"])


def _middle(x: Tensor, cut: int) -> Tensor:
    """`x` without `cut` entries at both ends of its second dimension."""
    return x[:, cut : x.shape[1] - cut]
