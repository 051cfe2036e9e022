"""Training the beat network: cross-entropy at every frame, of beats and of downbeats."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..beats import BeatConfig, BeatNet, agreement, pick
from ..checkpoint import save
from ..config import config, knob
from ..types import Beats
from .annotated import BeatExcerpts, annotated
from .loop import LoopConfig, rate
from .state import Average, load_optimizer, optimizer_state, start_from

FROM = 0.5


@config
class BeatTraining:
    """Everything that decides a run of the beat network."""

    model: BeatConfig = knob("the network", default=BeatConfig())
    loop: LoopConfig = knob("how long", default=LoopConfig(steps=800, validate_every=100))
    start: str = knob("checkpoint whose weights a new run begins with; empty is none", default="")
    train: str = knob("folder of sounds with beats to train on", default="music/beats/train")
    validation: str = knob("folder of held-out sounds with beats", default="music/beats/val")
    cache: str = knob("folder of cached mel frames", default="runs/mels")
    batch: int = knob("excerpts in a step", default=16, low=1)
    frames: int = knob("length of an excerpt", default=1000, unit="frames", low=8)
    rate: float = knob("peak learning rate", default=3e-3, low=0)
    warm_up: int = knob("steps until the peak", default=60, low=1)
    decay: float = knob("weight decay", default=0.05, low=0)
    average: float = knob("memory of the averaged weights", default=0.99, low=0, high=1)
    beat: float = knob("how much more a frame with a beat counts", default=4.0, low=0)
    downbeat: float = knob("how much more a frame with a downbeat counts", default=6.0, low=0)
    held_out: int = knob("held-out excerpts in a score", default=48, low=1)


class BeatJob:
    """One run of the beat network."""

    def __init__(self, settings: BeatTraining) -> None:
        self.settings = s = settings
        with torch.random.fork_rng():
            _ = torch.manual_seed(s.loop.seed)
            self.net = BeatNet(s.model)
        start_from(s.start, self.net, s.model)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=s.rate, weight_decay=s.decay, fused=True)
        self.average = Average(self.net, s.average)
        cache = Path(s.cache)
        music = annotated(Path(s.train), s.model, cache / "train.safetensors")
        self.music = BeatExcerpts(music, s.frames, s.model.rate, s.loop.seed)
        held = annotated(Path(s.validation), s.model, cache / "validation.safetensors")
        self.held_out = BeatExcerpts(held, s.frames, s.model.rate, seed=1, colour=False).batch(0, s.held_out)

    def loss(
        self, net: BeatNet, mel: Float[Tensor, "batch frame mel"], wanted: Float[Tensor, "batch frame 2"]
    ) -> tuple[Float[Tensor, "2"], Float[Tensor, "batch frame 2"]]:
        """Nats a frame for beats and for downbeats, frames weighted by what they hold; and the probabilities."""
        with torch.autocast(mel.device.type, torch.bfloat16):
            said = net(mel).float()
        more = torch.tensor([self.settings.beat, self.settings.downbeat], device=mel.device)
        paid = F.binary_cross_entropy_with_logits(said, wanted, weight=1 + (more - 1) * wanted, reduction="none")
        return paid.mean((0, 1)), said.detach().sigmoid()

    def step(self, index: int) -> dict[str, float]:
        s = self.settings
        self.optimizer.param_groups[0]["lr"] = s.rate * rate(index, s.loop.steps, warm_up=s.warm_up)
        paid, _ = self.loss(self.net, *self.music.batch(index, s.batch))
        _ = self.optimizer.zero_grad()
        _ = paid.sum().backward()
        size = torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        _ = self.optimizer.step()
        self.average.update(self.net, index)
        beat, downbeat = paid.detach().tolist()
        return {"beat": beat, "downbeat": downbeat, "gradient": float(size)}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Held-out nats a frame, and the F-measures of what `pick` makes of the held-out excerpts."""
        net, per = self.averaged(), self.settings.model.rate
        paid, beats, downbeats = [], [], []
        for mel, wanted in zip(*(part.split(self.settings.batch) for part in self.held_out), strict=True):
            nats, likely = self.loss(net, mel, wanted)
            paid.append(nats * len(mel))
            for said, truth in zip(likely, wanted, strict=True):
                found, known = pick(said, per), _known(truth, per)
                beats.append(agreement(found, known))
                downbeats.append(agreement(Beats(times=found.downbeats), Beats(times=known.downbeats)))
        beat, downbeat = (torch.stack(paid).sum(0) / len(beats)).tolist()
        return {
            "held_out_beat": beat,
            "held_out_downbeat": downbeat,
            "held_out_f": sum(beats) / len(beats),
            "held_out_downbeat_f": sum(downbeats) / len(downbeats),
            "score": beat + downbeat,
        }

    def averaged(self) -> BeatNet:
        """The network with its averaged weights."""
        net = BeatNet(self.settings.model)
        _ = net.load_state_dict(self.average.weights)
        return net.eval()

    def export(self, folder: Path) -> None:
        save(folder, self.settings.model, self.averaged(), dtype=torch.float16)

    def state(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "average": self.average.weights,
            "optimizer": optimizer_state(self.optimizer),
        }

    def load(self, state: dict[str, Any]) -> None:
        _ = self.net.load_state_dict(state["net"])
        self.average.weights = state["average"]
        load_optimizer(self.optimizer, state["optimizer"])


def _known(truth: Float[Tensor, "frame 2"], per: float) -> Beats:
    """Beats from targets: the highest frame of each, where that is at least half."""
    rows = []
    for curve in truth.T:
        side = F.pad(curve, (1, 1))
        peak = (curve >= FROM) & (curve > side[:-2]) & (curve >= side[2:])
        rows.append(tuple((peak.nonzero()[:, 0] / per).tolist()))
    return Beats(times=tuple(sorted({*rows[0], *rows[1]})), downbeats=rows[1])
