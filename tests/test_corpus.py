"""The corpus list, its laws, and fetching it from tiny packages that the tests build themselves."""

import hashlib
import os
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

import ostinato
import ostinato.corpus
from ostinato.corpus import (
    LICENCES,
    SPLITS,
    Corpus,
    Package,
    Track,
    attribution,
    check_splits,
    fetch,
    names,
    read_list,
    write_list,
)
from ostinato.errors import CorpusError, MissingPartError

HERE = Path(__file__).parent
SHIPPED = HERE.parent / "recipes" / "default"
INSIDE = Path(ostinato.__file__).parent
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb builds the fake packages")

TRACKS = {"usr/share/game/one.ogg": b"first song", "usr/share/game/data.zip/music/two.ogg": b"second song" * 999}


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def track(path="music/a.ogg", package="game", version="1.0-1", split="train", **changes) -> Track:
    fields = {"seconds": 60.5, "sample_rate": 44100, "channels": 2, "licence": "CC-BY-SA-3.0", "attribution": "Ann Bee"}
    digest = sha(f"{package}/{path}".encode())
    return Track(package=package, version=version, path=path, split=split, **(fields | {"sha256": digest} | changes))


def small_list() -> Corpus:
    tracks = (track(), track("music/b.ogg", licence="Expat"), track(package="other", version="2:3", split="test"))
    packages = (Package("game", "1.0-1", sha(b"x"), "train"), Package("other", "2:3", sha(b"y"), "test"))
    return Corpus(tracks, packages)


def build(folder: Path, name: str = "game", version: str = "1.0-1", extra: dict[str, bytes] | None = None) -> Corpus:
    """A real package in `folder` that holds TRACKS, other files and an archive, and its list."""
    tree = folder / f"{name}.tree"
    files = {"usr/share/game/one.ogg": TRACKS["usr/share/game/one.ogg"], "usr/share/game/not-listed.ogg": b"noise"}
    for path, data in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)
    with zipfile.ZipFile(tree / "usr/share/game/data.zip", "w") as archive:
        archive.writestr("music/two.ogg", TRACKS["usr/share/game/data.zip/music/two.ogg"])
        for path, data in {"music/unwanted.ogg": b"noise", "../../../escaped.ogg": b"evil"}.items():
            archive.writestr(path, data)
        for path, data in (extra or {}).items():
            archive.writestr(path, data)
    (tree / "DEBIAN").mkdir()
    about = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: fake\n"
    (tree / "DEBIAN/control").write_text(about)
    deb = folder / f"{name}_{version.replace(':', '%3a')}_all.deb"
    _ = subprocess.run(["dpkg-deb", "-Znone", "--build", str(tree), str(deb)], check=True, capture_output=True)
    shutil.rmtree(tree)
    tracks = tuple(track(path, name, version, sha256=sha(data)) for path, data in TRACKS.items())
    return Corpus(tracks, (Package(name, version, sha(deb.read_bytes()), "train"),))


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fake_program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_list_reads_back_as_it_was_written(tmp_path):
    write_list(small_list(), tmp_path)
    assert read_list(tmp_path) == small_list()


def test_a_missing_list_says_what_a_list_is(tmp_path):
    with pytest.raises(CorpusError, match=r"no corpus list at .*corpus\.tsv; a list is a folder"):
        _ = read_list(tmp_path)


@pytest.mark.parametrize("path", ["../a.ogg", "/a.ogg", "a/../../b.ogg", "a//b.ogg", "a/.", "..", "a\\b.ogg", ""])
def test_a_listed_path_cannot_leave_its_folder(tmp_path, path):
    write_list(Corpus((track(path),), small_list().packages), tmp_path)
    with pytest.raises(CorpusError, match=r"line 2 has path .* stays inside its folder"):
        _ = read_list(tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("package", "../game", "name of a Debian package"),
        ("package", "-o=evil", "name of a Debian package"),
        ("version", "1.0 --help", "version of a Debian package"),
        ("sha256", "abc", "64 hexadecimal digits"),
        ("seconds", "long", "is not a track: could not convert"),
    ],
)
def test_a_bad_value_is_refused_with_its_line(tmp_path, column, value, message):
    good = {name: str(each) for name, each in vars(track()).items()}
    table = "\n".join("\t".join(line) for line in (good, (good | {column: value}).values()))
    (tmp_path / "corpus.tsv").write_text(table)
    with pytest.raises(CorpusError, match=message) as caught:
        _ = read_list(tmp_path)
    assert "corpus.tsv line 2" in str(caught.value)


def test_a_table_with_other_columns_is_refused(tmp_path):
    write_list(small_list(), tmp_path)
    (tmp_path / "packages.tsv").write_text("name\tsplit\ngame\ttrain\n")
    with pytest.raises(CorpusError, match="must have the columns name, version, sha256, split, got name, split"):
        _ = read_list(tmp_path)


def test_a_line_with_a_column_too_few_is_refused(tmp_path):
    write_list(small_list(), tmp_path)
    with (tmp_path / "packages.tsv").open("a") as table:
        _ = table.write("third\t1.0\n")
    with pytest.raises(CorpusError, match=r"packages\.tsv line 4 must have 4 columns, got 2"):
        _ = read_list(tmp_path)


def test_what_is_heard_in_training_never_comes_back_in_a_test():
    good = small_list()
    check_splits(good)
    first, second, third = good.tracks
    game, other = good.packages
    bad = {
        "game is listed 2 times": Corpus(good.tracks, (game, replace(game, split="val"))),
        "same file as game/music/a.ogg in train": replace(good, tracks=(first, replace(third, sha256=first.sha256))),
        "packages.tsv has 1.0-1 in train": replace(good, tracks=(first, replace(second, split="test"))),
        "packages.tsv has 2:3 in test": replace(good, tracks=(replace(third, version="2:4"),)),
        "packages.tsv has no such package": replace(good, packages=(game,)),
        "listed 2 times; list it once": replace(good, tracks=(first, replace(first, seconds=1.0))),
        "a split is one of train": Corpus((replace(first, split="tests"),), (game, other)),
    }
    for message, corpus in bad.items():
        with pytest.raises(CorpusError, match=message):
            check_splits(corpus)


def test_the_same_file_twice_in_one_split_is_no_leak():
    one, two, _ = small_list().tracks
    check_splits(Corpus((one, replace(two, sha256=one.sha256)), small_list().packages))


def test_a_split_takes_its_packages_along():
    part = small_list().split("test")
    assert [each.package for each in part.tracks] == [package.name for package in part.packages] == ["other"]
    with pytest.raises(CorpusError, match="train, val, test, test-beats, got 'tets'"):
        _ = small_list().split("tets")


@needs_dpkg
def test_a_fetch_writes_the_listed_tracks_and_nothing_else(tmp_path):
    corpus = build(tmp_path)
    seen: list[tuple[str, int, int]] = []
    folders = fetch(corpus, tmp_path / "root", debs=tmp_path, watch=lambda *step: seen.append(step))
    assert folders == (tmp_path / "root" / "game",)
    assert files_in(tmp_path / "root") == {f"game/{path}": data for path, data in TRACKS.items()}
    assert not list(tmp_path.rglob("*escaped*"))
    assert seen == [("game", 0, 1), ("", 1, 1)]


@needs_dpkg
def test_a_finished_package_is_not_touched_again(tmp_path, monkeypatch):
    corpus = build(tmp_path)
    _ = fetch(corpus, tmp_path / "root", debs=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "root").rglob("*")}
    monkeypatch.setenv("PATH", str(tmp_path / "nothing-here"))
    _ = fetch(corpus, tmp_path / "root")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "root").rglob("*")} == before


@needs_dpkg
def test_a_fetch_that_was_cut_off_is_done_again(tmp_path):
    corpus = build(tmp_path)
    done = tmp_path / "root/game/usr/share/game/one.ogg"
    done.parent.mkdir(parents=True)
    done.write_bytes(b"fir")
    _ = fetch(corpus, tmp_path / "root", debs=tmp_path)
    assert files_in(tmp_path / "root") == {f"game/{path}": data for path, data in TRACKS.items()}


@needs_dpkg
def test_two_fetches_at_once_bring_each_track_once(tmp_path, monkeypatch):
    corpus, extract = build(tmp_path), ostinato.corpus._extract

    def meanwhile(*what: Any) -> None:
        monkeypatch.setattr(ostinato.corpus, "_extract", extract)
        extract(*what)
        _ = fetch(corpus, tmp_path / "root", debs=tmp_path)

    monkeypatch.setattr(ostinato.corpus, "_extract", meanwhile)
    _ = fetch(corpus, tmp_path / "root", debs=tmp_path)
    assert files_in(tmp_path / "root") == {f"game/{path}": data for path, data in TRACKS.items()}


@needs_dpkg
@pytest.mark.parametrize("moment", [1, 2], ids=["once it has looked", "before it puts its own there"])
def test_another_fetch_may_be_quicker_at_any_moment(tmp_path, monkeypatch, moment):
    corpus, move, moved = build(tmp_path), os.replace, []
    (tmp_path / "root" / "game").mkdir(parents=True)

    def meanwhile(source: Path, target: Path) -> None:
        moved.append(target)
        if len(moved) == moment:
            _ = fetch(corpus, tmp_path / "root", debs=tmp_path)
        move(source, target)

    monkeypatch.setattr(os, "replace", meanwhile)
    _ = fetch(corpus, tmp_path / "root", debs=tmp_path)
    assert files_in(tmp_path / "root") == {f"game/{path}": data for path, data in TRACKS.items()}


@needs_dpkg
def test_a_place_that_takes_no_music_is_one_line(tmp_path):
    corpus = build(tmp_path)
    _ = (tmp_path / "file").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"cannot fetch game into .*root: Not a directory"):
        _ = fetch(corpus, tmp_path / "file" / "root", debs=tmp_path)


@needs_dpkg
def test_other_bytes_than_listed_are_refused_and_nothing_stays(tmp_path):
    corpus = build(tmp_path)
    package, (one, two) = corpus.packages[0], corpus.tracks
    bad = {
        "game_1.0-1_all.deb is not the listed package": replace(corpus, packages=(replace(package, sha256=sha(b"?")),)),
        "two.ogg is not the listed track": replace(corpus, tracks=(one, replace(two, sha256=sha(b"?")))),
        "lacks 1 of 2 listed tracks, such as usr/three.ogg": replace(corpus, tracks=(one, track("usr/three.ogg"))),
    }
    for message, wrong in bad.items():
        with pytest.raises(CorpusError, match=message):
            _ = fetch(wrong, tmp_path / "root", debs=tmp_path)
        assert list((tmp_path / "root").iterdir()) == []


@needs_dpkg
def test_a_damaged_package_is_named(tmp_path):
    corpus = build(tmp_path)
    deb = tmp_path / "game_1.0-1_all.deb"
    deb.write_bytes(deb.read_bytes()[:900])
    corpus = replace(corpus, packages=(replace(corpus.packages[0], sha256=sha(deb.read_bytes())),))
    with pytest.raises(CorpusError, match=r"game_1\.0-1_all\.deb (is damaged|lacks)"):
        _ = fetch(corpus, tmp_path / "root", debs=tmp_path)


@needs_dpkg
def test_a_package_is_asked_for_in_its_version_and_deleted_after_use(tmp_path, monkeypatch):
    corpus = build(tmp_path, version="2:1.0-1")
    script = f'echo "$@" > {tmp_path}/asked; cp {tmp_path}/*.deb .'
    fake_program(tmp_path / "bin", "apt-get", script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    _ = fetch(corpus, tmp_path / "root")
    assert (tmp_path / "asked").read_text() == "download game=2:1.0-1\n"
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["game"]


def test_a_version_that_cannot_be_had_is_told_with_the_cure(tmp_path, monkeypatch):
    fake_program(tmp_path / "bin", "apt-get", "echo \"E: Version '1.0-1' for 'game' was not found\" >&2; exit 100")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(CorpusError, match=r"cannot download game=1.0-1 \(E: Version .* use Debian 12"):
        _ = fetch(small_list(), tmp_path / "root")


def test_without_apt_get_the_message_says_where_to_run(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPartError, match="'apt-get' is not installed: the corpus is made of Debian packages"):
        _ = fetch(small_list(), tmp_path / "root")


def test_names_take_the_folder_only_where_titles_meet():
    tracks = [track("a/song.ogg"), track("b/song.ogg"), track("b/other.ogg"), track("c/song.ogg", package="more")]
    assert list(names(tracks).values()) == ["game__a_song", "game__b_song", "game__other", "more__song"]


def test_the_thanks_name_title_author_and_licence_of_what_was_trained_on():
    page = attribution(small_list())
    assert "these 2 pieces" in page
    assert "## [game](https://packages.debian.org/bookworm/game) 1.0-1" in page
    assert "- By Ann Bee, under [CC-BY-SA-3.0](https://creativecommons.org/licenses/by-sa/3.0/): a." in page
    assert "- By Ann Bee, under [Expat](https://opensource.org/license/mit): b." in page
    assert "other" not in page


def test_an_unknown_licence_is_not_trained_on():
    corpus = replace(small_list(), tracks=(track(licence="CC-BY-NC-3.0"),))
    with pytest.raises(CorpusError, match=r"game/music/a\.ogg is under 'CC-BY-NC-3.0'"):
        _ = attribution(corpus)


def test_the_shipped_list_keeps_each_package_in_one_split():
    corpus = read_list(SHIPPED)
    homes = {name: {each.split for each in corpus.tracks if each.package == name} for name in names_of(corpus)}
    assert all(len(splits) == 1 for splits in homes.values())
    assert {split for splits in homes.values() for split in splits} == set(SPLITS)
    assert homes.keys() == {package.name for package in corpus.packages}


def test_the_shipped_list_trains_on_allowed_licences_alone():
    licences = {each.licence for each in read_list(SHIPPED).split("train").tracks}
    assert licences <= set(LICENCES)
    assert not any("NC" in licence or "ND" in licence for licence in licences)


def test_the_shipped_list_gives_each_track_its_own_name():
    called = names(read_list(SHIPPED).tracks)
    assert len({name.casefold() for name in called.values()}) == len(called)


def test_the_shipped_thanks_are_those_of_the_shipped_list():
    page = (INSIDE / "weights/default/ATTRIBUTION.md").read_text(encoding="utf-8")
    assert page == attribution(read_list(SHIPPED))


def test_the_shipped_loop_was_never_trained_on_and_has_no_seam():
    source = next(each for each in read_list(SHIPPED).tracks if each.title == "hr3-rlyeh")
    assert source.split == "test"
    assert source.path in (INSIDE / "assets/LICENSE.md").read_text(encoding="utf-8")
    wave, rate = soundfile.read(INSIDE / "assets/loop.flac", always_2d=True)
    assert (rate, wave.shape) == (44100, (16 * 17640, 2))
    steps = abs(wave[1:] - wave[:-1])
    assert (abs(wave[0] - wave[-1]) < 4 * steps.mean(0)).all()


def names_of(corpus: Corpus) -> set[str]:
    return {each.package for each in corpus.tracks}
