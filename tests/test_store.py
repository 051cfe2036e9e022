"""Files of a server: its own folder, its limits, its debris; and what it lets in."""

import asyncio
import os
import struct
import threading
import time
from pathlib import Path

import pytest

from ostinato.audiofile import info
from ostinato.errors import AudioError, OstinatoError
from ostinato.prompts import Prompt
from ostinato.serve import looper
from ostinato.serve.desk import Desk
from ostinato.serve.limits import Limits, admit, plain_name, plain_stem
from ostinato.serve.server import Place, open_desk
from ostinato.serve.store import Store
from ostinato.serve.workshop import Order
from tests import sounds

PATIENCE = 10.0
LIMITS = Limits(megabytes=1, seconds=5.0)


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path / "base") as made:
        yield made


def put(store: Store, name: str, content: bytes) -> Path:
    """An upload."""
    folder = store.room()
    path = folder / name
    _ = path.write_bytes(content)
    return path


def taken(store: Store, name: str, content: bytes, limits: Limits = LIMITS) -> Path:
    return admit(str(put(store, name, content)), store, store.room(), limits)


def test_a_store_is_gone_when_it_is_closed(tmp_path: Path):
    with Store(tmp_path) as store:
        assert store.folder.is_dir()
        _ = put(store, "x", b"1")
    assert not store.folder.exists()


def test_what_a_killed_server_left_is_removed_and_what_a_living_one_keeps_is_not(tmp_path: Path):
    with Store(tmp_path) as living:
        dead = tmp_path / "serve-0123456789ab"
        (dead / "files" / "room").mkdir(parents=True)
        _ = (dead / "files" / "room" / "take-1.wav").write_bytes(b"x")
        with Store(tmp_path):
            assert living.folder.is_dir()
            assert not dead.exists()


def test_what_is_old_goes_and_then_the_oldest_of_what_is_too_much(tmp_path: Path):
    with Store(tmp_path, age=100, size=25) as store:
        rooms = [put(store, "x", b"0" * 10).parent for _ in range(4)]
        for age, room in zip((200, 50, 30, 10), rooms, strict=True):
            for path in (room / "x", room):
                os.utime(path, (time.time() - age,) * 2)
        sizes = {room: sum(each.stat().st_size for each in (room, room / "x")) for room in rooms}
        store._size = sum(sizes[room] for room in rooms[2:])
        store.sweep()
        assert [room.exists() for room in rooms] == [False, False, True, True]


def test_what_is_held_stays_however_old_and_however_much_until_it_is_released_as_often(tmp_path: Path):
    with Store(tmp_path, age=100, size=0) as store:
        held, other = (put(store, "x", b"0").parent for _ in range(2))
        for path in (held / "x", held):
            os.utime(path, (time.time() - 200,) * 2)
        for _ in range(2):
            store.hold(held)
        store.sweep()
        assert (held.exists(), other.exists()) == (True, False)
        for there in (True, False):
            store.release(held)
            store.sweep()
            assert held.exists() == there


@pytest.fixture
def crowded(tiny_model: Path, tmp_path: Path):
    """A desk at which a job runs until its event is set, whose store may keep nothing."""
    with open_desk(Place(model=str(tiny_model), folder=str(tmp_path)), Limits()) as desk:
        desk.store._size = 0
        go = threading.Event()
        _ = desk.service.submit("first", lambda watch: go.wait(PATIENCE))
        yield desk, go
        go.set()


def test_the_sound_of_a_job_that_waits_is_not_swept_away(crowded: tuple[Desk, threading.Event]):
    desk, go = crowded
    sound = taken(desk.store, "x.wav", sounds.file(seconds=0.5))
    ticket = desk.order("second", Order(sound, Prompt()))
    desk.store.sweep()
    go.set()
    assert len(ticket.future.result(PATIENCE)) == 1
    desk.store.sweep()
    assert not sound.exists()


def test_what_is_given_up_while_it_waits_is_swept_away(crowded: tuple[Desk, threading.Event]):
    desk, _ = crowded
    sound = taken(desk.store, "x.wav", sounds.file(seconds=0.5))
    desk.service.give_up(desk.order("second", Order(sound, Prompt())))
    desk.store.sweep()
    assert not sound.exists()


def test_a_loop_that_waits_for_its_take_is_not_swept_away(crowded: tuple[Desk, threading.Event]):
    desk, go = crowded

    async def asked() -> looper.Made:
        take = asyncio.create_task(looper.take(desk, "second", sounds.file(seconds=0.5), looper.Settings(beats=1)))
        while not desk.service.waiting:
            await asyncio.sleep(0.01)
        desk.store.sweep()
        go.set()
        return await take

    assert asyncio.run(asked()).wav


def test_a_store_holds_what_is_in_it_and_nothing_else(store: Store, tmp_path: Path):
    ours, theirs = put(store, "x.wav", b"1"), tmp_path / "theirs.wav"
    _ = theirs.write_bytes(b"2")
    link = ours.with_name("link.wav")
    link.symlink_to(theirs)
    assert store.holds(ours)
    for path in (
        theirs,
        link,
        ours.parent / ".." / ".." / ".." / ".." / "theirs.wav",
        store.folder / "lock",
        ours.parent,
    ):
        assert not store.holds(path)


def test_an_unwritable_place_is_named(tmp_path: Path):
    file = tmp_path / "file"
    _ = file.write_bytes(b"")
    with pytest.raises(OstinatoError, match="cannot keep files"):
        _ = Store(file / "base")


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [
        ("a b.wav", "WAV", "a-b.wav"),
        ("ü.aiff", "AIFF", "u.aiff"),
        ("音楽.flac", "FLAC", "sound.flac"),
        ("x.mid", "OGG", "x.ogg"),
        ("noname", "MP3", "noname.mp3"),
        ("a#b?c&d;$(e).wav", "WAV", "a-b-c-d-e.wav"),
    ],
)
def test_names_become_plain_and_contents_decide_the_kind(store: Store, name: str, kind: str, found: str):
    assert taken(store, name, sounds.file(kind, seconds=0.2)).name == found


def test_two_sounds_of_one_name_in_a_room_stay_two(store: Store):
    room, paths = store.room(), [put(store, "x.wav", sounds.file(seconds=0.1, seed=seed)) for seed in (1, 2)]
    admitted = {admit(str(path), store, room, LIMITS) for path in paths}
    assert len(admitted) == 2
    assert {admit(str(path), store, room, LIMITS) for path in admitted} == admitted


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"just a text", "not a sound file"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "not a sound file|damaged"),
        (sounds.file("AU", seconds=0.1), "is AU, which is not taken here"),
        (sounds.file(seconds=5.5), "at most 5 s"),
        (sounds.file("FLAC", seconds=0.2)[:600], "damaged|cut short|not a sound"),
        (sounds.file("WAV", "FLOAT", seconds=4, channels=2), "too big"),
    ],
)
def test_what_is_no_sound_of_ours_is_refused_by_its_own_name(store: Store, content: bytes, said: str):
    with pytest.raises(AudioError, match=said) as refused:
        _ = taken(store, "my loop.wav", content)
    assert "my loop.wav" in str(refused.value)
    assert str(store.folder) not in str(refused.value)


def test_a_header_that_claims_hours_is_refused_before_anything_is_made(store: Store):
    content = bytearray(sounds.file("FLAC", seconds=0.2))
    samples = 44100 * 3600 * 5
    content[21] = content[21] & 0xF0 | samples >> 32
    content[22:26] = struct.pack(">I", samples & 0xFFFFFFFF)
    with pytest.raises(AudioError, match="its header claims 18000 s"):
        _ = taken(store, "hours.flac", bytes(content))


def test_a_header_that_claims_a_little_too_much_is_found_out_by_decoding(store: Store):
    content = bytearray(sounds.file("FLAC", seconds=0.2))
    content[22:26] = struct.pack(">I", 44100 * 2)
    with pytest.raises(AudioError, match=r"cut short|damaged"):
        _ = taken(store, "two.flac", bytes(content))


def test_a_chunk_that_claims_gigabytes_is_as_long_as_what_is_there(store: Store):
    content = bytearray(sounds.file("WAV", seconds=0.2))
    content[4:8] = content[40:44] = struct.pack("<I", 0xFFFFFFF0)
    assert info(taken(store, "big.wav", bytes(content))).seconds == pytest.approx(0.2)


def test_files_from_elsewhere_and_links_are_not_taken(store: Store, tmp_path: Path):
    outside = tmp_path / "outside.wav"
    _ = outside.write_bytes(sounds.file(seconds=0.1))
    link = store.room() / "link.wav"
    link.symlink_to(outside)
    for path in (outside, link, "/etc/passwd", store.folder / "lock", "../outside.wav"):
        with pytest.raises(AudioError, match="not uploaded here"):
            _ = admit(str(path), store, store.room(), LIMITS)


def test_nothing_at_all_is_told_as_such(store: Store):
    for nothing in (None, ""):
        with pytest.raises(AudioError, match="no input audio received"):
            _ = admit(nothing, store, store.room(), LIMITS)


def test_names_are_shown_on_one_line():
    assert plain_name("a\nb\x00.wav") == "a?b?.wav"
    assert plain_stem("../../etc/passwd") == "etc-passwd"
