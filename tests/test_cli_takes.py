"""The tree of takes on the command line: going on, locking, undoing, blending and telling from hop to hop."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from ostinato import audiofile
from ostinato.audiofile import Writer
from ostinato.cli import main
from ostinato.pipeline import load
from ostinato.prompts import Prompt
from ostinato.sampling import Confidence
from ostinato.takes import read_take, usual_loudness
from ostinato.tree import lineage, parent, tree
from ostinato.types import Audio
from tests.tiny import write_model

RATE = 44100
QUICK = ("--steps", 2, "--fine", "steps=1")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False)


def data(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def complaint(*arguments: object) -> str:
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    return result.stderr


@pytest.fixture
def desk(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with half a second of stereo called loop.wav and the tiny model beside it."""
    wave = torch.rand(1, 2, RATE // 2, generator=torch.Generator().manual_seed(0)).sub(0.5) / 16
    (tmp_path / "desk").mkdir()
    _ = audiofile.write(tmp_path / "desk/loop.wav", Audio(wave, RATE))
    _ = shutil.copytree(tiny_model, tmp_path / "tiny")
    monkeypatch.chdir(tmp_path / "desk")
    return tmp_path / "desk"


def vary(*arguments: object) -> dict[str, Any]:
    model = () if "--from" in arguments else ("--model", "../tiny")
    return data("vary", *arguments, *QUICK, *model)


FAMILY = [
    ("loop.wav", "-o", "a.wav", "--seed", 3),
    ("--from", "a.wav", "-o", "b.flac", "--hide", "inpaint:start=0.1,end=0.3", "--lock", "prefix:seconds=0.1"),
    ("--from", "b.flac", "-o", "c.wav", "--preset", "unconditional", "--seed", 5, "--redraw"),
    ("--from", "c.wav", "-o", "d.wav", "--unlock", "--feedback", 2, "--lock", "coarsest:codebooks=1"),
    ("loop.wav", "-o", "e.wav", "--preset", "unconditional", "--loop", "--loudness", -30),
    ("--from", "e.wav", "-o", "f.wav", "--keep", "periodic:period=3"),
]


@pytest.fixture
def family(desk: Path) -> Path:
    for each in FAMILY:
        assert vary(*each)["notes"] == []
    _ = data("blend", "a.wav", "c.wav", "-o", "g.wav", "--mix", "finer:first=3", "--mix", "random:share=0.5,seed=2")
    return desk


def test_info_tells_the_command_that_makes_each_take_again_bit_for_bit(family: Path):
    for name in ("a.wav", "b.flac", "c.wav", "d.wav", "e.wav", "f.wav", "g.wav"):
        before = Path(name).read_bytes()
        told = data("info", name)
        assert told["notes"] == []
        assert len(json.dumps(told)) < 4000
        Path(name).unlink()
        result = run(*shlex.split(told["command"])[1:])
        assert result.exit_code == 0, result.stderr
        assert Path(name).read_bytes() == before, told["command"]
    text = run("info", "d.wav").stdout
    assert "c.wav < b.flac < a.wav < loop.wav" in text
    assert "ostinato blend a.wav c.wav -o g.wav" in run("info", "g.wav").stdout


def test_tokens_and_locks_pass_from_file_to_file(family: Path):
    takes = {path.stem: read_take(path) for path in family.iterdir() if path.stem in "abcd"}
    assert (takes["b"].codes == takes["a"].codes)[~takes["b"].mask].all()
    held = takes["b"].locked
    assert held is not None
    assert not takes["c"].mask[:, held].any()
    assert torch.equal(takes["c"].locked, held)
    assert not torch.equal(takes["d"].locked, held)
    assert takes["b"].parent == audiofile.sha256("a.wav")


def test_the_tree_shows_what_came_from_what(family: Path):
    lines = run("takes").stdout.splitlines()
    names = [(line.index(name), name) for line in lines for name in [line.strip("│├└─ ").split(" ")[0]]]
    assert [name for _, name in names] == [
        ".", "loop.wav", "a.wav", "b.flac", "c.wav", "d.wav", "g.wav", "e.wav", "f.wav",
    ]  # fmt: skip
    depth = {name: (column + 3) // 4 for column, name in names}
    assert [depth[name] for name in ("loop.wav", "a.wav", "g.wav", "b.flac", "c.wav", "d.wav", "f.wav")] == [
        1, 2, 3, 3, 4, 5, 3,
    ]  # fmt: skip
    assert any("g.wav" in line and "with c.wav" in line for line in lines)
    rows = {row["name"]: row for row in data("takes", family)["takes"]}
    assert rows["b.flac"]["parent"] == rows["a.wav"]["sha256"]
    assert rows["loop.wav"]["parent"] is None


def test_a_tree_with_missing_parents_still_prints(family: Path):
    for name in ("loop.wav", "b.flac"):
        Path(name).unlink()
    _ = Path("noise.wav").write_bytes(b"no sound")
    Path("a.wav").rename("renamed.wav")
    lines = run("takes").stdout.splitlines()
    assert sum("(not here)" in line for line in lines) == 2
    assert [each.path for each in tree(family)] == [None, None]
    assert [each.link.name for each in lineage("d.wav")] == ["d.wav", "c.wav", "b.flac"]
    assert lineage("d.wav")[-1].path is None
    assert "c.wav < b.flac (not here)" in run("info", "d.wav").stdout
    assert parent(family / "g.wav").name == "renamed.wav"


def test_an_empty_folder_has_no_takes(tmp_path: Path):
    assert run("takes", tmp_path).stdout == f"there are no takes in {tmp_path}\n"
    assert f"there is no folder {tmp_path}/none" in complaint("takes", tmp_path / "none")


def test_undo_walks_to_the_parent_whatever_it_is_called_now(family: Path):
    assert run("undo", "c.wav").stdout == "b.flac\n"
    Path("b.flac").rename("z.flac")
    assert run("undo", "c.wav", "-o", "back.flac").stdout == "back.flac\n"
    assert Path("back.flac").read_bytes() == Path("z.flac").read_bytes()
    Path("z.flac").unlink()
    Path("back.flac").unlink()
    assert "c.wav was made from b.flac (sha256 " in complaint("undo", "c.wav")
    _ = shutil.copyfile("a.wav", "b.flac")
    assert "the file of that name beside it is another one" in complaint("undo", "c.wav")
    assert "loop.wav is not a take of ours" in complaint("undo", "loop.wav")
    assert "is the input" in complaint("undo", "b.flac", "-o", "b.flac")


@pytest.mark.parametrize(
    "mix",
    [
        ("--mix", "beats:after=40", "--bpm", 240, "--offset", 0.05),
        ("--mix", "bars:which=1,beats=2", "--taps", "0.1,0.2,0.3", "--meter", "3/4"),
        ("--mix", "downbeats", "--beats", "labels.txt"),
        ("--mix", "surprising:share=0.3"),
    ],
)
def test_a_blend_goes_by_whatever_can_be_heard_and_is_made_again(family: Path, mix: tuple[object, ...]):
    _ = Path("labels.txt").write_text("0.1\t0.1\t1.1\n0.3\t0.3\t1.2\n")
    made = data("blend", "a.wav", "c.wav", "-o", "x.wav", *mix)
    assert 0 < made["share"] < 1
    before, told = Path("x.wav").read_bytes(), data("info", "x.wav")
    assert told["notes"] == []
    Path("x.wav").unlink()
    assert run(*shlex.split(told["command"])[1:]).exit_code == 0
    assert Path("x.wav").read_bytes() == before, told["command"]


def test_a_blend_refuses_beats_that_nothing_asks_for_or_that_are_not_there(family: Path):
    said = complaint("blend", "a.wav", "c.wav", "-o", "x.wav", "--mix", "all", "--bpm", 100)
    assert "add --mix beats" in said
    said = complaint("blend", "a.wav", "c.wav", "-o", "x.wav", "--mix", "bars:which=9", "--bpm", 120)
    assert "bars which=9 is outside the clip" in said


def test_a_take_without_its_tokens_is_encoded_again_and_that_is_said(family: Path):
    _ = audiofile.write("bare.wav", audiofile.read("a.wav"))
    made = data("vary", "--from", "bare.wav", "-o", "x.wav", *QUICK, "--model", "../tiny")
    assert made["notes"] == ["note: bare.wav carries no tokens that fit its sound; it was encoded again"]
    told = data("blend", "bare.wav", "a.wav", "-o", "y.wav", "--mix", "all", "--model", "../tiny")
    assert len(told["notes"]) == 1
    assert torch.equal(audiofile.read("y.wav").wave, audiofile.read("a.wav").wave)


def test_what_does_not_go_together_is_refused_by_name(family: Path, tmp_path: Path):
    _ = write_model(tmp_path / "other", seed=1)
    said = complaint("vary", "--from", "a.wav", "-o", "x.wav", "--model", "../other")
    assert "a.wav has tokens of another codec" in said
    assert "model 'other'" in said
    _ = data("vary", "loop.wav", "-o", "o.wav", *QUICK, "--model", "../other")
    assert "o.wav has tokens of another codec" in complaint("blend", "a.wav", "o.wav", "-o", "x.wav", "--mix", "all")
    assert "must agree in their circular" in complaint("blend", "a.wav", "e.wav", "-o", "x.wav", "--mix", "all")
    assert "a.wav have two ends" in complaint("vary", "--from", "a.wav", "-o", "x.wav", "--loop")
    assert "one of them; got neither" in complaint("vary", "-o", "x.wav")
    assert "one of them; got both" in complaint("vary", "loop.wav", "--from", "a.wav", "-o", "x.wav")
    assert "all that the prompt hides is locked" in complaint(
        "vary", "--from", "b.flac", "-o", "x.wav", "--hide", "inpaint:end=0.05"
    )
    assert "a.wav is the input" in complaint("blend", "b.flac", "a.wav", "-o", "a.wav", "--mix", "all")
    assert not Path("x.wav").exists()


def telephone(*arguments: object) -> dict[str, Any]:
    return data("telephone", "loop.wav", "-o", "hops", "--model", "../tiny", *QUICK, *arguments)


def test_every_hop_is_a_take_of_the_one_before_and_as_loud_as_the_input(desk: Path):
    made = telephone("--hops", 3, "--seed", 7, "--lock", "prefix:seconds=0.1", "--preset", "unconditional")
    hops = sorted(Path("hops").glob("*.wav"))
    assert [hop.name for hop in hops] == ["hop-001.wav", "hop-002.wav", "hop-003.wav"]
    takes = [read_take(hop) for hop in hops]
    assert [take.seed for take in takes] == [7, 8, 9]
    assert [take.parent for take in takes[1:]] == [audiofile.sha256(hop) for hop in hops[:2]]
    loudness = usual_loudness([audiofile.read("loop.wav")])
    assert made["loudness"] == loudness
    assert all(abs((usual_loudness([take.audio]) or 0) - (loudness or 0)) < 0.5 for take in takes)
    assert not any(take.mask[:, take.locked].any() for take in takes if take.locked is not None)
    how = {"sampler": Confidence(steps=2, temperature=0.85), "finisher": Confidence(steps=1), "loudness": loudness}
    assert torch.equal(load("../tiny").vary(takes[0], Prompt(), seed=8, **how).codes, takes[1].codes)


def test_each_hop_can_be_made_again_alone(desk: Path, monkeypatch: pytest.MonkeyPatch):
    _ = data("telephone", "loop.wav", "-o", "hops", "--model", desk.parent / "tiny", *QUICK, "--hops", 2)
    monkeypatch.chdir("hops")
    before = Path("hop-002.wav").read_bytes()
    command = data("info", "hop-002.wav")["command"]
    Path("hop-002.wav").unlink()
    assert run(*shlex.split(command)[1:]).exit_code == 0
    assert Path("hop-002.wav").read_bytes() == before


def test_a_telephone_is_taken_up_where_it_was_left(desk: Path):
    _ = telephone("--hops", 2)
    times = {path.name: path.stat().st_mtime_ns for path in Path("hops").iterdir()}
    made = telephone("--hops", 3)
    assert [hop["made"] for hop in made["hops"]] == [False, False, True]
    assert all((Path("hops") / name).stat().st_mtime_ns == time for name, time in times.items())
    at_once = data("vary", "loop.wav", "-o", "all.wav", "--feedback", 3, *QUICK, "--model", "../tiny")
    assert at_once["takes"][0]["seed"] == 0
    assert torch.equal(read_take("all.wav").codes, read_take("hops/hop-003.wav").codes)
    said = complaint("telephone", "loop.wav", "-o", "hops", "--model", "../tiny", *QUICK, "--seed", 1)
    assert "hops holds the hops of another job (seed is 0 there and 1 here)" in said
    _ = shutil.copyfile("loop.wav", "hops/hop-002.wav")
    assert "hop-002.wav is no hop of this job" in complaint(
        "telephone", "loop.wav", "-o", "hops", "--model", "../tiny", *QUICK
    )


def test_what_is_done_to_the_sound_is_done_once(desk: Path, monkeypatch: pytest.MonkeyPatch):
    ways = ("--stretch", 1.5, "--pitch", 2, "--model", desk.parent / "tiny", *QUICK)
    _ = data("telephone", "loop.wav", "-o", "hops", "--hops", 2, *ways)
    first, second = (read_take(f"hops/hop-00{number}.wav") for number in (1, 2))
    assert first.audio.samples == second.audio.samples == 3 * (RATE // 2) // 2
    assert [first.settings["pitch"], first.settings["stretch"]] == [2, 1.5]
    assert not {"pitch", "stretch"} & set(second.settings)
    _ = data("telephone", "loop.wav", "-o", "beats", "--hops", 2, "--keep", "beats", "--bpm", 240, *ways[4:])
    monkeypatch.chdir("beats")
    assert "--bpm 240" in data("info", "hop-002.wav")["command"]


def test_ctrl_c_leaves_whole_hops(desk: Path, monkeypatch: pytest.MonkeyPatch):
    plain_write, blocks = Writer.write, []

    def stopped(self: Writer, audio: Audio) -> None:
        blocks.append(audio)
        if len(blocks) == 2:
            raise KeyboardInterrupt
        plain_write(self, audio)

    monkeypatch.setattr(Writer, "write", stopped)
    result = run("telephone", "loop.wav", "-o", "hops", "--model", "../tiny", *QUICK)
    assert result.exit_code == 130
    assert sorted(path.name for path in Path("hops").iterdir()) == ["hop-001.wav", "telephone.json"]
    assert read_take("hops/hop-001.wav").seed == 0
