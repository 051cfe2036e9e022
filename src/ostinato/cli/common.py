"""What the verbs share: one-line errors, output for people and machines, a progress bar, flags read off knobs."""

import json
import math
import re
import shlex
import signal
import sys
import threading
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from ..config import Knob, defaults, knobs, load
from ..errors import ConfigError, OstinatoError
from ..hints import describe
from ..nn.lower import PRECISIONS
from ..prompts import Prompt
from ..runtime import DEVICES, RUNTIMES

Command = TypeVar("Command", bound=Callable[..., Any])
Watch = Callable[[str, int, int], None]

USER_ERROR, STOPPED, TERMINATED = 2, 130, 143

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
model_option = click.option(
    "--model", default="default", show_default=True, metavar="NAME|DIR", help="A model by name, or a model folder."
)
precision_option = click.option(
    "--precision", type=click.Choice(PRECISIONS), default="fp32", show_default=True, help="What the models compute in."
)
runtime_option = click.option(
    "--runtime",
    type=click.Choice(RUNTIMES),
    default="torch",
    show_default=True,
    help="What computes what is in fp32: openvino is faster on a processor.",
)
device_option = click.option(
    "--device", type=click.Choice(DEVICES), default="cpu", show_default=True, help="Where the models compute."
)
sound = click.argument("sound", type=click.Path(path_type=Path))


def output(help: str) -> Callable[[Command], Command]:
    """The option that says where a result goes."""
    return click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help=help)


class _Finite(click.ParamType):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number that was written; an error of its flag where it is none."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return found


class Finite(_Finite, click.types.FloatParamType):
    """A number that is neither NaN nor infinite."""


class Within(_Finite, click.FloatRange):
    """A finite number within a range."""


class Door(click.Group):
    """The program: what a user can cause ends in one line and an exit code, never in a traceback."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run a command line; exits with 0, 2 for an error of the user, 130 when stopped by Ctrl-C."""
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)
        if threading.current_thread() is threading.main_thread():
            _ = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
        try:
            done = super().main(*args, standalone_mode=False, **extra)
        except click.Abort:
            sys.exit(_complain("stopped", STOPPED))
        except click.ClickException as error:
            sys.exit(_complain(f"error: {error.format_message()}", USER_ERROR))
        except OstinatoError as error:
            sys.exit(_complain(f"error: {error}", USER_ERROR))
        sys.exit(done if isinstance(done, int) else 0)


def show(data: dict[str, Any], text: str, *, json_wanted: bool) -> None:
    """Print one JSON object, or its text for people."""
    click.echo(json.dumps(data, ensure_ascii=False) if json_wanted else text)


def spare(source: Path, target: Path) -> None:
    """Refuse to write over what is read.

    Raises:
        OstinatoError: both are the same file.
    """
    if target.exists() and source.exists() and target.samefile(source):
        raise OstinatoError(f"{target} is the input; choose another name for the output")


@contextmanager
def interruptible(stop: Callable[[], None]) -> Iterator[None]:
    """Within, Ctrl-C calls `stop` instead of ending the program; a second one ends it as always."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.getsignal(signal.SIGINT)

    def once(*about: object) -> None:
        _ = signal.signal(signal.SIGINT, usual)
        stop()

    _ = signal.signal(signal.SIGINT, once)
    try:
        yield
    finally:
        _ = signal.signal(signal.SIGINT, usual)


def duration(text: str) -> float:
    """Seconds, from `1.8s`, `900ms`, `2min` or a bare number of seconds.

    Raises:
        ConfigError: the text is not of that form.
    """
    found = re.fullmatch(r"([+-]?[0-9]*\.?[0-9]+)\s*(ms|s|min|)", text.strip())
    if found is None:
        raise ConfigError(f"a time is written like 1.8s, 900ms or 2min, got '{text}'")
    return float(found[1]) * {"ms": 1e-3, "s": 1.0, "min": 60.0, "": 1.0}[found[2]]


@contextmanager
def progress() -> Iterator[Watch]:
    """A bar on stderr, gone when done; gives `watch(what, done, total)`. Silent where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def watch(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield watch


def knob_flags(cls: type, base: Any = None) -> Callable[[Command], Command]:
    """A flag for each knob of a config class: `--top-p` for `top_p`, with its help, range and default (or `base`'s)."""
    kinds, usual = typing.get_type_hints(cls), defaults(cls) if base is None else vars(base)

    def add(command: Command) -> Command:
        for name, about in reversed(knobs(cls).items()):
            text = f"{sentence(about.help)} {limits(about)}  [default: {usual[name]}]".replace("  ", " ")
            kind = Finite() if kinds[name] is float else kinds[name]
            flag = click.option(f"--{name.replace('_', '-')}", name, type=kind, help=text)
            command = flag(command)
        return command

    return add


def from_flags(cls: type, flags: dict[str, Any], base: Any = None) -> Any:
    """The config that `knob_flags` read; a flag that was not given keeps the default, or the value in `base`.

    Raises:
        ConfigError: a value is out of range.
    """
    given = {name: flags[name] for name in knobs(cls) if flags.get(name) is not None}
    return load(cls, given if base is None else vars(base) | given)


def limits(about: Knob) -> str:
    """The range and unit of a knob, in brackets, or nothing."""
    if about.choices is not None:
        return f"({', '.join(about.choices)})"
    low, high, span = about.low, about.high, ""
    if low is not None and high is not None:
        span = f"{low:g} to {high:g}"
    elif low is not None:
        span = f"from {low:g}"
    elif high is not None:
        span = f"up to {high:g}"
    inside = " ".join(filter(None, [span, about.unit]))
    return f"({inside})" if inside else ""


def sentence(text: str) -> str:
    """`text` with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def table(rows: Sequence[Sequence[str]], indent: str = "  ") -> str:
    """Rows as columns of text; the last column is as wide as it is."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)][:-1]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append((indent + "  ".join([*cells, row[-1]])).rstrip())
    return "\n".join(lines)


def prompt_flags(prompt: Prompt) -> list[str]:
    """The flags of `vary` that give `prompt`."""
    if not prompt.keep:
        return ["--preset", "unconditional"]
    flags = [part for hint in prompt.keep for part in ("--keep", describe(hint))]
    flags += [part for hint in prompt.hide for part in ("--hide", describe(hint))]
    return flags + (["--dropout", str(prompt.dropout)] if prompt.dropout else [])


def command_line(parts: Sequence[str]) -> str:
    """Arguments as one line for a shell."""
    return shlex.join(parts)


def _complain(text: str, code: int) -> int:
    click.echo(f"ostinato: {' '.join(text.split())}", err=True)
    return code
