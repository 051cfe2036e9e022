"""Files that appear whole or not at all."""

from pathlib import Path

import pytest
import torch

from ostinato import checkpoint
from ostinato.errors import AudioError, CheckpointError, OstinatoError
from ostinato.whole import whole, writable, write_text


def broken(target: Path, error: BaseException) -> None:
    with whole(target, AudioError) as part:
        _ = part.write_text("half")
        raise error


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError(), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: BaseException):
    target = tmp_path / "a.txt"
    write_text(target, "precious")
    with pytest.raises(AudioError if isinstance(error, OSError) else type(error)):
        broken(target, error)
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_text() == "precious"


@pytest.mark.parametrize("parent", ["none", "file"])
def test_a_folder_that_is_none_is_told_in_one_line(tmp_path: Path, parent: str):
    _ = (tmp_path / "file").write_text("")
    with pytest.raises(OstinatoError, match=r"cannot write .*a\.txt: (No such|Not a)"):
        write_text(tmp_path / parent / "a.txt", "")


def test_tensors_without_a_folder_are_told_in_one_line(tmp_path: Path):
    with pytest.raises(CheckpointError, match="cannot write"):
        checkpoint.write_tensors(tmp_path / "none" / "a", {"x": torch.zeros(2)})


def test_anyone_may_read_a_checkpoint(tmp_path: Path):
    checkpoint.write_tensors(tmp_path / "a", {"x": torch.zeros(2)})
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.mp3", r"the name must end in \.txt or \.csv"),
        ("link.txt", r"the name must end in \.txt or \.csv"),
        ("folder.txt", "it is a folder"),
        ("none/a.txt", "there is no folder"),
        ("folder.txt/a.txt", "Permission denied"),
    ],
)
def test_what_cannot_be_written_is_told(tmp_path: Path, name: str, message: str, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.mp3")

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(AudioError, match=f"cannot write .*{name}: {message}"):
        _ = writable(tmp_path / name, (".txt", ".csv"), AudioError)


def test_what_can_be_written_is_not_touched(tmp_path: Path):
    assert writable(tmp_path / "A.TXT", (".txt",)) == tmp_path / "A.TXT"
    assert list(tmp_path.iterdir()) == []
