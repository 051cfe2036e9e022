"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import OstinatoError


@contextmanager
def whole(path: Path, refusal: type[OstinatoError] = OstinatoError) -> Iterator[Path]:
    """A name beside `path` to write to; what is there in the end becomes `path`, and after an error nothing does.

    Raises:
        OstinatoError: it cannot be written there; as the kind of error that `refusal` is.
    """
    part = beside(path)
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise refusal(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            part.unlink()


def write_text(path: Path, text: str, refusal: type[OstinatoError] = OstinatoError) -> None:
    """Write a file of text whole or not at all.

    Raises:
        OstinatoError: as `whole`.
    """
    with whole(path, refusal) as part:
        _ = part.write_text(text, encoding="utf-8")


def beside(path: Path) -> Path:
    """A name for a part of a file, which no other part has."""
    return path.with_name(f".{path.stem}-{secrets.token_hex(4)}.part")
