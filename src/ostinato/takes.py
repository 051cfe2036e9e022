"""Takes that go on: their tokens in their files, blends of two, and a take told from hop to hop.

A take's file carries its codes in the comment, in as few bits as their vocabulary needs, and with them which cells
are new and which are locked. So a take is one file, and what is made from it starts from its very tokens. Tokens that
would make a comment of more than 12 MB (some 85 minutes of stereo) are left out; such a sound is encoded again.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from . import audiofile
from .clip import Heard
from .codesfile import Origin
from .config import load, plain
from .draft import Draft, cells
from .errors import AudioError, ConfigError, OstinatoError, PromptError
from .hints import Hint, needs, plain_hint
from .level import loudness_of
from .longplay import encode_file
from .packed import pack, unpack
from .pipeline import Pipeline
from .prompts import Prompt
from .surprise import by_frame
from .tree import TOKENS, about
from .types import Audio, Take

LONGEST = 12_000_000
NOT_SETTINGS = (TOKENS, "ostinato", "model", "hash", "seed", "input", "gain_db")


def tokens(draft: Draft) -> dict[str, Any]:
    """What a take's file carries under `TOKENS`, so that `read_draft` gives the draft back."""
    bits = _bits(draft.origin)
    if draft.codes.numel() * bits / 6 > LONGEST:
        return {}
    locked = {} if draft.locked is None else {"locked": pack(draft.locked.int(), 1)}
    return {
        TOKENS: {
            "origin": plain(draft.origin),
            "shape": list(draft.codes.shape),
            "codes": pack(draft.codes, bits),
            "hidden": pack(draft.mask[0].int(), 1),
            **locked,
        }
    }


def read_draft(path: str | Path) -> Draft | None:
    """The tokens of a take, or None where the file has none that fit its sound.

    Raises:
        AudioError: the file cannot be read.
    """
    told, facts = audiofile.about(path) or {}, audiofile.info(path)
    try:
        packed = told[TOKENS]
        origin, shape = load(Origin, packed["origin"]), packed["shape"]
        codes = unpack(packed["codes"], shape, _bits(origin))
        hidden = unpack(packed["hidden"], shape[1:], 1).bool()
        locked = unpack(packed["locked"], shape[1:], 1).bool() if "locked" in packed else None
        if (origin.samples, origin.sample_rate, origin.channels) != (facts.samples, facts.sample_rate, facts.channels):
            return None
        turned_down = 10 ** (told.get("gain_db", 0.0) / 20)
        origin = replace(origin, gain=origin.gain / turned_down)
        settings = {key: value for key, value in told.items() if key not in NOT_SETTINGS}
        return Draft(codes, hidden[None].expand(codes.shape), origin, told["seed"], settings, told["hash"], locked)
    except (KeyError, TypeError, ValueError, OstinatoError):
        return None


def read_take(path: str | Path) -> Take:
    """A take as `Pipeline.vary` gives it, from its file; its parent is the SHA-256 of what it was made from.

    Raises:
        AudioError: the file cannot be read, or it carries no tokens that fit its sound.
    """
    draft = read_draft(path)
    if draft is None:
        raise AudioError(f"{path} carries no tokens that fit its sound; vary it as any other sound")
    source = about(path).get("input", {})
    return draft.take(audiofile.read(path)).replace(parent=source.get("sha256"))


def draft_of(pipeline: Pipeline, path: Path, *, loop: bool = False) -> tuple[Draft, bool]:
    """A sound file as what others go on from, and whether it had to be encoded for want of tokens that fit.

    `loop` says that a sound goes round where the file itself does not say.

    Raises:
        AudioError: the file cannot be read.
        CheckpointError: its tokens are of another codec than the pipeline's.
        ConfigError: it is to be a loop, and its tokens are not.
    """
    found, told = read_draft(path), about(path)
    if found is None:
        codes, origin = encode_file(pipeline, path, loop=bool(told.get("loop", loop)))
        nothing = torch.zeros(codes.shape, dtype=torch.bool)
        return Draft(codes, nothing, origin, told.get("seed", 0), {}, pipeline.hash), True
    pipeline.check_tokens(str(path), found.origin.hash)
    if loop and not found.origin.circular:
        raise ConfigError(f"the tokens of {path} have two ends; to make it a loop, vary it as any other sound")
    return found, False


def blend(pipeline: Pipeline, ours: Draft, theirs: Draft, mix: Sequence[Hint], *, heard: Heard | None = None) -> Draft:
    """One take's tokens with those of another where the hints speak; its mask is true for the cells of the other.

    What is locked in the first stays. Where neither is whole, the sound has the level of the first; make it with
    `Pipeline.sound(blended, pieces of the first, pieces of the other)`. Hints speak of the first: `heard` is what is
    known of its sound, such as its beats, and its surprise is asked of the model.

    Raises:
        CheckpointError: a take is not of the pipeline's codec.
        PromptError: the takes differ in length, sample rate or channels, or one is a loop and the other is not; or a
            hint asks for what the takes do not have.
    """
    pipeline.check_tokens("the first take", ours.origin.hash)
    pipeline.check_tokens("the second take", theirs.origin.hash)
    one, other = ours.origin, theirs.origin
    for what in ("samples", "sample_rate", "channels", "circular"):
        if getattr(one, what) != getattr(other, what):
            got = f"{getattr(one, what)} and {getattr(other, what)}"
            raise PromptError(f"takes that are blended must agree in their {what}, got {got}")
    if "surprise" in needs(*mix):
        bits = by_frame(pipeline.coarse, ours.codes, circular=one.circular)
        heard = replace(heard or Heard(), surprise=bits)
    chosen = cells(pipeline.clip(one.samples, one.sample_rate, loop=one.circular, heard=heard), mix)
    kept, added = _locks(ours), _locks(theirs)
    chosen = chosen & ~kept
    locked = kept | (added & chosen)
    return Draft(
        torch.where(chosen, theirs.codes, ours.codes),
        chosen[None].expand(ours.codes.shape),
        one,
        ours.seed,
        {"mix": [plain_hint(hint) for hint in mix], "redraw": False, "loop": one.circular},
        pipeline.hash,
        locked if bool(locked.any()) else None,
    )


def telephone(
    pipeline: Pipeline, audio: Audio | Take, prompt: Prompt, *, hops: int, seed: int = 0, **how: Any
) -> Iterator[Take]:
    """Takes that are each made from the one before, with the next seed; all as loud as `audio`.

    The tokens are passed on and not the sound, so the codec adds nothing from hop to hop. `how` is as in
    `Pipeline.vary`.

    Raises:
        What `Pipeline.vary` raises.
    """
    loudness = usual_loudness([audio.audio if isinstance(audio, Take) else audio])
    for hop in range(hops):
        audio = pipeline.vary(audio, prompt, seed=seed + hop, loudness=loudness, **how)
        yield audio


def usual_loudness(pieces: Iterable[Audio]) -> float | None:
    """The loudness of a sound in LUFS, to a hundredth, or None for silence; what takes of takes are brought to."""
    found = loudness_of(pieces)
    return round(found, 2) if math.isfinite(found) else None


def _locks(draft: Draft) -> Bool[Tensor, "codebook frame"]:
    return torch.zeros_like(draft.mask[0]) if draft.locked is None else draft.locked


def _bits(origin: Origin) -> int:
    return max(1, (origin.grid.vocabulary - 1).bit_length())
