"""Trackers by name: the one that ships, and published ones where they are installed."""

import functools
import importlib.util
from pathlib import Path
from typing import Protocol

import torch

from .beats import BeatConfig, BeatNet, Tracker, track
from .checkpoint import read_config, restore
from .config import config, knob, parse_named
from .errors import MissingPartError
from .models import MODELS
from .pulse import Picking
from .registry import Registry
from .resampling import resample
from .types import Audio, Beats

SHIPPED = MODELS / "beats"


class NamedTracker(Tracker, Protocol):
    """A tracker that can be asked for by name, and says first what it lacks."""

    def check(self) -> None:
        """See that all it needs is here.

        Raises:
            MissingPartError: a package or its weights are not.
        """
        ...


trackers: Registry[NamedTracker] = Registry("tracker")


def load_tracker(name: str = "default") -> Tracker:
    """The tracker written as `name` or `name:knob=value,...`, such as `default:slowest=70`.

    Raises:
        ConfigError: no such tracker or knob, or a value out of range.
        MissingPartError: it needs a package or weights that are not here.
    """
    tracker = parse_named(trackers, name)
    tracker.check()
    return tracker


def load_net(folder: Path = SHIPPED) -> BeatNet:
    """The beat network of a checkpoint, ready for use.

    Raises:
        CheckpointError, ConfigError: the folder is no checkpoint of one.
    """
    net = BeatNet(read_config(folder, BeatConfig))
    restore(folder, net)
    return net.eval().requires_grad_(False)


_net = functools.cache(load_net)


@trackers("default")
@config
class Default:
    """The tracker of our own: a network in the package, or one from `ostinato train beats`."""

    slowest: float = knob("lowest tempo", default=50.0, unit="beats a minute", low=10, high=1000)
    fastest: float = knob("highest tempo", default=220.0, unit="beats a minute", low=10, high=1000)
    folder: str = knob("a checkpoint to use instead of the one that ships", default="")

    def __post_init__(self) -> None:
        _ = self._picking()

    def check(self) -> None:
        """Nothing to see to: it is in the package."""

    def __call__(self, audio: Audio) -> Beats:
        """The beats of one sound; raises what `beats.track` and `load_net` raise."""
        return track(_net(Path(self.folder) if self.folder else SHIPPED), audio, self._picking())

    def _picking(self) -> Picking:
        return Picking(slowest=self.slowest, fastest=self.fastest)


@trackers("librosa")
@config
class Librosa:
    """The tracker of librosa (Ellis 2007), for comparison; it knows no downbeats."""

    def check(self) -> None:
        _need("librosa")

    def __call__(self, audio: Audio) -> Beats:
        """The beats of one sound; its confidence is 1, for the package gives none."""
        from librosa.beat import beat_track  # pyright: ignore[reportMissingImports]

        heard = resample(audio, 22050)
        _, times = beat_track(y=heard.wave[0].mean(0).cpu().numpy(), sr=22050, units="time")
        return Beats(times=tuple(map(float, times)))


@trackers("essentia")
@config
class Essentia:
    """RhythmExtractor2013 of essentia (AGPL), for comparison; it knows no downbeats."""

    method: str = knob("which of its two", default="degara", choices=("degara", "multifeature"))

    def check(self) -> None:
        _need("essentia")

    def __call__(self, audio: Audio) -> Beats:
        """The beats of one sound; its confidence is 1, for it is given on another scale."""
        from essentia import standard  # pyright: ignore[reportMissingImports]

        heard = resample(audio, 44100)
        find = standard.RhythmExtractor2013(method=self.method)  # pyright: ignore[reportAttributeAccessIssue]
        times = find(heard.wave[0].mean(0).cpu().numpy())[1]
        return Beats(times=tuple(map(float, times)))


@trackers("beat-this")
@config
class BeatThis:
    """Beat This! (arXiv:2407.21658) from the package `beat-this`, with a checkpoint that is on this machine already."""

    checkpoint: str = knob("its name, as in `final0`, or a file", default="final0")

    def check(self) -> None:
        _need("beat_this", "beat-this")
        if not self._file().is_file():
            raise MissingPartError(
                f"the tracker 'beat-this' has no weights at {self._file()}; fetch them, or give checkpoint=FILE"
            )

    def __call__(self, audio: Audio) -> Beats:
        """The beats of one sound; its confidence is 1, for the package gives none."""
        from beat_this.inference import Audio2Beats  # pyright: ignore[reportMissingImports]

        signal = audio.wave[0].mean(0).cpu().numpy()
        times, downbeats = Audio2Beats(str(self._file()))(signal, audio.sample_rate)
        first = {float(time) for time in downbeats}
        return Beats(times=tuple(sorted({*map(float, times), *first})), downbeats=tuple(sorted(first)))

    def _file(self) -> Path:
        named = Path(self.checkpoint)
        return named if named.suffix else Path(torch.hub.get_dir()) / "checkpoints" / f"beat_this-{named}.ckpt"


def _need(module: str, package: str = "") -> None:
    if importlib.util.find_spec(module) is None:
        name = package or module
        raise MissingPartError(f"the tracker '{name}' needs {name}; `pip install {name}` brings it")
