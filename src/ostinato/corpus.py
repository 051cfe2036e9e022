"""The music to train on: a list of tracks inside Debian packages, how to fetch it, and whom to thank.

A list is two tables side by side, `corpus.tsv` (a track a line) and `packages.tsv` (a package a line),
with checksums for both, so that everyone trains on the same bytes.
"""

import csv
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias, TypeVar

from .audiofile import sha256
from .errors import CorpusError, MissingPartError
from .whole import whole

SPLITS = ("train", "val", "test", "test-beats")
ARCHIVES = (".zip", ".pk3")
CHUNK = 1 << 20

LICENCES = {
    "BSD-2-Clause": "https://opensource.org/license/bsd-2-clause",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-3.0 or CC0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-3.0": "https://creativecommons.org/licenses/by-sa/3.0/",
    "CC-BY-SA-3.0+": "https://creativecommons.org/licenses/by-sa/3.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "Expat": "https://opensource.org/license/mit",
    "GPL-3 or CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "public-domain": "https://creativecommons.org/publicdomain/mark/1.0/",
}

_DEBIAN_NAME = (r"[a-z0-9][a-z0-9+.-]+", "be the name of a Debian package")
RULES = {
    "package": _DEBIAN_NAME,
    "name": _DEBIAN_NAME,
    "version": (r"[0-9][A-Za-z0-9.+:~-]*", "be the version of a Debian package"),
    "path": (r"(?!/)(?!(.*/)?\.{0,2}(/|$))[^\\]+", "be a path that stays inside its folder"),
    "sha256": (r"[0-9a-f]{64}", "be 64 hexadecimal digits"),
}

Read: TypeAlias = Callable[[int], bytes]
Progress: TypeAlias = Callable[[str, int, int], None]
Row = TypeVar("Row", "Track", "Package")


@dataclass(frozen=True)
class Track:
    """A piece of music in a package; `path` goes on inside an archive: `share/data.zip/music/a.ogg`.

    `seconds` is the length, `sample_rate` in Hz; `sha256` is that of the track's file as extracted.
    """

    package: str
    version: str
    path: str
    seconds: float
    sample_rate: int
    channels: int
    licence: str
    attribution: str
    split: str
    sha256: str

    @property
    def title(self) -> str:
        """The name of the file without its ending."""
        return PurePosixPath(self.path).stem


@dataclass(frozen=True)
class Package:
    """A Debian package of one version: all its tracks are in one split; `sha256` is that of the .deb."""

    name: str
    version: str
    sha256: str
    split: str


@dataclass(frozen=True)
class Corpus:
    """The tracks and the packages that hold them."""

    tracks: tuple[Track, ...]
    packages: tuple[Package, ...]

    def of(self, package: Package) -> tuple[Track, ...]:
        """The tracks that come in `package`."""
        return tuple(track for track in self.tracks if track.package == package.name)

    def split(self, *names: str) -> "Corpus":
        """What belongs to the splits called `names`.

        Raises:
            CorpusError: no split has that name.
        """
        for name in names:
            if name not in SPLITS:
                raise CorpusError(f"a split is one of {', '.join(SPLITS)}, got '{name}'")
        tracks = tuple(track for track in self.tracks if track.split in names)
        return Corpus(tracks, tuple(package for package in self.packages if package.split in names))


def read_list(folder: Path | str) -> Corpus:
    """Read `corpus.tsv` and `packages.tsv` in `folder`, and check them with `check_splits`.

    Raises:
        CorpusError: a table is missing, a line is not what the columns say, or what `check_splits` raises.
    """
    corpus = Corpus(
        tuple(_rows(Path(folder) / "corpus.tsv", Track)), tuple(_rows(Path(folder) / "packages.tsv", Package))
    )
    check_splits(corpus)
    return corpus


def write_list(corpus: Corpus, folder: Path | str) -> None:
    """Write the two tables that `read_list` reads, sorted, into `folder`."""
    order = {name: place for place, name in enumerate(SPLITS)}
    tracks = sorted(corpus.tracks, key=lambda track: (order[track.split], track.package, track.path))
    packages = sorted(corpus.packages, key=lambda package: (order[package.split], package.name))
    Path(folder).mkdir(parents=True, exist_ok=True)
    _write_rows(Path(folder) / "corpus.tsv", Track, tracks)
    _write_rows(Path(folder) / "packages.tsv", Package, packages)


def check_splits(corpus: Corpus) -> None:
    """Hold the list to its laws: nothing that is heard in training may come back in a test.

    Raises:
        CorpusError: a package or a file's content is in two splits, a track's package is not listed with
            that version, a track or a package is listed twice, or a split is unknown.
    """
    packages = {package.name: package for package in corpus.packages}
    for what, count in Counter(package.name for package in corpus.packages).items():
        if count > 1:
            raise CorpusError(f"package {what} is listed {count} times; a package belongs to one split")
    places = Counter(_place(track) for track in corpus.tracks)
    heard: dict[str, Track] = {}
    for track in corpus.tracks:
        where = _place(track)
        if track.split not in SPLITS:
            raise CorpusError(f"{where} is in split '{track.split}'; a split is one of {', '.join(SPLITS)}")
        if places[where] > 1:
            raise CorpusError(f"{where} is listed {places[where]} times; list it once")
        home = packages.get(track.package)
        if home is None or (home.version, home.split) != (track.version, track.split):
            has = f"{home.version} in {home.split}" if home else "no such package"
            raise CorpusError(f"{where} is of {track.version} in {track.split}, but packages.tsv has {has}")
        twin = heard.setdefault(track.sha256, track)
        if twin.split != track.split:
            raise CorpusError(f"{where} in {track.split} is the same file as {_place(twin)} in {twin.split}")


def fetch(
    corpus: Corpus, root: Path | str, *, debs: Path | str | None = None, watch: Progress | None = None
) -> tuple[Path, ...]:
    """Bring every package of `corpus` and lay its tracks out as `root/<package>/<path>`.

    A package whose tracks are all there with the right checksums is skipped, so a fetch that was cut off
    goes on where it stopped. Nothing but listed tracks is written.

    Args:
        debs: a folder in which `.deb` files are looked for first and kept; without it they are deleted
            after use.
        watch: called as `watch(package name, packages done, packages in all)`.

    Returns:
        The folder of each package.

    Raises:
        MissingPartError: `apt-get` or `dpkg-deb` is not installed.
        CorpusError: a package cannot be had in its version, bytes differ from their checksum, or files cannot be
            written there.
    """
    folders = []
    for done, package in enumerate(corpus.packages):
        if watch:
            watch(package.name, done, len(corpus.packages))
        try:
            folders.append(_fetch_one(package, corpus.of(package), Path(root), Path(debs) if debs else None))
        except OSError as error:
            raise CorpusError(f"cannot fetch {package.name} into {root}: {error.strerror}") from None
    if watch:
        watch("", len(corpus.packages), len(corpus.packages))
    return tuple(folders)


def names(tracks: Iterable[Track]) -> dict[Track, str]:
    """A file name without ending for each track: package and title, and the folder where that is not enough."""
    every = tuple(tracks)
    short = Counter((track.package, track.title) for track in every)
    return {track: _name(track, alone=short[track.package, track.title] == 1) for track in every}


def attribution(corpus: Corpus) -> str:
    """A page in Markdown that names title, author, source and licence of each training track.

    Raises:
        CorpusError: a licence is not one that this project trains on.
    """
    tracks = corpus.split("train").tracks
    hours = sum(track.seconds for track in tracks) / 3600
    groups: dict[tuple[str, str], dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    for track in sorted(tracks, key=lambda track: (track.package, track.path)):
        if track.licence not in LICENCES:
            raise CorpusError(
                f"{_place(track)} is under '{track.licence}', which is not one to train on; "
                f"there are: {', '.join(LICENCES)}"
            )
        groups[track.package, track.version][track.licence, track.attribution].append(track.title)
    lines = [
        "# Attribution",
        "",
        f"The default model was trained on these {len(tracks)} pieces of music ({hours:.1f} hours), with thanks to",
        "those who made them and gave them away. Each heading is a Debian package and version. They were set to",
        "one loudness, resampled and cut into excerpts.",
    ]
    for (package, version), licences in groups.items():
        lines += ["", f"## [{package}](https://packages.debian.org/bookworm/{package}) {version}", ""]
        for (licence, author), titles in licences.items():
            lines += [f"- By {author}, under [{licence}]({LICENCES[licence]}): {'; '.join(titles)}."]
    return "\n".join(lines) + "\n"


def _fetch_one(package: Package, tracks: Sequence[Track], root: Path, debs: Path | None) -> Path:
    folder = root / package.name
    if _there(folder, tracks):
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".deb-") as spare:
        deb, whole = _bring(package, debs or Path(spare)), Path(spare) / "tracks"
        _extract(deb, {track.path: track for track in tracks}, whole)
        if not _there(folder, tracks):  # another fetch may have brought them
            with suppress(FileNotFoundError):
                os.replace(folder, Path(spare) / "before")
            try:
                os.replace(whole, folder)
            except OSError:
                if not _there(folder, tracks):  # or does so just now
                    raise
    return folder


def _there(folder: Path, tracks: Sequence[Track]) -> bool:
    return all(_is(folder / track.path, track.sha256) for track in tracks)


def _bring(package: Package, folder: Path) -> Path:
    """The package's `.deb` in `folder`, downloaded if it is not there yet, its checksum right."""
    folder.mkdir(parents=True, exist_ok=True)
    pattern = f"{package.name}_{package.version.replace(':', '%3a')}_*.deb"
    if not any(folder.glob(pattern)):
        with tempfile.TemporaryDirectory(dir=folder, prefix=".half-") as half:
            _download(package, Path(half))
            for deb in Path(half).glob(pattern):
                os.replace(deb, folder / deb.name)
    deb = next(folder.glob(pattern), None)
    if deb is None:
        raise CorpusError(f"apt-get brought no {pattern} for {package.name}; run 'apt-get update' and try again")
    if not _is(deb, package.sha256):
        raise CorpusError(f"{deb} is not the listed package: its sha256 differs; delete it and fetch again")
    return deb


def _download(package: Package, folder: Path) -> None:
    wanted = f"{package.name}={package.version}"
    command = [_program("apt-get"), "download", wanted]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        reason = next((line for line in result.stderr.splitlines() if line.startswith("E:")), "it gave no reason")
        raise CorpusError(
            f"apt-get cannot download {wanted} ({reason}); use Debian 12 (bookworm) and run 'apt-get update' first"
        )


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise MissingPartError(
            f"'{name}' is not installed: the corpus is made of Debian packages; run on Debian 12 or in its container "
            "(docker run -it debian:12), or train on a folder of your own audio"
        )
    return found


def _extract(deb: Path, wanted: dict[str, Track], folder: Path) -> None:
    """Write the wanted files of a package, and of the archives in it, under `folder`."""
    left = set(wanted)
    folder.mkdir()
    program = [_program("dpkg-deb"), "--fsys-tarfile", str(deb)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as unpacked:
        try:
            with tarfile.open(fileobj=unpacked.stdout, mode="r|", bufsize=CHUNK) as tar:
                for path, read in _members(tar, left, folder):
                    _copy(read, folder / path, wanted[path])
                    left.discard(path)
                    if not left:
                        break
        except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
            raise CorpusError(f"{deb.name} is damaged ({error}); delete it and fetch again") from error
        finally:
            unpacked.terminate()
    if left:
        raise CorpusError(f"{deb.name} lacks {len(left)} of {len(wanted)} listed tracks, such as {min(left)}")


def _members(tar: tarfile.TarFile, wanted: set[str], spare: Path) -> Iterator[tuple[str, Read]]:
    """The wanted files of a package with their paths, looking into the archives that hold some."""
    for member in tar:
        path = member.name.removeprefix("./")
        source = tar.extractfile(member) if member.isfile() else None
        if source is None:
            continue
        if path in wanted:
            yield path, source.read
        elif path.endswith(ARCHIVES) and any(each.startswith(f"{path}/") for each in wanted):
            with tempfile.TemporaryFile(dir=spare) as seekable:
                shutil.copyfileobj(source, seekable, CHUNK)
                with zipfile.ZipFile(seekable) as archive:
                    for inner in sorted(set(archive.namelist())):
                        if f"{path}/{inner}" in wanted:
                            with archive.open(inner) as opened:
                                yield f"{path}/{inner}", opened.read


def _copy(read: Read, target: Path, track: Track) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("wb") as out:
        while block := read(CHUNK):
            digest.update(block)
            _ = out.write(block)
    if digest.hexdigest() != track.sha256:
        raise CorpusError(f"{_place(track)} is not the listed track: its sha256 differs")


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest


def _place(track: Track) -> str:
    return f"{track.package}/{track.path}"


def _name(track: Track, *, alone: bool) -> str:
    title = track.title if alone else f"{PurePosixPath(track.path).parent.name}_{track.title}"
    return f"{track.package}__{title}"


def _rows(path: Path, kind: type[Row]) -> Iterator[Row]:
    if not path.is_file():
        raise CorpusError(f"no corpus list at {path}; a list is a folder with corpus.tsv and packages.tsv")
    columns = {field.name: field.type for field in fields(kind)}
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        header = next(lines, [])
        if header != list(columns):
            raise CorpusError(f"{path} must have the columns {', '.join(columns)}, got {', '.join(header) or 'none'}")
        for number, line in enumerate(lines, 2):
            yield _row(f"{path} line {number}", kind, columns, line)


def _row(where: str, kind: type[Row], columns: dict[str, Any], line: list[str]) -> Row:
    if len(line) != len(columns):
        raise CorpusError(f"{where} must have {len(columns)} columns, got {len(line)}")
    values = dict(zip(columns, line, strict=True))
    for name, (pattern, rule) in RULES.items():
        if name in values and not re.fullmatch(pattern, values[name]):
            raise CorpusError(f"{where} has {name} '{values[name]}'; it must {rule}")
    try:
        return kind(**{name: convert(values[name]) for name, convert in columns.items()})
    except ValueError as error:
        raise CorpusError(f"{where} is not a {kind.__name__.lower()}: {error}") from error


def _write_rows(path: Path, kind: type[Row], rows: Sequence[Row]) -> None:
    with whole(path, CorpusError) as half, half.open("w", encoding="utf-8", newline="") as file:
        _ = file.write("\t".join(field.name for field in fields(kind)) + "\n")
        for row in rows:
            _ = file.write("\t".join(str(value) for value in astuple(row)) + "\n")
