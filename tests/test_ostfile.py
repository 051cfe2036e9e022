"""The .ost file: whatever is written is read, and whatever happens to the bytes has a name."""

import time
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.config import plain
from ostinato.errors import AudioError, OstinatoError
from ostinato.expand import tokens_of
from ostinato.image import BANDS, MIDDLE
from ostinato.ostfile import Header, Keep, OstReader, assemble, write
from ostinato.types import Grid
from tests.damage import expanded, flipped, mended, outcome, sound_file, tiny_file
from tests.foretold import GRID, context_model

GOLDEN = {lean: Path(__file__).parent / "golden" / f"{'lean' if lean else 'small'}.ost" for lean in (False, True)}
either = pytest.mark.parametrize("lean", [False, True])
HEADER = Header(
    grid=GRID,
    sample_rate=48000,
    channels=2,
    samples=48000,
    gain=0.5,
    seed=7,
    keep=Keep(2, ((1, 7), (1, 0))),
    model="tiny",
)


def read(path: Path, data: bytes) -> OstReader:
    """A reader of these bytes."""
    _ = path.write_bytes(data)
    return OstReader(path)


@settings(max_examples=50, deadline=None)
@given(
    st.builds(
        Header,
        grid=st.builds(
            Grid,
            sample_rate=st.integers(8000, 96000),
            hop=st.integers(1, 4000),
            codebooks=st.integers(3, 64),
            vocabulary=st.integers(2, 1 << 16),
        ),
        sample_rate=st.integers(1000, 768_000),
        channels=st.just(2),
        samples=st.integers(1, 200_000),
        gain=st.floats(1e-6, 1e6),
        seed=st.integers(0, 2**64 - 1),
        block=st.integers(100, 4096),
        keep=st.sampled_from([Keep(), Keep(1, ((1, 5),)), Keep(3, ((1, 7), (2, 0)))]),
        model=st.text(max_size=20).filter(lambda text: text.isprintable()),
        model_hash=st.binary(min_size=8, max_size=8).map(bytes.hex),
    ),
    st.sampled_from([{}, {"image": True}, {"lean": True}]),
)
def test_a_header_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, plain_header: Header, side: dict[str, bool]
):
    header = replace(plain_header, **side)
    blocks = [bytes([n % 256] * (n % 5)) for n in range(min(header.blocks, 5000))]
    if header.blocks > 5000:
        return
    path = tmp_path_factory.getbasetemp() / "header.ost"
    _ = write(path, header, blocks)
    with OstReader(path) as reader:
        assert plain(reader.header) == plain(header)
        assert [reader.block(n) for n in range(header.blocks)] == blocks


@given(st.integers(0, 2**32))
def test_masks_that_repeat_are_told_by_the_header(seed: int):
    chance = np.random.default_rng(seed)
    pattern = torch.from_numpy(chance.random((4, int(chance.integers(1, 6)))) < 0.5)
    hidden = pattern.repeat(1, 9)[:, : int(chance.integers(6, 50))]
    keep = Keep.of(hidden)
    assert 1 <= keep.period <= pattern.shape[1]
    assert (torch.from_numpy(keep.kept(4, 0, hidden.shape[1])) == ~hidden).all()
    assert (torch.from_numpy(keep.kept(4, 3, 3)) == ~hidden[:, 3:6]).all()


def test_masks_that_do_not_repeat_are_left_to_the_blocks():
    assert Keep.of(torch.rand(4, 600, generator=torch.Generator().manual_seed(0)) < 0.5) == Keep()


@either
def test_the_bytes_of_a_file_never_change_within_a_version(lean: bool):
    assert sound_file(lean=lean) == GOLDEN[lean].read_bytes()
    assert GOLDEN[lean].read_bytes()[4] == (2 if lean else 1)


@either
def test_the_golden_file_is_read(tmp_path: Path, lean: bool):
    with read(tmp_path / "a.ost", GOLDEN[lean].read_bytes()) as reader:
        images: dict[int, np.ndarray | None] = {}
        parts = tokens_of(reader, context_model(), images, None)
        codes, hidden = (torch.cat(part, -1) for part in zip(*parts, strict=True))
        assert codes.shape == hidden.shape == (1 + lean, 3, reader.header.frames)
        assert all(image is not None and image.shape == (2, BANDS) for image in images.values())
        assert any(image is not None and (image[0] != MIDDLE).any() for image in images.values())
        assert all(image is not None and image[1].any() != lean for image in images.values())


@either
def test_every_truncation_is_named(tmp_path: Path, lean: bool):
    data = sound_file(lean=lean)
    for length in range(len(data)):
        assert outcome(tmp_path / "cut.ost", data[:length], lean=lean) == "refused"


@either
def test_byte_flips_are_named_or_harmless(tmp_path: Path, lean: bool):
    for _, data in flipped(sound_file(lean=lean), 300, 0):
        assert outcome(tmp_path / "flip.ost", data, lean=lean) in ("refused", "right")


@pytest.mark.parametrize(
    ("version", "flags"), [(1, 4), (1, 5), (1, 2), (2, 0), (2, 1), (2, 3), (2, 4), (2, 7), (2, 13)]
)
def test_flags_that_a_version_does_not_have_are_refused(tmp_path: Path, version: int, flags: int):
    data, end = bytearray(HEADER.pack()), len(HEADER.pack()) - 4
    data[4], data[6] = version, flags
    data[end:] = zlib.crc32(data[:end]).to_bytes(4, "big")
    with pytest.raises(AudioError, match=f"flags of 0x0*{flags:x} have no meaning in version {version}"):
        _ = read(tmp_path / "a.ost", bytes(data))


def test_files_whose_checks_were_made_right_again_are_named_or_make_a_sound(tmp_path: Path):
    pipeline, path = tiny_file(tmp_path)
    whole = path.read_bytes()
    assert expanded(pipeline, path, whole) == "sound"
    assert mended(path, 9, whole) == whole
    ends = {expanded(pipeline, path, mended(path, place, data)) for place, data in flipped(whole, 60, 3)}
    assert ends == {"refused", "sound"}


def test_a_damaged_block_costs_itself_and_nothing_else(tmp_path: Path):
    data = bytearray(sound_file())
    with read(tmp_path / "whole.ost", bytes(data)) as reader:
        whole = torch.cat([codes for codes, _ in tokens_of(reader, context_model(), {}, None)], -1)
        place, span = reader.starts[1], reader.header.block
    data[place] ^= 255
    lost: list[int] = []
    with read(tmp_path / "hurt.ost", bytes(data)) as reader:
        parts = tokens_of(reader, context_model(), {}, lost)
        codes, hidden = (torch.cat(part, -1) for part in zip(*parts, strict=True))
    assert lost == [1]
    assert hidden[..., span : 2 * span].all()
    rest = torch.ones(codes.shape[-1], dtype=torch.bool)
    rest[span : 2 * span] = False
    assert (codes[..., rest] == whole[..., rest]).all()


def test_what_is_left_of_a_cut_file_is_read(tmp_path: Path):
    data, lost = sound_file(), []
    with read(tmp_path / "cut.ost", data[:-3]) as reader:
        assert not reader.whole
        _ = list(tokens_of(reader, context_model(), {}, lost))
        assert lost == [reader.header.blocks - 1]


def test_blocks_cannot_change_places(tmp_path: Path):
    header = Header(grid=GRID, sample_rate=44100, channels=1, samples=80 * 768, block=40)
    data = assemble(header, [b"abcd", b"efgh"])
    swapped = data[:-12] + data[-6:] + data[-12:-6]
    with read(tmp_path / "swapped.ost", swapped) as reader:
        assert [reader.block(0), reader.block(1)] == [None, None]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not an .ost file"),
        (b"RIFF....WAVE", "is not an .ost file"),
        (b"\x8fOST\x03" + bytes(20), "version 3; this ostinato reads up to 2"),
        (b"\x8fOST\x01" + b"\xff" * 11, "a number without an end"),
    ],
)
def test_what_is_no_such_file_is_told_so(tmp_path: Path, data: bytes, said: str):
    with pytest.raises(AudioError, match=said):
        _ = read(tmp_path / "a.ost", data)


def test_a_header_that_claims_a_year_of_audio_allocates_nothing(tmp_path: Path):
    year = Header(grid=GRID, sample_rate=44100, channels=1, samples=365 * 24 * 3600 * 44100, keep=Keep(1, ((1, 7),)))
    data = year.pack() + bytes(200)
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(AudioError, match="cut short"):
        _ = read(tmp_path / "year.ost", data)
    assert tracemalloc.get_traced_memory()[1] < 300_000
    assert time.perf_counter() - began < 1
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["a.wav", "nowhere/a.ost"])
def test_only_ost_files_in_folders_that_there_are(tmp_path: Path, name: str):
    with pytest.raises(AudioError, match="cannot write"):
        _ = write(tmp_path / name, HEADER, [])


def test_a_missing_file_is_told_so(tmp_path: Path):
    with pytest.raises(OstinatoError, match="cannot read"):
        _ = OstReader(tmp_path / "none.ost")
