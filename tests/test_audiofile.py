"""Sound files: what is written is what is read, bad files are refused in one line, and nothing is left half-written."""

import dataclasses
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ostinato import audiofile, riff
from ostinato.errors import AudioError
from ostinato.types import Audio

RATE = 44100


def noise(samples: int = 5000, channels: int = 2, rate: int = RATE, level: float = 0.1) -> Audio:
    chance = torch.Generator().manual_seed(samples + channels)
    return Audio(torch.rand(1, channels, samples, generator=chance).mul(2).sub(1).mul(level), rate)


def raw(path: Path, rows: np.ndarray, rate: int = RATE, **options: str) -> Path:
    soundfile.write(path, rows, rate, **options)
    return path


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("name", "subtype", "error"),
    [
        ("a.wav", "FLOAT", 0.0),
        ("a.wav", "PCM_24", 2**-23),
        ("a.WAV", "PCM_16", 2**-15),
        ("a.flac", "PCM_24", 2**-23),
        ("a.flac", "PCM_16", 2**-15),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_is_written_is_what_is_read(tmp_path: Path, name: str, subtype: str, error: float, channels: int):
    audio = noise(channels=channels)
    assert audiofile.write(tmp_path / name, audio, subtype=subtype) == 0
    back = audiofile.read(tmp_path / name)
    assert back.sample_rate == RATE
    assert back.wave.shape == audio.wave.shape
    assert (back.wave - audio.wave).abs().max() <= error
    assert audiofile.info(tmp_path / name).subtype == subtype


@pytest.mark.parametrize("rate", [8000, 48000, 192_000])
def test_any_usual_rate_survives(tmp_path: Path, rate: int):
    _ = audiofile.write(tmp_path / "a.flac", noise(rate=rate))
    assert audiofile.read(tmp_path / "a.flac").sample_rate == rate


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize("note", [{"seed": 3, "name": "Ostinato für 日本"}, {"long": "x" * 9001}, {}])
def test_about_survives_in_any_length_and_script(tmp_path: Path, name: str, note: dict[str, object]):
    _ = audiofile.write(tmp_path / name, noise(samples=999, channels=1), about=note)
    assert audiofile.about(tmp_path / name) == note
    assert audiofile.read(tmp_path / name).samples == 999


@pytest.mark.parametrize("comment", ["recorded by the sea", "[" * 3000])
@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_comment_by_another_hand_is_not_about(tmp_path: Path, name: str, comment: str):
    with soundfile.SoundFile(tmp_path / name, "w", RATE, 1) as file:
        file.comment = comment
        file.write(np.zeros(10))
    assert audiofile.about(tmp_path / name) is None
    assert audiofile.about(raw(tmp_path / "plain.wav", np.zeros(10))) is None


def test_other_readers_see_the_comment_and_all_samples(tmp_path: Path):
    _ = audiofile.write(tmp_path / "a.wav", noise(samples=77, channels=1), about={"seed": 1})
    with soundfile.SoundFile(tmp_path / "a.wav") as file:
        assert file.comment == '{"seed": 1}'
        assert len(file.read()) == 77


def test_a_chunk_that_lies_about_its_size_ends_the_search(tmp_path: Path):
    path = raw(tmp_path / "a.wav", np.zeros(10))
    path.write_bytes(path.read_bytes() + struct.pack("<4sI4s", b"LIST", 1 << 30, b"INFO"))
    assert riff.comment(path) == ""


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", None), ("a.flac", None)])
def test_the_same_sound_is_the_same_file(tmp_path: Path, name: str, subtype: str | None):
    _ = audiofile.write(tmp_path / name, noise(), about={"seed": 1}, subtype=subtype)
    first = audiofile.sha256(tmp_path / name)
    _ = audiofile.write(tmp_path / name, noise(), about={"seed": 1}, subtype=subtype)
    assert audiofile.sha256(tmp_path / name) == first


def test_a_float_file_does_not_hold_the_time_of_writing(tmp_path: Path):
    _ = audiofile.write(tmp_path / "a.wav", noise(), subtype="FLOAT")
    assert struct.unpack_from("<I", (tmp_path / "a.wav").read_bytes().split(b"PEAK")[1], 8) == (0,)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_loud_sound_is_turned_down_not_clipped(tmp_path: Path, name: str):
    loud = noise(level=2.0)
    peak = float(loud.wave.abs().max())
    gain = audiofile.write(tmp_path / name, loud, about={})
    assert gain == pytest.approx(-20 * np.log10(peak))
    assert audiofile.about(tmp_path / name) == {"gain_db": pytest.approx(gain, abs=1e-3)}
    torch.testing.assert_close(audiofile.read(tmp_path / name).wave, loud.wave / peak, atol=2**-22, rtol=0)


def test_a_float_file_keeps_a_loud_sound_as_it_is(tmp_path: Path):
    assert audiofile.write(tmp_path / "a.wav", noise(level=2.0), subtype="FLOAT") == 0
    assert torch.equal(audiofile.read(tmp_path / "a.wav").wave, noise(level=2.0).wave)


@pytest.mark.parametrize("size", [13, 999, 5000, 10_000])
def test_blocks_joined_are_the_whole(tmp_path: Path, size: int):
    _ = audiofile.write(tmp_path / "a.flac", noise())
    pieces = list(audiofile.blocks(tmp_path / "a.flac", size))
    assert max(piece.samples for piece in pieces) <= size
    assert torch.equal(torch.cat([p.wave for p in pieces], -1), audiofile.read(tmp_path / "a.flac").wave)


@pytest.mark.parametrize("name", ["a.flac", "a.wav"])
def test_an_excerpt_is_a_slice_of_the_whole(tmp_path: Path, name: str):
    _ = audiofile.write(tmp_path / name, noise())
    whole = audiofile.read(tmp_path / name).wave
    assert torch.equal(audiofile.read(tmp_path / name, start=1234, stop=4321).wave, whole[..., 1234:4321])
    assert torch.equal(audiofile.read(tmp_path / name, start=4000).wave, whole[..., 4000:])


def test_one_reader_reads_twice(tmp_path: Path):
    _ = audiofile.write(tmp_path / "a.flac", noise())
    with audiofile.Reader(tmp_path / "a.flac") as reader:
        assert torch.equal(next(reader.blocks(500)).wave, next(reader.blocks(500)).wave)


@pytest.mark.parametrize("piece", [(0, 0), (10, 10), (-1, 10), (0, 5001), (5000, 5001)])
def test_an_excerpt_outside_the_file_is_refused(tmp_path: Path, piece: tuple[int, int]):
    _ = audiofile.write(tmp_path / "a.wav", noise())
    with pytest.raises(AudioError, match=f"has 5000 samples; it has no piece from {piece[0]} to {piece[1]}"):
        _ = audiofile.read(tmp_path / "a.wav", start=piece[0], stop=piece[1])


def test_a_writer_in_blocks_makes_the_same_file_as_one_write(tmp_path: Path):
    loud = noise(level=1.5)
    _ = audiofile.write(tmp_path / "whole.wav", loud, about={"seed": 1})
    with audiofile.Writer(tmp_path / "blocks.wav", RATE, 2, about={"seed": 1}) as writer:
        for piece in loud.wave.split(777, dim=-1):
            writer.write(Audio(piece, RATE))
    assert (tmp_path / "blocks.wav").read_bytes() == (tmp_path / "whole.wav").read_bytes()
    assert parts(tmp_path) == ["blocks.wav", "whole.wav"]


def truncated_flac(folder: Path) -> Path:
    path = raw(folder / "cut.flac", noise(50_000).wave[0].T.numpy())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def boastful_flac(folder: Path) -> Path:
    path = raw(folder / "boast.flac", noise().wave[0].T.numpy())
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F
    data[22:26] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    return path


def endless_flac(folder: Path) -> Path:
    path = boastful_flac(folder)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    return path


def boastful_wav(folder: Path) -> Path:
    path = raw(folder / "boast.wav", np.zeros((100, 1)))
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xf0\xff\xff\xff"
    path.write_bytes(data)
    return path


def text_file(folder: Path, name: str) -> Path:
    (folder / name).write_text("these are words, not music\n" * 40)
    return folder / name


def one_bad_sample(folder: Path, value: float) -> Path:
    rows = np.zeros((RATE, 2))
    rows[RATE // 2, 1] = value
    return raw(folder / "bad.wav", rows, subtype="FLOAT")


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


def empty_file(folder: Path) -> Path:
    (folder / "empty.wav").touch()
    return folder / "empty.wav"


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda f: f / "no.wav", "there is no file"),
    "folder": (lambda f: made(f, "folder.wav"), "is a folder; name one sound file"),
    "empty": (empty_file, r"is empty \(0 bytes\)"),
    "text": (
        lambda f: text_file(f, "text.wav"),
        "is not a sound file we can read; convert it to WAV, FLAC, OGG or MP3",
    ),
    "headerless": (lambda f: text_file(f, "text.raw"), "is not a sound file we can read"),
    "truncated": (truncated_flac, "is damaged or cut short after"),
    "boastful": (boastful_flac, r"is damaged: its header claims \d+ s, too many for \d+ bytes"),
    "endless": (endless_flac, "does not say how long it is"),
    "zero samples": (lambda f: raw(f / "none.wav", np.zeros((0, 2))), "holds no samples"),
    "nan": (lambda f: one_bad_sample(f, np.nan), r"must hold finite numbers, got NaN or infinity at 0\.500 s"),
    "infinity": (lambda f: one_bad_sample(f, -np.inf), r"got NaN or infinity at 0\.500 s"),
    "six channels": (lambda f: raw(f / "six.wav", np.zeros((10, 6))), "has 6 channels; mix it down to mono or stereo"),
    "slow": (lambda f: raw(f / "slow.wav", np.zeros(10), rate=999), "sample rates go from 1000 to 768000 Hz, got 999"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_in_one_line_that_names_it(tmp_path: Path, kind: str):
    make, message = BAD[kind]
    path = make(tmp_path)
    with pytest.raises(AudioError, match=message) as caught:
        _ = audiofile.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wav_whose_header_claims_hours_gives_what_is_there(tmp_path: Path):
    assert audiofile.read(boastful_wav(tmp_path)).samples == 100


def test_an_unreadable_file_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = raw(tmp_path / "a.wav", np.zeros(10))

    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", deny)
    with pytest.raises(AudioError, match=r"cannot read .*a\.wav: Permission denied"):
        _ = audiofile.read(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.mp3", r"the name must end in \.wav or \.flac"),
        ("a", r"the name must end in \.wav or \.flac"),
        ("no/a.wav", "there is no folder"),
        ("taken.wav", "it is a folder"),
    ],
)
def test_a_place_that_takes_no_sound_is_refused_before_any_work(tmp_path: Path, name: str, message: str):
    (tmp_path / "taken.wav").mkdir()
    with pytest.raises(AudioError, match=message):
        _ = audiofile.check_writable(tmp_path / name)
    with pytest.raises(AudioError, match=message):
        _ = audiofile.write(tmp_path / name, noise())
    assert parts(tmp_path) == ["taken.wav"]


def test_a_protected_place_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _ = (tmp_path / "a.wav").write_text("")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(AudioError, match="permission denied"):
        _ = audiofile.check_writable(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("name", "subtype", "message"),
    [
        ("a.flac", "FLOAT", r"\.flac files take PCM_16, PCM_24, got FLOAT"),
        ("a.wav", "MP3", r"\.wav files take PCM_16, PCM_24, FLOAT, got MP3"),
    ],
)
def test_an_unknown_subtype_is_refused(tmp_path: Path, name: str, subtype: str, message: str):
    with pytest.raises(AudioError, match=message):
        _ = audiofile.write(tmp_path / name, noise(), subtype=subtype)
    assert parts(tmp_path) == []


def write_and_fail(path: Path, error: BaseException) -> None:
    with audiofile.Writer(path, RATE, 2) as writer:
        writer.write(noise())
        raise error


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_there(tmp_path: Path, error: BaseException):
    (tmp_path / "a.wav").write_text("precious")
    with pytest.raises(type(error)):
        write_and_fail(tmp_path / "a.wav", error)
    assert parts(tmp_path) == ["a.wav"]
    assert (tmp_path / "a.wav").read_text() == "precious"


@pytest.mark.parametrize(
    "broken", [OSError(28, "No space left on device"), RuntimeError("System error."), AssertionError()]
)
def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Exception):
    def fail(*_: object) -> None:
        raise broken

    monkeypatch.setattr(soundfile.SoundFile, "write", fail)
    with pytest.raises(AudioError, match=r"cannot write .*a\.wav: \S+"):
        _ = audiofile.write(tmp_path / "a.wav", noise())
    assert parts(tmp_path) == []


def test_a_writer_with_nothing_written_leaves_nothing(tmp_path: Path):
    writer = audiofile.Writer(tmp_path / "a.wav", RATE, 2)
    with pytest.raises(AudioError, match="would hold no samples"):
        writer.close()
    assert parts(tmp_path) == []


def test_a_block_that_does_not_fit_is_refused(tmp_path: Path):
    with (
        pytest.raises(AudioError, match="takes 1 x 2 channels at 44100 Hz, got 1 x 1 channels at 8000 Hz"),
        audiofile.Writer(tmp_path / "a.wav", RATE, 2) as writer,
    ):
        writer.write(noise(channels=1, rate=8000))
    assert parts(tmp_path) == []


def test_a_wav_above_four_gigabytes_is_refused_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(audiofile, "WAV_LIMIT", 1000)
    with pytest.raises(AudioError, match=r"would pass the 4 GiB that a WAV can hold; write a \.flac"):
        _ = audiofile.write(tmp_path / "a.wav", noise())
    _ = audiofile.write(tmp_path / "a.flac", noise())


def test_a_link_is_followed_not_replaced(tmp_path: Path):
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    _ = audiofile.write(tmp_path / "link.wav", noise())
    assert (tmp_path / "link.wav").is_symlink()
    assert audiofile.read(tmp_path / "real.wav").samples == 5000


def test_a_vorbis_header_may_overstate_by_a_block_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.ogg"
    soundfile.write(path, np.zeros((44100, 1)), 44100)
    with audiofile.Reader(path) as reader:
        for extra, fine in ((1000, True), (3000, False)):
            monkeypatch.setattr(reader, "facts", dataclasses.replace(reader.facts, samples=44100 + extra))
            if fine:
                assert sum(piece.samples for piece in reader.blocks()) == 44100
            else:
                with pytest.raises(AudioError, match="47100 samples promised, 44100 found"):
                    _ = list(reader.blocks())
