"""Audio to codes, hidden cells to new ones, codes to audio: codec, coarse and fine model working together.

Stereo is coded as mid and side: two rows that share one mask. A mono sound in two channels then stays mono, and
what is in the middle of the image is drawn once.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from .budget import Budget
from .checkpoint import digest, load_codec, read_config, restore
from .circle import decode_circle, encode_circle
from .clip import Clip
from .codec import Codec
from .codesfile import Origin
from .config import plain
from .dsp import left_right, mid_side
from .errors import AudioError, CheckpointError
from .filling import Progress, fill, stages
from .level import circular_gain, level_gain, limited, limited_circle
from .lm import LMConfig, MaskedModel
from .models import PARTS, fingerprint, folder_of
from .prompts import Prompt
from .resampling import join, resampled, samples_at
from .sampling import Confidence, Sampler, samplers
from .splice import Turn, Voice, carried, spliced, turns
from .types import Audio, Codes, CodesStream, Grid, Mask, Take

PROBE = 192
PART = 1024
LONGEST_CIRCLE = 600
COARSE: Sampler = Confidence()
FINE: Sampler = Confidence(steps=8)


@dataclass(frozen=True)
class Draft:
    """A take before it is heard: its tokens, and what its sound is made with."""

    codes: Codes
    mask: Mask
    origin: Origin
    seed: int
    settings: dict[str, Any]
    model: str

    def take(self, audio: Audio) -> Take:
        """The take, once it has a sound."""
        return Take(audio, self.codes.long(), self.mask, self.seed, self.settings, self.model)


@dataclass(frozen=True)
class Pipeline:
    """A codec and the two models over its tokens. Build one with `load`.

    `coarse` predicts the lowest codebooks, `fine` the rest given those. `folder` is where they came from, `hash`
    what they are, and `codec_hash` what the codec alone is.
    """

    codec: Codec
    coarse: MaskedModel
    fine: MaskedModel
    name: str
    folder: Path
    hash: str
    codec_hash: str

    @property
    def grid(self) -> Grid:
        return self.codec.grid

    def clip(self, samples: int, sample_rate: int, *, loop: bool = False) -> Clip:
        """What hints may know of a sound of so many samples at a rate."""
        there = samples_at(samples, sample_rate, self.grid.sample_rate)
        return Clip(self.grid, there, self.grid.frames_around(there, self.codec.period) if loop else None)

    def encode(self, audio: Audio, *, circular: bool = False) -> tuple[Codes, Origin]:
        """The codes of a sound (one row mono; mid and side stereo), and what `decode` needs to give it back.

        The end of a circular sound meets its start; see `circle` for how it is fitted to whole frames.

        Raises:
            AudioError: the sound is a batch, has more than two channels, or is a circle of more than 10 minutes.
        """
        if not circular:
            codes, origins = self.encode_blocks(lambda: [audio])
            return torch.cat(list(codes), dim=-1), origins()
        _check_shape(audio)
        if audio.seconds > LONGEST_CIRCLE:
            raise AudioError(f"a loop may last at most {LONGEST_CIRCLE} s, got {audio.seconds:.1f} s")
        gain = circular_gain(audio)
        frames = self.clip(audio.samples, audio.sample_rate, loop=True).frames
        codes = encode_circle(self.codec, mid_side(audio.wave[0].float() * gain), frames)
        return codes, self._origin(audio, audio.samples, gain, circular=True)

    def encode_blocks(self, pieces: Callable[[], Iterable[Audio]]) -> tuple[CodesStream, Callable[[], Origin]]:
        """`encode` for a sound that is read twice in pieces, in flat memory: first for its level, then for its codes.

        Returns:
            The codes piece by piece, and a function that tells their origin once all have been taken.

        Raises:
            AudioError: the sound is a batch, has more than two channels or no samples.
        """
        gain, samples, last = level_gain(pieces()), 0, None

        def checked() -> Iterator[Audio]:
            nonlocal samples, last
            for piece in pieces():
                _check_shape(piece)
                samples, last = samples + piece.samples, piece
                yield Audio(piece.wave * gain, piece.sample_rate)

        def origin() -> Origin:
            if last is None:
                raise AudioError("a sound needs at least one sample")
            return self._origin(last, samples, gain, circular=False)

        sides = (mid_side(piece.wave[0]) for piece in resampled(checked(), self.grid.sample_rate))
        return self.codec.encode_blocks(sides), origin

    def _origin(self, audio: Audio, samples: int, gain: float, *, circular: bool) -> Origin:
        return Origin(
            grid=self.grid,
            sample_rate=audio.sample_rate,
            channels=audio.channels,
            samples=samples,
            circular=circular,
            gain=gain,
            model=self.name,
            hash=self.codec_hash,
        )

    def decode(self, codes: Codes, origin: Origin) -> Audio:
        """The sound of codes, at the sample rate, level and exact length that it came with."""
        return join(self.decode_blocks([codes], origin))

    def decode_blocks(self, codes: CodesStream, origin: Origin) -> Iterator[Audio]:
        """`decode` for a stream of codes, in flat memory unless they go round."""
        if origin.circular:
            wave = decode_circle(self.codec, torch.cat(list(codes), dim=-1), origin.samples)
            yield Audio(left_right(wave)[None] / origin.gain, origin.sample_rate)
            return
        rate, left = self.grid.sample_rate, origin.samples
        samples = samples_at(origin.samples, origin.sample_rate, rate)
        waves = self.codec.decode_blocks(codes, samples)
        pieces = (Audio(left_right(wave)[None] / origin.gain, rate) for wave in waves if wave.shape[-1])
        for piece in resampled(pieces, origin.sample_rate):
            kept = piece.wave[..., :left]
            left -= kept.shape[-1]
            if kept.shape[-1]:
                yield Audio(kept, origin.sample_rate)
        if left:
            yield Audio(torch.zeros(1, origin.channels, left), origin.sample_rate)

    def vary(
        self,
        audio: Audio,
        prompt: Prompt,
        *,
        seed: int = 0,
        sampler: Sampler | None = None,
        finisher: Sampler | None = None,
        redraw: bool = False,
        loop: bool = False,
        turned: int = 0,
        batch: int = 1,
        budget: Budget | None = None,
        watch: Progress | None = None,
    ) -> Take:
        """A take: what `prompt` keeps of `audio`, and the rest made up by the models.

        Where it keeps all codebooks of more than two frames in a row, the take carries the samples of `audio`; see
        `splice` for how they meet what was made.

        Args:
            audio: one sound, mono or stereo.
            prompt: which cells stay.
            seed: another seed, another take.
            sampler: how the coarse codebooks are filled; `COARSE` unless given.
            finisher: how the fine ones are; `FINE` unless given.
            redraw: let the codec draw again what is kept, too.
            loop: the end of `audio` meets its start, and that of the take its own; see `circle`.
            turned: by how many frames a loop was turned; the take is turned with it.
            batch: windows of a long sound that are filled at once, as memory allows; it does not change the take.
            budget: what the take may cost, made just before; it decides over the samplers' steps.
            watch: called as `watch(stage, passes done, passes in all)`; what it raises ends the work.

        Raises:
            AudioError: the sound is a batch, has more than two channels, or is a loop of more than 10 minutes.
            PromptError: the prompt asks for what the clip does not have.
        """
        budget = budget or Budget()
        codes, origin = self.encode(audio, circular=loop)
        draft = self.draft(
            codes,
            origin,
            prompt,
            seed=seed,
            sampler=sampler,
            finisher=finisher,
            redraw=redraw,
            turned=turned,
            batch=batch,
            budget=budget,
            watch=watch,
        )
        return draft.take(join(self.sound(draft, [audio])))

    def draft(
        self,
        codes: Codes,
        origin: Origin,
        prompt: Prompt,
        *,
        seed: int = 0,
        sampler: Sampler | None = None,
        finisher: Sampler | None = None,
        redraw: bool = False,
        turned: int = 0,
        batch: int = 1,
        budget: Budget | None = None,
        watch: Progress | None = None,
    ) -> "Draft":
        """The tokens of a take of a sound that has been encoded; the rest as in `vary`."""
        spent = budget or Budget()
        clip = self.clip(origin.samples, origin.sample_rate, loop=origin.circular)
        mask = prompt.mask(clip)[None].expand_as(codes)
        how = {"coarse": sampler or COARSE, "fine": finisher or FINE}
        if spent.timed:
            spent.reserve(self._seconds_to_decode(codes, spent.clock))
        work = stages(self.coarse, self.fine, how, seed)
        filled = fill(
            work, codes, mask, circular=origin.circular, turned=turned, batch=batch, budget=spent, watch=watch
        )
        settings = {
            "prompt": prompt.plain(),
            "redraw": redraw,
            "loop": origin.circular,
            **({"turned": turned} if turned else {}),
            **{stage: {"name": samplers.name(type(each)), **plain(each)} for stage, each in spent.chosen.items()},
            **({} if spent.cut is None else {"cut": spent.cut, **({"batch": batch} if batch > 1 else {})}),
        }
        return Draft(filled, mask, origin, seed, settings, self.hash)

    def sound(self, draft: "Draft", original: Iterable[Audio]) -> Iterator[Audio]:
        """The sound of a take piece by piece, in flat memory unless it is a loop.

        `original` is the sound that it was made from, in pieces; with `redraw` it is not looked at. Where original
        samples are carried, what is made is limited to full scale, so that no one need turn the originals down.
        """
        origin = draft.origin
        made = self.decode_blocks((part.long() for part in draft.codes.split(PART, dim=-1)), origin)
        if draft.settings["redraw"]:
            return made
        plan = self._turns(draft.mask[0], origin)
        if not any(turn.voice is Voice.ORIGINAL for turn in plan):
            return made
        made = map(limited_circle, made) if origin.circular else limited(made)
        pieces = (Audio(piece.wave.float(), piece.sample_rate) for piece in original)
        return spliced(pieces, made, plan)

    def _turns(self, mask: Bool[Tensor, "codebook frame"], origin: Origin) -> list[Turn]:
        """Whose samples each stretch of a take has; a frame is `over / under` samples long."""
        last = mask.shape[-1]
        over, under = self.grid.hop * origin.sample_rate, self.grid.sample_rate
        if origin.circular:
            over, under = origin.samples, last

        def edge(frame: int) -> int:
            return origin.samples if frame == last else -(-frame * over // under)

        frames = carried(mask, circular=origin.circular)
        return turns(frames, edge, over // (2 * under), circular=origin.circular)

    def _seconds_to_decode(self, codes: Codes, clock: Callable[[], float]) -> float:
        """How long it will take to decode, as a short piece tells, and a quarter more for what else is left."""
        piece, began = codes[..., :PROBE], clock()
        _ = self.codec.decode(piece.long(), piece.shape[-1] * self.grid.hop)
        return 1.25 * (clock() - began) * codes.shape[-1] / piece.shape[-1]


def _check_shape(piece: Audio) -> None:
    if piece.wave.shape[0] != 1 or piece.channels > 2:
        raise AudioError(f"a sound must have one or two channels, got shape {tuple(piece.wave.shape)}")


def load(model: str | Path = "default") -> Pipeline:
    """The pipeline of a model: one that ships or that the user installed, by name, or the folder of one.

    Raises:
        CheckpointError: there is no such model, or its parts are damaged or do not fit each other.
    """
    folder = folder_of(model)
    codec = load_codec(folder / "codec")
    coarse = MaskedModel(read_config(folder / "coarse", LMConfig))
    fine = MaskedModel(read_config(folder / "fine", LMConfig))
    check_fit(codec.grid, coarse.config, fine.config, folder)
    for part, module in zip(PARTS[1:], (coarse, fine), strict=True):
        restore(folder / part, module)
        _ = module.eval().requires_grad_(False)
    return Pipeline(codec, coarse, fine, folder.name, folder, fingerprint(folder), digest(folder / "codec"))


def check_fit(grid: Grid, coarse: LMConfig, fine: LMConfig, folder: Path) -> None:
    """See that a codec and two models belong together.

    Raises:
        CheckpointError: they do not; the message names `folder` and the rule.
    """
    rules = {
        "the coarse model must predict from codebook 0": coarse.given == 0,
        "the fine model must be given what the coarse one predicts": fine.given == coarse.codebooks,
        f"the fine model must see all {grid.codebooks} codebooks": fine.codebooks == grid.codebooks,
        f"both must have the codec's vocabulary of {grid.vocabulary}": (
            coarse.vocabulary == fine.vocabulary == grid.vocabulary
        ),
    }
    for rule, held in rules.items():
        if not held:
            raise CheckpointError(f"the parts of {folder} do not fit: {rule}")
