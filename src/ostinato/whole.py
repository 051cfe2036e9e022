"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OstinatoError


@contextmanager
def whole(path: Path, refusal: type[OstinatoError] = OstinatoError) -> Iterator[Path]:
    """A name beside `path` to write to; what is there in the end becomes `path`, and after an error nothing does.

    Raises:
        OstinatoError: it cannot be written there; as the kind of error that `refusal` is.
    """
    part = path.with_name(f".{path.stem}-{secrets.token_hex(4)}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        raise refusal(f"cannot write {path}: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
