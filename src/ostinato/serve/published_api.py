"""The endpoints of VampNet's published application, by their names, with its eighteen parameters in their order.

Numbers out of range are brought into it, never refused: the ranges that the application declares are narrower than
what its own clients send. Names of models that are not here mean the usual one.
"""

from typing import Any

from ..errors import ConfigError
from ..hints.beats import OnBeats
from ..hints.levels import Finer
from ..hints.places import Periodic, Random
from ..prompts import Prompt, preset
from ..sampling import Confidence
from .desk import Desk, done
from .prompting import masked, number, whole, within
from .workshop import Order, Way

TAKES = ("take_a.wav", "take_b.wav")
DEFAULTS: dict[str, Any] = {
    "input_audio": None,
    "sampletemp": 1.0,
    "top_p": 0.0,
    "periodic_p": 7,
    "dropout": 0.0,
    "stretch_factor": 1,
    "onset_mask_width": 0,
    "typical_filtering": True,
    "typical_mass": 0.15,
    "typical_min_tokens": 64,
    "seed": 0,
    "model_choice": "default",
    "n_mask_codebooks": 3,
    "pitch_shift_amt": 0,
    "sample_cutoff": 1.0,
    "sampling_steps": 36,
    "beat_mask_ms": 0,
    "num_feedback_steps": 1,
}
"""The parameters, in order, with the defaults of the published application."""

PRESET_NUMBERS = ("periodic_p", "n_mask_codebooks", "onset_mask_width", "dropout", "beat_mask_ms")
UNCONDITIONAL = (0, 1, 0, 0.0, 0)
LARGEST_SEED = 2**31 - 1


def order(desk: Desk, sound: Any, sent: dict[str, Any]) -> Order:
    """The order that parameters mean, for a sound that was admitted."""
    grid = desk.workshop.main.grid
    frame_ms = 1000 * grid.seconds(1)
    seed = whole(sent["seed"], 0, 0, LARGEST_SEED)
    period = whole(sent["periodic_p"], 7, 0, 128)
    prompt = masked(
        grid,
        period=period,
        codebooks=whole(sent["n_mask_codebooks"], 3, 1, 14),
        onset_ms=whole(sent["onset_mask_width"], 0, 0, 1024) * frame_ms,
        beat_ms=number(sent["beat_mask_ms"], 0, 0, 400),
        dropout=number(sent["dropout"], 0, 0, 1),
        seed=seed,
    )
    mass = number(sent["typical_mass"], 0.15, 0, 1) if sent["typical_filtering"] else 1.0
    sampler = Confidence(
        steps=within(Confidence, "steps", sent["sampling_steps"], 36),
        temperature=within(Confidence, "temperature", sent["sampletemp"], 1.0),
        top_p=number(sent["top_p"], 0, 0, 1) or 1.0,
        typical=mass,
        typical_least=whole(sent["typical_min_tokens"], 64, 0, 1024) or 1,
        cutoff=number(sent["sample_cutoff"], 1, 0, 1),
    )
    way = Way(takes=len(TAKES), seed=seed, feedback=whole(sent["num_feedback_steps"], 1, 1, 64))
    model = str(sent["model_choice"] or "")
    return Order(
        sound,
        prompt,
        way,
        model=model,
        coarse=sampler,
        mono=True,
        names=TAKES,
        pitch=number(sent["pitch_shift_amt"], 0, -12, 12),
        stretch=whole(sent["stretch_factor"], 1, 0, 8) or 1,
        lenient=True,
    )


async def vamp(desk: Desk, client: str, sent: dict[str, Any]) -> tuple[str, str]:
    """Two takes of the input as files with different names: mono, as long and as loud as the input.

    Raises:
        OstinatoError: there is no input, or it is none that we take, or the server is busy.
    """
    wanted = order(desk, await desk.admit(sent["input_audio"]), sent)
    first, second = await done(desk.order(client, wanted))
    return str(first.path), str(second.path)


def change_preset(name: Any) -> tuple[int, int, int, float, float]:
    """Periodic prompt, compression prompt, onset mask width, mask dropout and beat mask width of a preset.

    Raises:
        ConfigError: there is no such preset.
    """
    prompt = preset(str(name))
    if prompt == Prompt():
        return UNCONDITIONAL
    found = {type(hint): hint for hint in (*prompt.keep, *prompt.hide)}
    if set(found) - {Periodic, Finer, Random, OnBeats}:
        raise ConfigError(f"the preset '{name}' cannot be told in these numbers; choose one that varies")
    periodic, finer, strewn, beats = (found.get(cls) for cls in (Periodic, Finer, Random, OnBeats))
    return (
        getattr(periodic, "period", 0),
        getattr(finer, "first", 1),
        0,
        getattr(strewn, "share", 0.0),
        int(getattr(beats, "after", 0)),
    )
