"""Audio to codes, hidden cells to new ones, codes to audio: codec, coarse and fine model working together.

Stereo is coded as mid and side: two rows that share one mask. A mono sound in two channels then stays mono, and
what is in the middle of the image is drawn once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from .budget import Budget
from .checkpoint import digest, load_codec, load_model, read_config
from .circle import decode_circle, encode_circle
from .clip import Clip, Heard
from .codec import Codec
from .codesfile import Origin
from .config import plain
from .draft import Draft, cells, unlocked, voices
from .dsp import left_right, mid_side
from .errors import AudioError, CheckpointError, ConfigError
from .filling import Progress, fill, stages
from .hints import Hint, needs, plain_hint
from .level import as_loud, circular_gain, level_gain, limited, limited_circle, limited_gain, loudness_of
from .listening import listen
from .lm import LMConfig, MaskedModel
from .models import PARTS, check_fit, fingerprint, folder_of
from .prompts import Prompt
from .resampling import join, resampled, samples_at
from .runtime import check_runtime, hand_over
from .sampling import Confidence, Mean, Sampler, samplers
from .splice import Voice, spliced
from .stereo import lean_of, placed, turned, turned_circle
from .surprise import by_frame
from .types import Audio, Codes, CodesStream, Grid, MeansStream, Pieces, SignalStream, Take

PROBE = 192
PART = 1024
LONGEST_CIRCLE = 600
HELD = 60.0  # seconds of a take that are held in memory rather than made twice, first to hear how loud it is
# chosen by `bench steps` on validation music: docs/steps.md
COARSE = Confidence(temperature=0.85)
FINE = Mean()


@dataclass(frozen=True)
class Pipeline:
    """A codec and the two models over its tokens. Build one with `load`.

    `coarse` predicts the lowest codebooks, `fine` the rest given those. `folder` is where they came from.
    """

    codec: Codec
    coarse: MaskedModel
    fine: MaskedModel
    name: str
    folder: Path

    @cached_property
    def hash(self) -> str:
        """What the model is; the first to ask waits until its folder has been read."""
        return fingerprint(self.folder)

    @cached_property
    def codec_hash(self) -> str:
        """What the codec alone is."""
        return digest(self.folder / PARTS[0])

    @property
    def precision(self) -> str:
        """What the models compute in; it changes their takes."""
        return self.coarse.precision

    @property
    def grid(self) -> Grid:
        return self.codec.grid

    def clip(self, samples: int, sample_rate: int, *, loop: bool = False, heard: Heard | None = None) -> Clip:
        """What hints may know of a sound of so many samples at a rate, and of what was heard in it."""
        there = samples_at(samples, sample_rate, self.grid.sample_rate)
        around = self.grid.frames_around(there, self.codec.period) if loop else None
        return Clip(self.grid, there, around, **vars(heard or Heard()))

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

    def encode_blocks(self, pieces: Pieces) -> tuple[CodesStream, Callable[[], Origin]]:
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
        """The sound of codes, at the rate, level and exact length that it came with; it leans as the origin tells."""
        return join(self.decode_blocks([codes], origin))

    def decode_blocks(self, codes: CodesStream, origin: Origin) -> Iterator[Audio]:
        """`decode` for a stream of codes, in flat memory unless they go round."""
        made, found = self._decoded(codes, origin), origin.found
        return made if found is None else placed(made, found, circular=origin.circular)

    def _decoded(self, codes: CodesStream, origin: Origin) -> Iterator[Audio]:
        if origin.circular:
            wave = decode_circle(self.codec, torch.cat(list(codes), dim=-1), origin.samples)
            wave = turned_circle(wave) if self.codec.draws_phases else wave
            yield Audio(left_right(wave)[None] / origin.gain, origin.sample_rate)
            return
        yield from self._finished(partial(self.codec.decode_blocks, codes), origin)

    def decode_means(self, means: MeansStream, origin: Origin) -> Iterator[Audio]:
        """The same for code vectors that may lie between codes, of a sound with two ends."""
        return self._finished(partial(self.codec.decode_means, means), origin)

    def _finished(self, decode: Callable[[int], SignalStream], origin: Origin) -> Iterator[Audio]:
        rate, left = self.grid.sample_rate, origin.samples
        waves = decode(samples_at(origin.samples, origin.sample_rate, rate))
        waves = turned(waves) if self.codec.draws_phases else waves
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
        audio: Audio | Take,
        prompt: Prompt,
        *,
        seed: int = 0,
        sampler: Sampler | None = None,
        finisher: Sampler | None = None,
        redraw: bool = False,
        loop: bool = False,
        turned: int = 0,
        batch: int = 1,
        lock: Sequence[Hint] = (),
        unlock: bool = False,
        feedback: int = 1,
        loudness: float | None = None,
        heard: Heard | None = None,
        budget: Budget | None = None,
        watch: Progress | None = None,
    ) -> Take:
        """A take: what `prompt` keeps of `audio`, and the rest made up by the models.

        Where it keeps all codebooks of more than two frames in a row, the take carries the samples of `audio`; see
        `splice` for how they meet what was made.

        Args:
            audio: one sound, mono or stereo; or a take, which goes on from its tokens and is a loop if it was one.
            prompt: which cells stay.
            seed: another seed, another take.
            sampler: how the coarse codebooks are filled; `COARSE` unless given.
            finisher: how the fine ones are; `FINE` unless given.
            redraw: let the codec draw again what is kept, too.
            loop: the end of `audio` meets its start, and that of the take its own; see `circle`.
            turned: by how many frames a loop was turned; the take is turned with it.
            batch: windows of a long sound that are filled at once, as memory allows; it does not change the take.
            lock: cells that are not hidden, in this take and in all that are made from it.
            unlock: forget what was locked in the take before.
            feedback: how many times; each time but the first starts from the tokens of the one before, with the
                next seed.
            loudness: in LUFS, what is made is brought to; that of `audio` unless given.
            heard: what is known of the sound, such as its beats; what else the prompt needs is listened for.
            budget: what the take may cost, made just before; it decides over the samplers' steps.
            watch: called as `watch(stage, passes done, passes in all)`; what it raises ends the work.

        Raises:
            AudioError: the sound is a batch, has more than two channels, or is a loop of more than 10 minutes.
            CheckpointError: the take is of another codec.
            ConfigError: `feedback` is below 1, or above it with a deadline.
            PromptError: the prompt asks for what the clip does not have, or all that it hides is locked.
        """
        budget = budget or Budget()
        before = audio if isinstance(audio, Take) else None
        sound = audio if isinstance(audio, Audio) else audio.audio
        codes, origin = self.encode(sound, circular=loop) if before is None else (before.codes, self.origin(before))
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
            lock=lock,
            locked=None if before is None or unlock else before.locked,
            feedback=feedback,
            loudness=loudness,
            heard=listen(lambda: [sound], prompt.needs | needs(*lock), heard, circular=origin.circular),
            budget=budget,
            watch=watch,
        )
        return draft.take(join(self.sound(draft, lambda: [sound])))

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
        lock: Sequence[Hint] = (),
        locked: Bool[Tensor, "codebook frame"] | None = None,
        feedback: int = 1,
        loudness: float | None = None,
        heard: Heard | None = None,
        budget: Budget | None = None,
        watch: Progress | None = None,
    ) -> Draft:
        """The tokens of a take of a sound that has been encoded; `locked` was before, and the rest is as in `vary`."""
        spent = budget or Budget()
        if feedback < 1 or (feedback > 1 and spent.timed):
            raise ConfigError(f"feedback must be 1 or more, and 1 with a deadline, got {feedback}")
        if "surprise" in prompt.needs | needs(*lock) and (heard is None or heard.surprise is None):
            bits = by_frame(self.coarse, codes, circular=origin.circular, turned=turned, watch=watch)
            heard = replace(heard or Heard(), surprise=bits)
        clip = self.clip(origin.samples, origin.sample_rate, loop=origin.circular, heard=heard)
        fixed = cells(clip, lock) if locked is None else locked | cells(clip, lock)
        mask = unlocked(prompt.mask(clip, seed=seed, turned=turned), fixed)[None].expand_as(codes)
        how = {"coarse": sampler or COARSE, "fine": finisher or FINE}
        if spent.timed:
            spent.reserve(self._seconds_to_decode(codes, spent.clock))
        ways = {"circular": origin.circular, "turned": turned, "batch": batch, "budget": spent, "watch": watch}
        for each in range(feedback):
            codes = fill(stages(self.codec.quantizer, self.coarse, self.fine, how, seed + each), codes, mask, **ways)
        settings = {
            "prompt": prompt.plain(),
            "redraw": redraw,
            "loop": origin.circular,
            **({"turned": turned} if turned else {}),
            **({"lock": [plain_hint(hint) for hint in lock]} if lock else {}),
            **({"feedback": feedback} if feedback > 1 else {}),
            **({} if loudness is None else {"loudness": loudness}),
            **({} if self.precision == "fp32" else {"precision": self.precision}),
            **{stage: {"name": samplers.name(type(each)), **plain(each)} for stage, each in spent.chosen.items()},
            **({} if spent.cut is None else {"cut": spent.cut, **({"batch": batch} if batch > 1 else {})}),
        }
        draft = Draft(codes, mask, origin, seed, settings, self.hash, fixed if bool(fixed.any()) else None)
        return draft if loudness is None else self._levelled(draft, loudness)

    def origin(self, take: Take) -> Origin:
        """What the sound of a take's tokens is made with.

        Raises:
            CheckpointError: the tokens are of another codec.
        """
        audio, circular = take.audio, bool(take.settings.get("loop"))
        self.check_tokens("the take", take.codec)
        return self._origin(audio, audio.samples, take.gain, circular=circular)

    def check_tokens(self, name: str, codec: str) -> None:
        """See that tokens of a codec with this hash are ours; `name` is whose tokens they are.

        Raises:
            CheckpointError: they are not.
        """
        if codec != self.codec_hash:
            theirs = f"tokens of another codec ({codec or 'unknown'})"
            raise CheckpointError(f"{name} has {theirs} than model '{self.name}' ({self.codec_hash}); name its model")

    def sound(self, draft: Draft, original: Pieces, other: Pieces | None = None) -> Iterator[Audio]:
        """The sound of a take piece by piece, in flat memory unless it is a loop.

        `original` gives the sound that it was made from, in pieces, and `other` that of the cells that the mask hides,
        where they are another take's; with `redraw` no samples are taken of them. What is made is as loud as the
        original and leans to the same side, and is limited to full scale, so that a few peaks need not turn down all
        the rest.
        """
        origin, hidden, made = draft.origin, draft.mask[0], self._made(draft, original)
        sources = [] if other is None else [(other, ~hidden)]
        plans = [(pieces, voices(mask, origin)) for pieces, mask in [*sources, (original, hidden)]]
        plans = [each for each in plans if any(turn.voice is Voice.ORIGINAL for turn in each[1])]
        for pieces, plan in [] if draft.settings["redraw"] else plans:
            made = spliced((Audio(piece.wave.float(), piece.sample_rate) for piece in pieces()), made, plan)
        return made

    def _made(self, draft: Draft, original: Pieces | None = None) -> Iterator[Audio]:
        """What the codec makes of a take's tokens, limited; with an original, as loud, and leaning to the same side."""
        drawn, circular = partial(self._drawn, draft, original), draft.origin.circular
        if original is not None and "loudness" not in draft.settings:
            drawn = as_loud(drawn, original, held=circular or draft.origin.seconds <= HELD)
        return map(limited_circle, drawn()) if circular else limited(drawn())

    def _drawn(self, draft: Draft, original: Pieces | None) -> Iterator[Audio]:
        origin = draft.origin
        made = self.decode_blocks((part.long() for part in draft.codes.split(PART, dim=-1)), origin)
        if original is None or origin.channels == 1 or not self.codec.draws_phases:
            return made
        found, pace = lean_of(original, circular=origin.circular), 1 / draft.settings.get("stretch", 1)
        return placed(made, found, circular=origin.circular, pace=pace)

    def _levelled(self, draft: Draft, loudness: float) -> Draft:
        """A draft with the gain that gives what it makes this loudness, peaks limited; silence stays as it is."""
        drawn, origin = partial(self._drawn, draft, None), draft.origin
        held = origin.circular or origin.seconds <= HELD
        factor = limited_gain(drawn, loudness, held=held, circular=origin.circular)
        return replace(draft, origin=replace(origin, gain=origin.gain / factor))

    def _seconds_to_decode(self, codes: Codes, clock: Callable[[], float]) -> float:
        """How long it will take to decode, as a short piece tells, and a quarter more for what else is left."""
        piece, began = codes[..., :PROBE], clock()
        sound = [Audio(self.codec.decode(piece.long(), piece.shape[-1] * self.grid.hop)[None], self.grid.sample_rate)]
        _ = loudness_of(sound), loudness_of(sound)  # the original's and the take's
        return 1.25 * (clock() - began) * codes.shape[-1] / piece.shape[-1]


def _check_shape(piece: Audio) -> None:
    if piece.wave.shape[0] != 1 or piece.channels > 2:
        raise AudioError(f"a sound must have one or two channels, got shape {tuple(piece.wave.shape)}")


def load(
    model: str | Path = "default", *, precision: str = "fp32", device: str = "cpu", runtime: str = "torch"
) -> Pipeline:
    """The pipeline of a model: one that ships or that the user installed, by name, or the folder of one.

    Args:
        model: its name or folder.
        precision: of the models: "fp32", "bf16", or "int8" on a CPU. The codec always computes in fp32.
        device: where the models compute, "cpu", "cuda" or "mps"; the codec stays on the CPU.
        runtime: what computes all that is in fp32: "torch", or "openvino" on a CPU, for one caller at a time.

    Raises:
        CheckpointError: there is no such model, or its parts are damaged or do not fit each other.
        ConfigError: there is no such precision, runtime or device, or they do not go together.
        MissingPartError: the runtime is not installed.
    """
    if precision == "int8" and device != "cpu":
        raise ConfigError(f"int8 runs on the CPU alone, got device '{device}'; use bf16 there")
    check_runtime(runtime, device)
    folder = folder_of(model)
    codec = load_codec(folder / "codec")
    coarse_size, fine_size = (read_config(folder / part, LMConfig) for part in PARTS[1:])
    check_fit(codec.grid, coarse_size, fine_size, folder)
    coarse, fine = (load_model(folder / part, precision).to(device) for part in PARTS[1:])
    hand_over(runtime, codec, coarse, fine)
    return Pipeline(codec, coarse, fine, folder.name, folder)
