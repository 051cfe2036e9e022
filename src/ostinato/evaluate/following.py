"""Whether takes follow the beat: the beats of a take, tracked afresh, against those of what it was made from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from ..beats import Tracker, agreement
from ..clip import Heard
from ..errors import AudioError
from ..pipeline import Pipeline
from ..prompts import Prompt
from ..types import Audio

SURE = 0.9


@dataclass(frozen=True)
class FollowScore:
    """How beats agree with those of the input: the mean F-measure within 70 ms, over so many passages."""

    what: str
    passages: int
    f: float


def following(
    pipeline: Pipeline,
    music: Sequence[Audio],
    tracker: Tracker,
    prompt: Prompt,
    seed: int,
    watch: Callable[[str, int, int], None],
) -> list[FollowScore]:
    """Takes of music, made with the beats that a tracker finds in it, and for comparison what bounds them.

    The codec's reconstruction tells how far the tracker agrees with itself; takes are also scored apart where it does,
    at 0.9 or more. A take of nothing but the length is what chance gives. Passages without beats are left out.

    Raises:
        AudioError: no passage has beats.
    """
    takes, redrawn, chance = [], [], []
    for number, audio in enumerate(music):
        beats = tracker(audio)
        if beats.times:
            heard = Heard(beats=beats)
            take = pipeline.vary(audio, prompt, seed=seed + number, heard=heard).audio
            other = pipeline.vary(audio, Prompt(), seed=seed + number).audio
            again = pipeline.decode(*pipeline.encode(audio))
            for found, sound in ((takes, take), (redrawn, again), (chance, other)):
                found.append(agreement(tracker(sound), beats))
        watch("beats", number + 1, len(music))
    if not takes:
        raise AudioError(f"none of {len(music)} passages has beats that the tracker finds; choose other music")
    sure = [f for f, itself in zip(takes, redrawn, strict=True) if itself >= SURE]
    rows = {"take": takes, "take, where sure": sure, "reconstruction": redrawn, "take of the length alone": chance}
    return [FollowScore(what, len(found), fmean(found)) for what, found in rows.items() if found]
