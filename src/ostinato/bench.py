"""What steps buy: takes of held-out music by every sampler at every number of steps, measured five ways."""

import csv
import dataclasses
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from .beats import Tracker, agreement
from .chance import derive
from .clip import Clip
from .config import defaults, knobs, unparse_named
from .errors import CheckpointError
from .evaluate.embedding import embed
from .evaluate.estimates import Estimate, Progress, estimate, quiet
from .evaluate.passages import passages
from .evaluate.reconstruction import tokens
from .filling import fill, stages
from .interop.published import Published
from .lm import MaskedModel
from .masks import scatter
from .metrics import frechet_distance, mel_distance, token_bits
from .pipeline import COARSE, FINE, Pipeline
from .prompts import Prompt
from .registry import Registry
from .sampling import Sampler, samplers
from .tracking import load_tracker
from .types import Audio, Beats, Codes, Mask, Signal

STEPS = (1, 2, 4, 8, 12, 16, 24, 36, 64)
STAGES = ("coarse", "fine")
COLUMNS: tuple[str, ...] = (
    "sampler",
    "steps",
    "bits",
    "bits_low",
    "bits_high",
    "mel",
    "mel_low",
    "mel_high",
    "frechet",
    "beats",
    "seconds",
)
contenders: Registry[Sampler] = Registry("sampler")
for _name in samplers:
    _ = contenders(_name)(samplers[_name])
_ = contenders("published")(Published)


@dataclass(frozen=True)
class Setting:
    """What is varied and how: passages of a split, drawn by `seed`, under one prompt.

    `stage` is the model whose sampler is measured. With "coarse" the fine one follows as always; with "fine" the
    coarse codebooks are those of the music. `model` and `scorer` are hashes.
    """

    stage: str
    split: str
    passages: int
    seconds: float
    seed: int
    prompt: dict[str, list[dict[str, Any]]]
    model: str
    scorer: str
    batch: int
    threads: int


@dataclass(frozen=True)
class Score:
    """What the takes of one sampler came to, on average.

    `bits` is the cost of a made token, half of them hidden, under the scoring model; `mel` the mel distance to the
    codec's reconstruction of the input; `frechet` how far the takes as a collection are from other held-out music
    that has been through the codec; `beats` the F-measure of its beats, tracked afresh, against those of the same
    reconstruction, where that has any; `seconds` the time of a take, from samples to samples.
    """

    sampler: str
    steps: int
    bits: Estimate
    mel: Estimate
    frechet: float
    beats: float | None
    seconds: float

    @property
    def row(self) -> dict[str, Any]:
        """Its figures, by `COLUMNS`."""
        spread = {
            f"{name}{suffix}": getattr(value, part)
            for name, value in (("bits", self.bits), ("mel", self.mel))
            for suffix, part in (("", "mean"), ("_low", "low"), ("_high", "high"))
        }
        told = dataclasses.asdict(self) | spread
        return {column: told[column] for column in COLUMNS}


@dataclass(frozen=True)
class Course:
    """All that every sampler is measured on: held-out codes, what is hidden of them, and what they sound like."""

    setting: Setting
    pipeline: Pipeline
    scorer: MaskedModel
    codes: Codes
    mask: Mask
    heard: Signal
    others: Float[Tensor, "window feature"]
    tracker: Tracker
    beats: Sequence[Beats]
    coding: float

    @property
    def made(self) -> Mask:
        """The hidden cells that the measured model fills."""
        config = self.scorer.config
        return self.mask[:, config.given : config.codebooks]

    @property
    def music(self) -> Score:
        """What the music itself scores, with no token made anew."""
        return self._score("the music", 0, self.codes, self.heard, self.coding)

    def score(self, sampler: Sampler) -> Score:
        """Make a take of every passage, and measure them."""
        how: dict[str, Sampler] = {"coarse": COARSE, "fine": FINE} | {self.setting.stage: sampler}
        began = time.perf_counter()
        rows = []
        for here in self._batches():
            seed = derive(self.setting.seed, here.start)
            work = stages(self.pipeline.codec.quantizer, self.pipeline.coarse, self.pipeline.fine, how, seed)
            rows.append(fill(work, self.codes[here], self.mask[here]))
        seconds = (time.perf_counter() - began) / len(self.codes)
        filled = torch.cat(rows)
        sound = decoded(self.pipeline, filled, self.heard)
        return self._score(written(sampler), steps_of(sampler, self.made), filled, sound, seconds + self.coding)

    def _score(self, name: str, steps: int, codes: Codes, sound: Signal, seconds: float) -> Score:
        rate = self.pipeline.grid.sample_rate
        bits = [cost for here in self._batches() for cost in self._bits(codes[here], here)]
        mel = [float(mel_distance(a[None], b[None], rate)) for a, b in zip(self.heard, sound, strict=True)]
        found = embed(Audio(wave[None, None], rate) for wave in sound)
        distance = frechet_distance(self.others, found)
        return Score(name, steps, estimate(bits), estimate(mel), distance, self._following(sound), seconds)

    def _following(self, sound: Signal) -> float | None:
        rate = self.pipeline.grid.sample_rate
        pairs = [(Audio(wave[None, None], rate), beats) for wave, beats in zip(sound, self.beats, strict=True)]
        found = [agreement(self.tracker(audio), beats) for audio, beats in pairs if beats.times]
        return fmean(found) if found else None

    def _bits(self, codes: Codes, here: slice) -> list[float]:
        """Mean bits of a made token of each take, each of them judged by the other half, and by what is visible."""
        seen, made = codes[:, : self.scorer.config.codebooks], self.made[here]
        half = halves(made, derive(self.setting.seed, here.start, 1))
        costs = [token_costs(self.scorer, seen, made & part) for part in (half, ~half)]
        return (sum(costs) / made.sum((1, 2))).tolist()

    def _batches(self) -> Iterator[slice]:
        for start in range(0, len(self.codes), self.setting.batch):
            yield slice(start, min(start + self.setting.batch, len(self.codes)))


def course(
    pipeline: Pipeline,
    folder: Path,
    *,
    stage: str = "coarse",
    scorer: Pipeline | None = None,
    prompt: Prompt | None = None,
    count: int = 64,
    seconds: float = 6.0,
    tracker: Tracker | None = None,
    seed: int = 0,
    batch: int = 1,
    watch: Progress = quiet,
) -> Course:
    """What samplers are measured on.

    Args:
        pipeline: the model that makes the takes.
        folder: the split's tracks.
        stage: the model whose sampler is measured, coarse or fine.
        scorer: the model that judges tokens; the pipeline's own unless given.
        prompt: `periodic:period=7` unless given.
        count: passages, a take each. As many others stand for the music that takes should be like.
        seconds: length of a passage, at least 3.
        tracker: who hears the beats; the one that ships unless given.
        seed: which passages, which takes.
        batch: takes made at a time; another number gives other takes.
        watch: called with (what, done, total).

    Raises:
        CheckpointError: the scorer has another codec. CorpusError: the split has too little music.
        AudioError: passages are too short for the embedding.
    """
    judge, grid = scorer or pipeline, pipeline.grid
    if judge.codec_hash != pipeline.codec_hash:
        raise CheckpointError(f"'{judge.name}' cannot score takes of '{pipeline.name}': they have different codecs")
    asked = prompt or Prompt.of(keep=["periodic:period=7"])
    chosen = passages(folder, count, seconds, seed, grid.sample_rate)
    began = time.perf_counter()
    codes = tokens(pipeline.codec, chosen, watch)
    samples = chosen[0].audio.samples
    heard = decoded(pipeline, codes, torch.empty(count, samples))
    coding = (time.perf_counter() - began) / count
    apart = tokens(pipeline.codec, passages(folder, count, seconds, derive(seed, 1), grid.sample_rate), watch)
    others = embed(Audio(wave[None, None], grid.sample_rate) for wave in decoded(pipeline, apart, heard))
    mask = asked.mask(Clip(grid, samples))[None].expand_as(codes).clone()
    if stage == "fine":
        mask[:, : pipeline.fine.config.given] = False
    setting = Setting(
        stage=stage,
        split=folder.name,
        passages=count,
        seconds=seconds,
        seed=seed,
        prompt=asked.plain(),
        model=pipeline.hash,
        scorer=judge.hash,
        batch=batch,
        threads=torch.get_num_threads(),
    )
    model = judge.coarse if stage == "coarse" else judge.fine
    ear = tracker or load_tracker("default")
    beats = [ear(Audio(wave[None, None], grid.sample_rate)) for wave in heard]
    return Course(setting, pipeline, model, codes, mask, heard, others, ear, beats, coding)


def ladder(chosen: Sequence[Sampler], steps: Sequence[int] = STEPS) -> list[Sampler]:
    """Each sampler at each number of steps; once, where its steps are not for us to choose."""
    rungs: list[Sampler] = []
    for sampler in chosen:
        settings: Any = sampler
        named = _steps_knob(sampler)
        rungs += [sampler] if named is None else [dataclasses.replace(settings, **{named: n}) for n in steps]
    return rungs


def written(sampler: Sampler) -> str:
    """A sampler as it is written on the command line, without its steps."""
    settings: Any = sampler
    named = _steps_knob(sampler)
    usual = {} if named is None else {named: defaults(type(sampler))[named]}
    return unparse_named(contenders, dataclasses.replace(settings, **usual))


def steps_of(sampler: Sampler, mask: Mask) -> int:
    """The steps that a sampler was given, or takes by its nature."""
    named = _steps_knob(sampler)
    return sampler.passes(mask) if named is None else getattr(sampler, named)


def _steps_knob(sampler: Sampler) -> str | None:
    """The knob that says how many steps a sampler takes, if it has one."""
    return next((name for name in ("steps", "sampling_steps") if name in knobs(type(sampler))), None)


def run(on: Course, rungs: Sequence[Sampler], known: Sequence[Score] = (), watch: Progress = quiet) -> Iterator[Score]:
    """The score of each sampler, measured unless it is among those `known`."""
    measured = {(score.sampler, score.steps): score for score in known}
    for number, sampler in enumerate(rungs):
        watch("samplers", number, len(rungs))
        yield measured.get((written(sampler), steps_of(sampler, on.made))) or on.score(sampler)


def report(setting: Setting, music: Score, scores: Sequence[Score]) -> dict[str, Any]:
    """All that was found, as JSON-ready data."""
    return {
        "setting": dataclasses.asdict(setting),
        "music": dataclasses.asdict(music),
        "scores": [dataclasses.asdict(score) for score in scores],
    }


def known_scores(found: Mapping[str, Any], setting: Setting) -> list[Score]:
    """The scores in a report of just this setting; none, where it is of another."""
    if found.get("setting") != dataclasses.asdict(setting):
        return []
    estimates = ("bits", "mel")
    return [Score(**told | {name: Estimate(**told[name]) for name in estimates}) for told in found["scores"]]


def as_csv(scores: Sequence[Score]) -> str:
    """Scores as comma-separated values under `COLUMNS`."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(score.row for score in scores)
    return file.getvalue()


def decoded(pipeline: Pipeline, codes: Codes, like: Signal) -> Signal:
    """The sound of codes, a row at a time, as long as `like`."""
    return torch.cat([pipeline.codec.decode(row[None], like.shape[-1]) for row in codes])


def halves(mask: Mask, seed: int) -> Bool[Tensor, "batch codebook frame"]:
    """True for a half of all cells of each row, strewn by chance."""
    _, codebooks, frames = mask.shape
    rows = [scatter(codebooks * frames, 0.5, derive(seed, row)) for row in range(len(mask))]
    return torch.stack(rows).view(mask.shape)


@torch.no_grad()
def token_costs(
    model: MaskedModel, codes: Codes, hidden: Bool[Tensor, "batch predicted frame"]
) -> Float[Tensor, " batch"]:
    """Bits of all hidden tokens of each row under a model that sees the others; `hidden` is of what it predicts."""
    given = model.config.given
    logits = model(codes, F.pad(hidden, (0, 0, given, 0)))
    return (token_bits(logits, codes[:, given:]) * hidden).sum((1, 2))
