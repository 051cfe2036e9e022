"""Names for plug-ins: a table that a decorator fills and a helpful error guards."""

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, Generic, TypeVar, cast

from .errors import ConfigError

T = TypeVar("T")
AnyClass = TypeVar("AnyClass", bound=type)


class Registry(Generic[T]):
    """A named table of classes, filled by using it as a decorator: `@hints("periodic")`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._table: dict[str, type[T]] = {}

    def __call__(self, name: str) -> Callable[[AnyClass], AnyClass]:
        """Register the decorated class under `name`; a name is taken once."""

        def add(cls: AnyClass) -> AnyClass:
            if name in self._table:
                raise ConfigError(f"{self.kind} '{name}' is registered twice")
            self._table[name] = cast(Any, cls)
            return cls

        return add

    def __getitem__(self, name: str) -> type[T]:
        """The class called `name`.

        Raises:
            ConfigError: no such name; the message gives the nearest and the whole list.
        """
        if name not in self._table:
            raise ConfigError(f"no {self.kind} called '{name}'; {nearest(name, self._table)}")
        return self._table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def name(self, cls: type[T]) -> str:
        """The name under which `cls` is registered."""
        for name, known in self._table.items():
            if known is cls:
                return name
        raise ConfigError(f"{cls.__name__} is not a registered {self.kind}")


def nearest(name: str, known: "Registry[T] | dict[str, T] | list[str]") -> str:
    """The cure for a misspelt name: "did you mean 'x'?" or the list of what there is."""
    close = get_close_matches(name, list(known), n=1)
    listed = ", ".join(known)
    return f"did you mean '{close[0]}'?" if close else f"there are: {listed or 'none'}"
