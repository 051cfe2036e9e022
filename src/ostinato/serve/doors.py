"""The doors that programs use, as endpoints of a Gradio page: HARP's three, and those of the published application."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio.context import LocalContext

from ..errors import OstinatoError
from . import harp, published_api
from .desk import Desk, plain_words

T = TypeVar("T")


def add_harp(desk: Desk) -> None:
    """`controls`, `process` and `cancel`, within a page."""
    shown = harp.controls_of(desk)
    with gr.Group(visible=False):
        sound = sealed(gr.Audio(type="filepath", label="Input Audio"))
        given = [_component(control.kind, control.usual, control.label) for control in shown.values()]
        take, labels, told = gr.File(label="Take"), gr.JSON(label="Labels"), gr.JSON(label="controls")
        buttons = [gr.Button(name) for name in ("controls", "process", "cancel")]

    async def controls() -> dict[str, Any]:
        return harp.payload(desk)

    async def process(request: gr.Request, *sent: Any) -> tuple[str, dict[str, Any]]:
        path, found = await shown_plainly(harp.process(desk, _harp_client(request), _event_id(), sent[0], sent[1:]))
        return str(path), found

    async def cancel(request: gr.Request) -> None:
        _ = desk.service.cancel(_harp_client(request), "Job canceled.")

    _event(buttons[0], controls, [], [told], "controls")
    _event(buttons[1], process, [sound, *given], [take, labels], "process")
    _event(buttons[2], cancel, [], [], "cancel")


def add_published(desk: Desk) -> None:
    """`vamp_1`, `vamp` and `change_preset`, within a page."""
    usual = published_api.DEFAULTS
    with gr.Group(visible=False):
        sound = sealed(gr.Audio(type="filepath", label="input_audio"))
        given = [_component(_kind(value), value, name) for name, value in usual.items() if name != "input_audio"]
        takes = [gr.File(label="output audio 1"), gr.File(label="output audio 2")]
        chosen, numbers = gr.Textbox(label="preset"), [gr.Number(label=name) for name in published_api.PRESET_NUMBERS]
        buttons = [gr.Button(name) for name in ("vamp_1", "vamp", "change_preset")]

    async def vamp(request: gr.Request, *sent: Any) -> tuple[str, str]:
        client = f"api {request.session_hash or harp.client_of({}, None, str(id(request)))}"
        asked = dict(zip(usual, sent, strict=True))
        told = desk.workshop.stand_in(str(asked["model_choice"] or ""))
        if told:
            gr.Warning(told)
        return await shown_plainly(published_api.vamp(desk, client, asked))

    async def change_preset(preset: str) -> tuple[float, ...]:
        return plainly(lambda: published_api.change_preset(preset))

    vamp.__signature__ = _named(inspect.signature(vamp), usual)  # type: ignore[attr-defined]
    for button in buttons[:2]:
        _event(button, vamp, [sound, *given], takes, button.value)
    _event(buttons[2], change_preset, [chosen], numbers, "change_preset")


def sealed(component: gr.Audio | gr.File) -> Any:
    """A component that takes files that were uploaded here, and no links to fetch."""
    usual = component.async_move_resource_to_block_cache

    async def kept(url_or_file_path: str | Path | None) -> str | None:
        if "://" in str(url_or_file_path):
            raise gr.Error("links are not fetched; upload the sound", print_exception=False)
        return await usual(url_or_file_path)

    component.async_move_resource_to_block_cache = kept
    return component


async def shown_plainly(work: Awaitable[T]) -> T:
    """What work comes to; its errors as one line that every client shows."""
    try:
        return await work
    except OstinatoError as error:
        raise gr.Error(plain_words(error), print_exception=False) from None


def plainly(work: Callable[[], T]) -> T:
    """The same for work that need not be waited for."""
    try:
        return work()
    except OstinatoError as error:
        raise gr.Error(plain_words(error), print_exception=False) from None


def _event(button: gr.Button, work: Callable[..., Any], given: Sequence[Any], made: Sequence[Any], name: str) -> None:
    """An endpoint; our own queue decides who waits, so this one lets all through."""
    _ = button.click(work, list(given), list(made), api_name=name, concurrency_limit=None)


def _component(kind: str, usual: Any, label: str) -> Any:
    """What takes a value as it comes: ranges are ours to hold."""
    if kind == "toggle":
        return gr.Checkbox(value=usual, label=label)
    return gr.Textbox(value=usual, label=label) if kind == "dropdown" else gr.Number(value=usual, label=label)


def _kind(usual: Any) -> str:
    return {bool: "toggle", str: "dropdown"}.get(type(usual), "slider")


def _named(signature: inspect.Signature, names: Sequence[str] | dict[str, Any]) -> inspect.Signature:
    """A signature whose `*sent` has these names."""
    first = next(iter(signature.parameters.values()))
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return signature.replace(parameters=[first, *(inspect.Parameter(name, kind) for name in names)])


def _event_id() -> str:
    """The event that is being answered."""
    return LocalContext.event_id.get(None) or ""


def _harp_client(request: gr.Request) -> str:
    host = request.client.host if request.client else None
    return harp.client_of(request.headers, host, request.session_hash or str(id(request)))
