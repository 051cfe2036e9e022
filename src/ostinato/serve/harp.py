"""The door for HARP, the sample editor beside a DAW: what it shows, what it sends, what it gets back.

Speaks to HARP 2.2 (`ctrls`), 3.0 and 3.1 and later (`inputs`, `outputs`) with one payload. Anything else in a type, a
missing key or a null makes one of them stop, crash or mistake one control for another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import audiofile
from ..cli.common import prompt_flags
from ..config import knobs
from ..errors import PromptError
from ..hints import Hint
from ..hints.beats import OnBeats
from ..hints.onsets import Onsets
from ..hints.places import Inpaint, Periodic, Prefix, Random, Suffix
from ..pipeline import COARSE
from ..prompts import Prompt, preset, presets
from .desk import Desk, done
from .prompting import masked, number
from .workshop import USUAL, Made, Order, Way

DIALLED = "as dialled"
HEADER = "x-harp-client"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
GOLD, VIOLET = (0xF2, 0xA3, 0x3A), (0x8A, 0x5C, 0xF2)
HALF_SEEN = 0x80 << 24


@dataclass(frozen=True)
class Control:
    """One control: a slider unless it has choices or its usual value is a truth value."""

    label: str
    info: str
    usual: Any
    low: float = 0
    high: float = 0
    step: float = 1
    choices: Sequence[str] = ()

    @property
    def kind(self) -> str:
        return "dropdown" if self.choices else "toggle" if isinstance(self.usual, bool) else "slider"

    def told(self) -> dict[str, Any]:
        """This control as HARP 3 reads it, but for its type."""
        told: dict[str, Any] = {"label": self.label, "info": self.info, "value": self.usual}
        if self.kind == "dropdown":
            told["choices"] = [[choice, choice] for choice in self.choices]
        if self.kind == "slider":
            told |= {"minimum": self.low, "maximum": self.high, "step": self.step}
        return told

    def read(self, sent: Any) -> Any:
        """What HARP sent, brought into range; texts are as they came."""
        if self.kind == "slider":
            found = number(sent, self.usual, self.low, self.high)
            return round(found) if isinstance(self.usual, int) else found
        return bool(sent) if self.kind == "toggle" else str(sent or self.usual)


def dial(label: str, of: Any, name: str, high: float, *, low: float | None = None, step: float = 1) -> Control:
    """A slider for a knob of ours, at its place in the settings `of`, within bounds that 32-bit floats hold exactly."""
    about = knobs(type(of))[name]
    unit = f" ({about.unit})" if about.unit else ""
    return Control(label, f"{about.help}{unit}", getattr(of, name), about.low or 0 if low is None else low, high, step)


def controls_of(desk: Desk) -> dict[str, Control]:
    """All controls, by the names that `order` knows them by, in the order in which HARP shows and sends them."""
    codebooks, seconds = desk.workshop.main.grid.codebooks, desk.limits.seconds
    return {
        "preset": Control(
            "prompt", "what stays of the input; or as dialled below", DIALLED, choices=(DIALLED, *presets)
        ),
        "period": dial("periodic prompt", Periodic(), "period", 128, low=0),
        "width": dial("periodic width", Periodic(), "width", 32),
        "codebooks": Control(
            "compression prompt", "coarsest codebooks that are kept where a frame is", min(4, codebooks), 1, codebooks
        ),
        "dropout": dial("mask dropout", Random(share=0.0), "share", 1, step=0.01),
        "onset_ms": dial("onset mask width (ms)", Onsets(after=0.0), "after", 400),
        "beat_ms": dial("beat mask width (ms)", OnBeats(after=0.0), "after", 400),
        "start": dial("vary from (s)", Inpaint(), "start", seconds, step=0.01),
        "end": Control("vary until (s)", "end of the range; 0 is the end of the clip", 0.0, 0, seconds, 0.01),
        "temperature": dial("temperature", COARSE, "temperature", 4, step=0.01),
        "steps": dial("steps", COARSE, "steps", 128, low=1),
        "top_p": dial("top p", COARSE, "top_p", 1, step=0.01),
        "typical": dial("typical mass", COARSE, "typical", 1, step=0.01),
        "feedback": dial("feedback", USUAL, "feedback", 64, low=1),
        "seed": Control("seed", "another seed, another take; 0 draws one", 0, 0, 32767),
        "loop": Control("loop", knobs(Way)["loop"].help, USUAL.loop),
        "level": Control("match loudness", knobs(Way)["level"].help, USUAL.level),
        "model": Control(
            "model", "another model, another taste", desk.workshop.models[0], choices=tuple(desk.workshop.models)
        ),
    }


def payload(desk: Desk) -> dict[str, Any]:
    """What HARP asks for on loading a model."""
    card = {
        "name": "ostinato",
        "description": "Varies a loop: keeps what the prompt says, and makes up the rest.",
        "author": "the ostinato project",
        "tags": ["generation", "variation", "infilling", "music"],
        "midi_in": False,
        "midi_out": False,
    }
    shown = controls_of(desk).values()
    track = {"label": "Input Audio", "info": "The loop to vary.", "required": True, "type": "audio_track"}
    inputs = [track, *({**control.told(), "type": control.kind} for control in shown)]
    outputs = [
        {"label": "Take", "info": "The variation.", "required": True, "type": "audio_track"},
        {
            "label": "Labels",
            "info": "How it was made, and what surprises the model.",
            "required": False,
            "type": "json",
        },
    ]
    older = [{"label": "Input Audio", "ctrl_type": "audio_in"}]
    for control in shown:
        told = {key: value for key, value in control.told().items() if key != "info"}
        older.append({**told, "ctrl_type": control.kind})
    return {"card": card, "inputs": inputs, "outputs": outputs, "ctrls": older}


def client_of(headers: Mapping[str, str], host: str | None, session: str) -> str:
    """Who sent a request, for taking turns and for cancelling.

    New HARPs say so in a header. Old ones on this machine share one name, so that cancel works; others are strangers,
    and their cancel stops nothing.
    """
    named = headers.get(HEADER)
    if named:
        return f"harp {named[:128]}"
    return "harp on this machine" if host in LOOPBACK else f"harp stranger {session}"


async def process(
    desk: Desk, client: str, event: str, sound: str | None, sent: Sequence[Any]
) -> tuple[Path, dict[str, Any]]:
    """A take of the sound on HARP's track, and its labels; `event` is what the client waits for.

    Raises:
        OstinatoError: what is asked for cannot be made.
    """
    values = read(desk, sent)
    wanted = order(desk, await desk.admit(sound), values)
    made = (await done(desk.order(client, wanted, event)))[0]
    return made.path, labels(desk, made, values)


def read(desk: Desk, sent: Sequence[Any]) -> dict[str, Any]:
    """HARP's values by the names of their controls, one for each; those that are missing are at their usual place."""
    shown = controls_of(desk)
    given = [*sent, *[None] * len(shown)]
    return {name: control.read(value) for (name, control), value in zip(shown.items(), given, strict=False)}


def order(desk: Desk, sound: Path, values: Mapping[str, Any]) -> Order:
    """The order that the values of the controls mean.

    Raises:
        PromptError: the range to vary is empty.
    """
    grid, seed = desk.workshop.main.grid, values["seed"]
    dials = ("period", "width", "codebooks", "dropout", "onset_ms", "beat_ms")
    dialled = values["preset"] in ("", DIALLED)
    return Order(
        sound,
        masked(grid, seed=seed, **{name: values[name] for name in dials}) if dialled else preset(values["preset"]),
        Way(**{name: values[name] for name in ("seed", "feedback", "loop", "level")}),
        model=values["model"],
        coarse=replace(COARSE, **{name: values[name] for name in ("temperature", "steps", "top_p", "typical")}),
        lock=_outside(values["start"], values["end"], audiofile.info(sound).seconds),
        surprise=True,
    )


def labels(desk: Desk, made: Made, values: Mapping[str, Any]) -> dict[str, Any]:
    """What HARP draws over the take: how it was made at its start, and what surprises the model."""
    settings, draft = made.draft.settings, made.draft
    model = desk.workshop.pipeline(values["model"]).name
    words = " ".join(prompt_flags(Prompt.load(settings["prompt"])))
    steps = f"{settings['coarse'].get('steps')} steps at temperature {settings['coarse'].get('temperature'):g}"
    late = values["start"] >= draft.origin.seconds
    said = (
        words,
        steps,
        f"model {model}",
        desk.workshop.stand_in(values["model"]),
        "the clip ends before 'vary from', so all of it was varied" if late else "",
    )
    first = _label(0.0, f"seed {draft.seed}", "; ".join(filter(None, said)), GOLD)
    loud = (_label(time, f"{bits:.1f} bits", "unlikely, says the model", VIOLET) for time, bits in made.peaks)
    return {"meta": {"_type": "pyharp.LabelList"}, "labels": [first, *loud]}


def _label(time: float, label: str, description: str, colour: tuple[int, int, int]) -> dict[str, Any]:
    red, green, blue = colour
    return {
        "label_type": "AudioLabel",
        "t": round(time, 4),
        "label": label,
        "duration": 0.0,
        "description": description,
        "color": HALF_SEEN + (red << 16) + (green << 8) + blue,
        "link": None,
        "amplitude": None,
    }


def _outside(start: float, end: float, seconds: float) -> tuple[Hint, ...]:
    """Hints that speak of all that is outside a range; an end of 0 is that of the clip.

    A range that begins after the clip is none.
    """
    if start >= seconds:
        return ()
    end = min(end, seconds) if end > 0 else seconds
    if start >= end:
        raise PromptError(f"'vary from' must be before 'vary until' ({end:g} s), got {start:g} s")
    before = (Prefix(seconds=start),) if start > 0 else ()
    after = (Suffix(seconds=seconds - end),) if end < seconds else ()
    return (*before, *after)
