"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator, Sequence
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


def writable(path: str | Path, suffixes: Sequence[str], refusal: type[OstinatoError] = OstinatoError) -> Path:
    """`path`, links followed, once it is sure that a file can appear there: another one just has, beside it.

    Raises:
        OstinatoError: the name ends otherwise than in one of `suffixes`, the folder is missing or takes no files, or
            the name is a folder's or a protected file's; as the kind of error that `refusal` is.
    """
    target = Path(os.path.realpath(path))
    if not {Path(path).suffix.lower(), target.suffix.lower()} <= {*suffixes}:
        raise refusal(f"cannot write {path}: the name must end in {' or '.join(suffixes)}")
    if target.is_dir():
        raise refusal(f"cannot write {path}: it is a folder")
    if not target.parent.is_dir():
        raise refusal(f"cannot write {path}: there is no folder {target.parent}")
    if target.exists() and not os.access(target, os.W_OK):
        raise refusal(f"cannot write {path}: permission denied")
    part = beside(target)
    try:
        part.touch()
        part.unlink()
    except OSError as error:
        raise refusal(f"cannot write {path}: {error.strerror}") from None
    return target


def beside(path: Path) -> Path:
    """A name for a part of a file, which no other part has."""
    return path.with_name(f".{path.stem}-{secrets.token_hex(4)}.part")
