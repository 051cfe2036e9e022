"""The studio: a page to play with, made from knobs. What it does is in `session` and `workshop`."""

import asyncio
import html
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import themes

from ..config import defaults
from ..errors import OstinatoError
from ..models import LOOP
from ..pipeline import COARSE
from ..prompts import preset, preset_help, presets
from ..sampling import Confidence
from .desk import Desk, done, plain_words
from .doors import add_harp, add_published, plainly, sealed
from .limits import admit
from .service import State, Ticket
from .session import before, branches, picture, player
from .widgets import hint_widgets, prompt_of, read, values_of, widget
from .workshop import Order, Way

HERE = Path(__file__).parent
USUAL = "medium variation"
WAYS = ("seed", "feedback", "level", "loop", "redraw", "deadline")
SAMPLER = ("steps", "temperature", "top_p", "typical", "typical_least", "cutoff", "choice")
POLL = 0.2


@dataclass
class Widgets:
    """The parts of the page that events read and write."""

    sound: Any = None
    preset: Any = None
    takes: Any = None
    model: Any = None
    go: Any = None
    stop: Any = None
    status: Any = None
    mask: Any = None
    player: Any = None
    chosen: Any = None
    take_on: Any = None
    back: Any = None
    quality: Any = None
    small: Any = None
    open_small: Any = None
    room: Any = None
    hints: list[Any] = field(default_factory=list)
    ways: list[Any] = field(default_factory=list)
    sampler: list[Any] = field(default_factory=list)


def page(desk: Desk) -> gr.Blocks:
    """The page, with the endpoints that programs use."""
    with gr.Blocks(title="ostinato", analytics_enabled=False) as blocks:
        parts = _drawn(desk)
        add_harp(desk)
        add_published(desk)
        _wired(desk, parts, blocks)
    return blocks.queue(max_size=None, default_concurrency_limit=None)


def look() -> dict[str, Any]:
    """How the page looks, for Gradio; nothing of it is fetched from elsewhere."""
    gold = themes.Base(
        primary_hue=themes.colors.amber,
        neutral_hue=themes.colors.slate,
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    script = (HERE / "studio.js").read_text(encoding="utf-8")
    return {
        "theme": gold,
        "css": (HERE / "studio.css").read_text(encoding="utf-8"),
        "head": f"<script>{script}</script>",
    }


def _drawn(desk: Desk) -> Widgets:
    parts = Widgets(room=gr.State(""))
    _ = gr.HTML("<h1>ostinato</h1><p>A loop in, variations out. What the prompt keeps stays.</p>", elem_id="ost-head")
    with gr.Row(equal_height=False):
        with gr.Column(scale=5, min_width=320):
            _draw_left(desk, parts)
        with gr.Column(scale=6, min_width=320):
            _draw_right(parts)
    return parts


def _draw_left(desk: Desk, parts: Widgets) -> None:
    parts.sound = sealed(
        gr.Audio(
            sources=["upload", "microphone"],
            buttons=["download"],
            type="filepath",
            label="Sound",
            elem_id="ost-sound",
        )
    )
    names = [(f"{name}: {preset_help[name]}", name) for name in presets]
    parts.preset = gr.Dropdown(names, value=USUAL, label="What stays", elem_id="ost-preset")
    parts.takes = widget(Way, "takes", 2, "takes", high=desk.limits.takes)
    with gr.Row():
        parts.go = gr.Button("Generate", variant="primary", elem_id="ost-go")
        parts.stop = gr.Button("Stop", elem_id="ost-stop")
    parts.status = gr.HTML(_line("Ready."), elem_id="ost-status")
    with gr.Accordion("The prompt, hint by hint", open=False, elem_id="ost-hints"):
        parts.hints = hint_widgets(presets[USUAL])
    with gr.Accordion("How the gaps are filled", open=False, elem_id="ost-sampler"):
        parts.sampler = [widget(Confidence, name, getattr(COARSE, name)) for name in SAMPLER]
    with gr.Accordion("More", open=False, elem_id="ost-more"):
        usual = defaults(Way)
        parts.ways = [widget(Way, name, usual[name]) for name in WAYS]
        models = desk.workshop.models
        parts.model = gr.Dropdown(models, value=models[0], label="model")


def _draw_right(parts: Widgets) -> None:
    what = "Bright stays, veiled is made anew"
    parts.mask = gr.Image(label=what, interactive=False, elem_id="ost-mask", buttons=[], format="png")
    parts.player = gr.HTML("", elem_id="ost-player")
    parts.chosen = gr.Dropdown([], label="Sounds of this session", elem_id="ost-takes", interactive=True)
    with gr.Row():
        parts.take_on = gr.Button("Go on from this one", elem_id="ost-keep")
        parts.back = gr.Button("Back one step", elem_id="ost-back")
    with gr.Accordion("Small files (.ost)", open=False, elem_id="ost-small"):
        parts.quality = gr.Slider(0, 10, value=3, step=1, label="quality", info="10 keeps every token, 1 the coarsest.")
        parts.small = gr.Button("Compress the sound", elem_id="ost-compress")
        parts.open_small = sealed(gr.File(label="Open an .ost file, or fetch the one just made", elem_id="ost-file"))


def _wired(desk: Desk, parts: Widgets, blocks: gr.Blocks) -> None:
    studio, loop = Studio(desk), parts.ways[WAYS.index("loop")]
    asked = [parts.room, parts.sound, parts.takes, parts.model, *parts.ways, *parts.sampler, *parts.hints]
    masked = [parts.room, parts.sound, loop, *parts.hints]
    changes = [each.change for each in (parts.sound, loop, *parts.hints)]
    chosen = [parts.room, parts.chosen]
    _ = blocks.unload(studio.leave)
    _wire(blocks.load, studio.welcome, [], [parts.room, parts.sound])
    _wire(parts.preset.input, studio.show_preset, [parts.preset], parts.hints)
    _ = gr.on(
        changes,
        studio.show_mask,
        masked,
        [parts.mask, parts.status],
        show_progress="hidden",
        trigger_mode="always_last",
        **_private(studio.show_mask),
    )
    _wire(parts.go.click, studio.generate, asked, [parts.status, parts.player, parts.chosen])
    _wire(parts.stop.click, studio.cancel, [], [parts.status])
    _wire(parts.take_on.click, studio.take_on, chosen, [parts.sound, parts.status])
    _wire(parts.back.click, studio.go_back, chosen, [parts.sound, parts.chosen, parts.status])
    small = [parts.room, parts.sound, parts.quality, parts.model]
    _wire(parts.small.click, studio.compress, small, [parts.status, parts.open_small])
    _wire(parts.open_small.upload, studio.expand, [parts.room, parts.open_small], [parts.sound, parts.status])


def _wire(event: Callable[..., Any], work: Callable[..., Any], given: list[Any], made: list[Any]) -> None:
    _ = event(work, given, made, show_progress="hidden", **_private(work))


def _private(work: Callable[..., Any]) -> dict[str, Any]:
    """An event of the page alone, under a name that no program asks for."""
    return {"api_name": f"studio_{work.__name__}", "api_visibility": "private", "concurrency_limit": None}


class Studio:
    """What the page's buttons do. Rooms are named by their folders, which no one can guess."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def welcome(self) -> tuple[str, str]:
        """A room with the example in it."""
        room = self.desk.store.room()
        return room.name, str(shutil.copyfile(LOOP, room / LOOP.name))

    def show_preset(self, name: str) -> list[Any]:
        """The hints of a preset."""
        return values_of(plainly(lambda: preset(name)))

    def show_mask(self, room: str, sound: str | None, loop: bool, *hints: Any) -> tuple[Any, str]:
        """The sound's spectrogram under the prompt's mask."""
        if not sound:
            return None, _line("Drop a sound, record one, or open an .ost file.")
        try:
            admitted = admit(sound, self.desk.store, self._room(room), self.desk.limits)
            image, share = picture(self.desk, admitted, prompt_of(hints), loop=loop)
        except OstinatoError as error:
            return None, _wrong(error)
        return image, _line(f"{share:.0%} will be made anew.")

    async def generate(self, request: gr.Request, *sent: Any) -> AsyncIterator[tuple[Any, ...]]:
        """Takes, with what is happening in the meantime."""
        room, sound, takes, model, *rest = sent
        ways, rest = rest[: len(WAYS)], rest[len(WAYS) :]
        sampler, hints = rest[: len(SAMPLER)], rest[len(SAMPLER) :]
        try:
            folder = self._room(room)
            admitted = await self.desk.admit(sound, folder)
            way = read(Way, WAYS, ways, takes=int(takes))
            filled = read(Confidence, SAMPLER, sampler)
            order = Order(admitted, prompt_of(hints), way, model=model, coarse=filled, continued=True)
            ticket = self.desk.order(_visitor(request), order)
            async for line in self._followed(ticket):
                yield line, gr.skip(), gr.skip()
            made = ticket.future.result()
            sounds = [("Input", admitted), *((each.path.stem, each.path) for each in made)]
            rows = branches(folder)
            chosen = gr.Dropdown(rows, value=str(made[0].path))
            yield _line(f"{len(made)} made. Compare them below."), player(sounds), chosen
        except OstinatoError as error:
            yield _wrong(error), gr.skip(), gr.skip()

    def cancel(self, request: gr.Request) -> str:
        """Stop what this visitor has asked for."""
        return _line(
            "Stopping." if self.desk.service.cancel(_visitor(request), "Stopped.") else "There is nothing to stop."
        )

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        _ = self.desk.service.cancel(_visitor(request), "Stopped.")

    def take_on(self, room: str, chosen: str | None) -> tuple[Any, Any]:
        """The chosen sound as the input."""
        try:
            return str(self._own(room, chosen)), gr.skip()
        except OstinatoError as error:
            return gr.skip(), _wrong(error)

    def go_back(self, room: str, chosen: str | None) -> tuple[Any, Any, Any]:
        """What the chosen take was made from, as the input."""
        try:
            source = before(self._own(room, chosen))
        except OstinatoError as error:
            return gr.skip(), gr.skip(), _wrong(error)
        if source is None:
            said = _line("That is where it began; there is nothing before it.", wrong=True)
            return gr.skip(), gr.skip(), said
        return str(source), str(source), gr.skip()

    async def compress(
        self, request: gr.Request, room: str, sound: str | None, quality: float, model: str
    ) -> tuple[Any, Any]:
        """The sound as an .ost file."""
        shop = self.desk.workshop
        try:
            folder = self._room(room)
            admitted = await self.desk.admit(sound, folder)
            target = folder / f"{admitted.stem}.ost"
            work = self._asked(request, lambda watch: shop.compress(admitted, target, int(quality), model), folder)
            seconds, size = await work
        except OstinatoError as error:
            return _wrong(error), gr.skip()
        bits = 8 * size / seconds
        return _line(f"{target.name}: {size} bytes for {seconds:.1f} s, {bits:.0f} bit/s."), str(target)

    async def expand(self, request: gr.Request, room: str, file: str | None) -> tuple[Any, Any]:
        """The sound of an .ost file as the input."""
        shop, longest = self.desk.workshop, self.desk.limits.seconds
        try:
            folder, source = self._room(room), self.desk.admit_small(file)
            target = folder / f"{source.stem}-expanded.wav"
            rooms = folder, source.parent
            await self._asked(request, lambda watch: shop.expand(source, target, longest, watch), *rooms)
        except OstinatoError as error:
            return gr.skip(), _wrong(error)
        return str(target), _line(f"{source.name} is open.")

    async def _asked(self, request: gr.Request, work: Callable[[Any], Any], *rooms: Path) -> Any:
        return await done(self.desk.submit(_visitor(request), work, *rooms))

    async def _followed(self, ticket: Ticket[Any]) -> AsyncIterator[str]:
        """What a ticket's state is, whenever it changes, until it is over."""
        shown = ""
        while not (state := ticket.state).over:
            line = _progress(state, self.desk.service.place(ticket))
            if line != shown:
                yield (shown := line)
            await asyncio.sleep(POLL)

    def _room(self, name: str) -> Path:
        """The folder of a visitor's room.

        Raises:
            OstinatoError: it is gone.
        """
        room = self.desk.store.files / Path(name).name
        if not name or not room.is_dir():
            raise OstinatoError("this session has expired; load the page again")
        self.desk.store.touch(room)
        return room

    def _own(self, room: str, chosen: str | None) -> Path:
        """A sound of the visitor's own room.

        Raises:
            OstinatoError: nothing is chosen, or it is not there.
        """
        path = Path(chosen or "")
        if not chosen or path.parent != self._room(room) or not path.is_file():
            raise OstinatoError("choose a sound of this session first; generate to have some")
        return path


def _visitor(request: gr.Request) -> str:
    return f"studio {request.session_hash}"


def _line(text: str, wrong: bool = False) -> str:
    role = "alert" if wrong else "status"
    return f'<div role="{role}">{html.escape(text)}</div>'


def _wrong(error: OstinatoError) -> str:
    return _line(plain_words(error), wrong=True)


def _progress(state: State, place: int) -> str:
    if not state.begun:
        return _line("Waiting for its turn." if place <= 1 else f"Waiting: {place - 1} before this one.")
    if not state.total:
        return _line("Starting.")
    text = html.escape(f"{state.stage} {state.done}/{state.total}")
    bar = f'<progress max="{state.total}" value="{state.done}" aria-label="{text}"></progress>'
    return f'<div role="status">{text}{bar}</div>'
