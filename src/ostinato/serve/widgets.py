"""Widgets made from knobs: each setting is written once, and the page shows it."""

import typing
from collections.abc import Sequence
from typing import Any

import gradio as gr

from ..cli.common import sentence
from ..config import defaults, knobs, load
from ..hints import Hint, hints
from ..prompts import Prompt

OFF, KEEP, HIDE = "off", "keep", "hide"
WHOLE_STEP, FINE_STEPS = 1, 200
WIDEST = 1000


def widget(cls: type, name: str, usual: Any, label: str | None = None, high: float | None = None) -> Any:
    """What sets one knob: a slider where its range is known (or its end given), a box where it is not."""
    about, kind = knobs(cls)[name], typing.get_type_hints(cls)[name]
    said = label or name.replace("_", " ")
    title = f"{said} ({about.unit})" if about.unit and label is None else said
    info, end = sentence(about.help), about.high if high is None else high
    if kind is bool:
        return gr.Checkbox(value=usual, label=title, info=info)
    if about.choices is not None:
        return gr.Dropdown(list(about.choices), value=usual, label=title, info=info)
    if kind is str:
        return gr.Textbox(value=usual, label=title, info=info)
    if usual is None or about.low is None or end is None or end > WIDEST:
        optional = defaults(cls).get(name, usual) is None
        told = f"{info} 0 is none." if optional else info
        whole = 0 if kind is int else None
        return gr.Number(value=usual or 0, label=title, info=told, precision=whole)
    step = WHOLE_STEP if kind is int else _fine_step(end - about.low)
    return gr.Slider(about.low, end, value=usual, step=step, label=title, info=info)


def read(cls: Any, names: Sequence[str], values: Sequence[Any], **more: Any) -> Any:
    """The settings that widgets show; an empty box is the default, and so is 0 where the default is none.

    Raises:
        ConfigError: a value is out of range.
    """
    usual, kinds = defaults(cls), typing.get_type_hints(cls)
    given: dict[str, Any] = {}
    for name, value in zip(names, values, strict=True):
        unset = value in (None, "") or (value == 0 and usual[name] is None)
        shown: Any = usual[name] if unset else value
        given[name] = int(shown) if kinds[name] is int else shown
    return load(cls, given | more)


HINT_KNOBS: dict[str, list[str]] = {name: list(knobs(hints[name])) for name in hints}


def hint_widgets(prompt: Prompt) -> list[Any]:
    """For each hint whether it is kept, hidden or off, and its knobs, in the order that `prompt_of` reads."""
    made, shown = list[Any](), values_of(prompt)
    for name, names in HINT_KNOBS.items():
        cls = hints[name]
        with gr.Row(elem_classes="hint"):
            with gr.Column(scale=2, min_width=180):
                what = sentence((cls.__doc__ or "").split(".")[0].split(";")[0].split(":")[0].strip())
                made.append(gr.Radio([OFF, KEEP, HIDE], value=shown[len(made)], label=name, info=what))
            with gr.Column(scale=3, min_width=220):
                made += [widget(cls, each, shown[len(made) + at]) for at, each in enumerate(names)]
    return made


def prompt_of(values: Sequence[Any]) -> Prompt:
    """The prompt that the hints' widgets show.

    Raises:
        ConfigError: a value is out of range.
    """
    rest, parts = list(values), {KEEP: [], HIDE: []}
    for name, names in HINT_KNOBS.items():
        use, given, rest = rest[0], rest[1 : 1 + len(names)], rest[1 + len(names) :]
        if use in parts:
            parts[use].append(read(hints[name], names, given))
    return Prompt.of(parts[KEEP], parts[HIDE])


def values_of(prompt: Prompt) -> list[Any]:
    """What the hints' widgets show for a prompt; of two hints of a kind the last."""
    used: dict[str, tuple[str, Hint]] = {}
    for use, group in ((KEEP, prompt.keep), (HIDE, prompt.hide)):
        used |= {hints.name(type(hint)): (use, hint) for hint in group}
    found: list[Any] = []
    for name, names in HINT_KNOBS.items():
        use, hint = used.get(name, (OFF, None))
        usual = defaults(hints[name])
        found += [use, *(usual[each] if hint is None else getattr(hint, each) for each in names)]
    return found


def _fine_step(span: float) -> float:
    """About two hundred steps over a span, a round number each."""
    return 0.01 if span <= 2 else 0.05 if span <= 10 else 0.5 if span <= FINE_STEPS else 5.0
