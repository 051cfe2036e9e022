"""Label files on disk: beats as Audacity reads and writes them; the text itself is `grids`' concern."""

from pathlib import Path

from .errors import AudioError
from .grids import as_labels, from_labels
from .types import Beats
from .whole import writable, write_text

SUFFIXES = (".txt", ".tsv", ".lab", ".beats")


def read(path: str | Path) -> Beats:
    """The beats of a label file.

    Raises:
        AudioError: it cannot be read, or a line is not that of a beat; see `grids.from_labels`.
    """
    try:
        return from_labels(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise AudioError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AudioError(f"{path} is not a label file: it is no text") from None
    except AudioError as error:
        raise AudioError(f"{path} is not a label file: {error}") from None


def write(path: str | Path, beats: Beats) -> None:
    """Write beats as a label file, whole or not at all.

    Raises:
        AudioError: there are no beats, or the file cannot be written there.
    """
    if not beats.times:
        raise AudioError(f"cannot write {path}: there are no beats to label")
    write_text(check_writable(path), as_labels(beats), AudioError)


def check_writable(path: str | Path) -> Path:
    """`path`, links followed, once it is sure that a label file can appear there.

    Raises:
        AudioError: the suffix is not that of a label file, or what `writable` refuses.
    """
    return writable(path, SUFFIXES, AudioError)
