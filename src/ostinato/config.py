"""Settings: frozen dataclasses whose fields are knobs, checked on creation and loaded strictly.

A knob is written once; flags, sliders, JSON keys and OSC addresses are read off it.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from typing_extensions import dataclass_transform

from .errors import ConfigError
from .registry import Registry, nearest

T = TypeVar("T")
REQUIRED: Any = dataclasses.MISSING


@dataclasses.dataclass(frozen=True)
class Knob:
    """What a door needs to know to show one setting."""

    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] | None = None


def knob(
    help: str = "",
    *,
    default: Any = REQUIRED,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A field with one line of help, a default, a unit and a range (ends included)."""
    about = {"knob": Knob(help, unit, low, high, choices)}
    return dataclasses.field(default=default, metadata=about)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(knob, dataclasses.field))
def config(cls: type[T]) -> type[T]:
    """Make `cls` a frozen keyword-only dataclass that checks types and ranges when made."""
    own_check = cls.__dict__.get("__post_init__")

    def check(self: Any) -> None:
        for field in dataclasses.fields(self):
            value = _coerce(f"{cls.__name__}.{field.name}", getattr(self, field.name), _hints(cls)[field.name])
            object.__setattr__(self, field.name, value)
            _check_range(cls.__name__, field, value)
        if own_check is not None:
            own_check(self)

    cls.__post_init__ = check  # type: ignore[attr-defined]
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


def knobs(cls: type) -> dict[str, Knob]:
    """The knobs of a config class, by field name, in order."""
    return {f.name: f.metadata.get("knob", Knob("")) for f in dataclasses.fields(cls)}


def defaults(cls: type) -> dict[str, Any]:
    """The default of each field that has one."""
    return {f.name: f.default for f in dataclasses.fields(cls) if f.default is not REQUIRED}


def plain(value: Any) -> Any:
    """A config as JSON-ready dicts, lists and scalars; `load` reads it back."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


def from_json(text: str | bytes) -> Any:
    """What JSON from elsewhere says, as plain data.

    Raises:
        ValueError: it is none, or nested too deep.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def load(cls: type[T], settings: Any) -> T:
    """Build a config from plain data, strictly.

    Raises:
        ConfigError: an unknown key (the message names the nearest), a missing one, a wrong type
            or a value out of range.
    """
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{cls.__name__} needs a table of settings, got {settings!r}")
    names = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in settings:
        if key not in names:
            raise ConfigError(f"{cls.__name__} has no setting '{key}'; {nearest(key, names)}")
    missing = [
        f.name
        for f in dataclasses.fields(cls)  # type: ignore[arg-type]
        if f.name not in settings and f.default is REQUIRED and f.default_factory is REQUIRED
    ]
    if missing:
        raise ConfigError(f"{cls.__name__} needs a value for '{missing[0]}'")
    kinds = _hints(cls)
    return cls(**{key: _coerce(f"{cls.__name__}.{key}", value, kinds[key]) for key, value in settings.items()})


def parse(cls: type[T], text: str) -> T:
    """Build a config from `knob=value,knob=value`; an empty text gives the defaults.

    Raises:
        ConfigError: a part is not `knob=value`, or what `load` raises.
    """
    settings: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(f"settings are written knob=value with commas between, got '{part}'")
        key = key.strip()
        kind = _hints(cls).get(key)
        settings[key] = value if kind is None else _from_text(f"{cls.__name__}.{key}", value.strip(), kind)
    return load(cls, settings)


def unparse(value: Any) -> str:
    """The `knob=value,...` text that `parse` turns into `value`; defaults are left out."""
    usual = defaults(type(value))
    fields = [(f.name, getattr(value, f.name)) for f in dataclasses.fields(value)]
    return ",".join(f"{name}={set_to}" for name, set_to in fields if name not in usual or set_to != usual[name])


def parse_named(known: Registry[T], text: str) -> T:
    """The plug-in written as `name` or `name:knob=value,knob=value`; `unparse_named` gives that text.

    Raises:
        ConfigError: no such name or knob, or a value that does not fit.
    """
    name, _, settings = text.partition(":")
    return parse(known[name.strip()], settings)


def unparse_named(known: Registry[T], value: T) -> str:
    """The text that `parse_named` turns into `value`; knobs at their defaults are left out.

    Raises:
        ConfigError: the plug-in is not a registered one.
    """
    return ":".join(filter(None, [known.name(type(value)), unparse(value)]))


def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _members(kind: Any) -> tuple[Any, ...]:
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    return typing.get_args(kind) if union else (kind,)


def _from_text(where: str, text: str, kind: Any) -> Any:
    members = _members(kind)
    if type(None) in members and text.lower() == "none":
        return None
    readers: list[tuple[type, Callable[[str], Any]]] = [(int, int), (float, float), (bool, _bool), (str, str)]
    for member, read in readers:
        if member in members:
            try:
                return read(text)
            except ValueError:
                continue
    wanted = " or ".join(_name(m) for m in members)
    raise ConfigError(f"{where} must be {wanted}, got '{text}'")


def _bool(text: str) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def _coerce(where: str, value: Any, kind: Any) -> Any:
    """`value` as `kind`, where that loses nothing; plain data may stand for nested configs."""
    members = _members(kind)
    for member in members:
        if member is type(None) and value is None:
            return None
        if typing.get_origin(member) is tuple and isinstance(value, tuple | list):
            return tuple(_coerce(where, item, typing.get_args(member)[0]) for item in value)
        if dataclasses.is_dataclass(member) and isinstance(value, Mapping):
            return load(typing.cast(type, member), value)
        if _is_a(value, member):
            return float(typing.cast(float, value)) if member is float else value
    wanted = " or ".join(_name(m) for m in members)
    raise ConfigError(f"{where} must be {wanted}, got {value!r}")


def _is_a(value: Any, kind: Any) -> bool:
    if kind is Any:
        return True
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    plain_class = typing.get_origin(kind) or kind
    return isinstance(plain_class, type) and isinstance(value, plain_class)


def _name(kind: Any) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "none"}
    return words.get(kind) or getattr(kind, "__name__", str(kind))


def _check_range(owner: str, field: Any, value: Any) -> None:
    about: Knob | None = field.metadata.get("knob")
    if about is None:
        return
    if about.choices is not None and value is not None and value not in about.choices:
        raise ConfigError(f"{owner}.{field.name} must be one of {', '.join(about.choices)}, got {value!r}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if not math.isfinite(value) or not _within(value, about.low, about.high):
        raise ConfigError(f"{owner}.{field.name} must be {_range(about)}, got {value}")


def _within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _range(about: Knob) -> str:
    unit = f" {about.unit}" if about.unit else ""
    if about.low is not None and about.high is not None:
        return f"between {about.low:g} and {about.high:g}{unit}"
    if about.low is not None:
        return f"at least {about.low:g}{unit}"
    if about.high is not None:
        return f"at most {about.high:g}{unit}"
    return f"a finite number{unit}"
