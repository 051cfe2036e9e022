"""The command line: each verb reads its flags, calls the library, and prints what came of it."""

from .verbs import main

__all__ = ["main"]
