"""The command line: each verb reads its flags, calls the library, and prints what came of it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .verbs import main

__all__ = ["main"]


def __getattr__(name: str) -> Any:
    """`main`, with all its verbs, once it is asked for: the doors of `serve` share words with them, and are in them."""
    if name != "main":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from .verbs import main

    return main
