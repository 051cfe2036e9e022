"""The command line: takes that can be made again, one line for each mistake, and nothing left half-written."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner, Result

from ostinato import audiofile, doctor, plot
from ostinato.cli import info as cli_info
from ostinato.cli import main
from ostinato.cli import vary as cli_vary
from ostinato.config import knobs
from ostinato.hints import hints
from ostinato.lm import MaskedModel
from ostinato.pipeline import COARSE
from ostinato.prompts import presets
from ostinato.resampling import join
from ostinato.sampling import samplers
from ostinato.types import Audio
from tests.test_audiofile import BAD

RATE = 44100
QUICK = ("--steps", 3, "--fine", "steps=2")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False)


def data(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


def complaint(result: Result) -> str:
    """The one line on stderr of a command that a user got wrong."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("ostinato: error: ")
    return result.stderr


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    """A second and a half of stereo noise that falls silent, in a folder of its own."""
    chance = torch.Generator().manual_seed(0)
    wave = torch.rand(1, 2, RATE * 3 // 2, generator=chance).sub(0.5) * torch.linspace(0.8, 0, RATE * 3 // 2)
    folder = tmp_path / "in"
    folder.mkdir()
    _ = audiofile.write(folder / "loop.wav", Audio(wave, RATE))
    return folder / "loop.wav"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def vary(loop: Path, out: Path, model: Path, *flags: object) -> Result:
    return run("vary", loop, "-o", out, "--model", model, *QUICK, *flags)


def test_takes_are_numbered_and_each_has_a_seed_of_its_own(loop: Path, out: Path, tiny_model: Path):
    made = data(vary(loop, out / "a.flac", tiny_model, "--takes", 3, "--seed", 7, "--json"))
    assert names(out) == ["a-1.flac", "a-2.flac", "a-3.flac"]
    assert [(Path(take["path"]).name, take["seed"]) for take in made["takes"]] == [
        ("a-1.flac", 7), ("a-2.flac", 8), ("a-3.flac", 9),
    ]  # fmt: skip
    waves = [audiofile.read(out / name).wave for name in names(out)]
    assert {wave.shape for wave in waves} == {(1, 2, RATE * 3 // 2)}
    assert not torch.equal(waves[0], waves[1])
    assert made["times_real_time"] > 0


def test_kept_stretches_are_the_samples_of_the_input_unless_they_are_drawn_again(
    loop: Path, out: Path, tiny_model: Path
):
    before = audiofile.read(loop).wave
    hole = ("--hide", "inpaint:start=0.5,end=0.7")
    for flags, silent in (((), True), (("--loop",), True), (("--redraw",), False), (("--redraw", "--loop"), False)):
        assert vary(loop, out / "a.wav", tiny_model, *hole, *flags).exit_code == 0
        less = audiofile.read(out / "a.wav").wave - before
        assert less[..., RATE // 2 : 7 * RATE // 10].any()
        assert less[..., : RATE // 2].any() != silent
        assert less[..., 3 * RATE // 4 :].any() != silent


@pytest.mark.parametrize("flags", [(), ("--loop",)])
def test_loud_inventions_do_not_turn_the_original_samples_down(
    loop: Path, out: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
):
    from ostinato.pipeline import Pipeline

    plain_decode = Pipeline.decode_blocks

    def louder(self: Pipeline, *args: Any) -> Iterator[Audio]:
        for piece in plain_decode(self, *args):
            yield Audio(piece.wave * 1000, piece.sample_rate)

    monkeypatch.setattr(Pipeline, "decode_blocks", louder)
    made = data(vary(loop, out / "a.wav", tiny_model, "--hide", "inpaint:start=0.5,end=0.7", "--json", *flags))
    assert made["takes"][0]["gain_db"] == 0
    after, before = (audiofile.read(path).wave for path in (out / "a.wav", loop))
    assert torch.equal(after[..., : RATE // 2], before[..., : RATE // 2])
    assert float(after.abs().max()) > 0.95


def test_a_take_alone_is_the_take_among_others(loop: Path, out: Path, tiny_model: Path):
    assert vary(loop, out / "a.wav", tiny_model, "--takes", 2, "--seed", 7).exit_code == 0
    assert vary(loop, out / "b.wav", tiny_model, "--seed", 8).exit_code == 0
    assert (out / "a-2.wav").read_bytes() == (out / "b.wav").read_bytes()


def test_for_people_it_names_the_files_and_the_pace(loop: Path, out: Path, tiny_model: Path):
    lines = vary(loop, out / "a.wav", tiny_model, "--takes", 2).stdout.splitlines()
    assert lines[:2] == [f"{out}/a-1.wav  (seed 0)", f"{out}/a-2.wav  (seed 1)"]
    assert lines[2].startswith("2 takes of 1.5 s in ")
    assert lines[2].endswith(" times real time")


@pytest.mark.parametrize("flags", [
    (),
    ("--preset", "unconditional"),
    ("--preset", "large-variation", "--seed", 11),
    ("--preset", "polish", "--hide", "inpaint:start=0.2,end=0.5"),
    ("--keep", "periodic:period=3,offset=1", "--keep", "prefix:seconds=0.25", "--hide", "finer:first=5"),
    ("--hide", "inpaint:start=0.5", "--temperature", 0.5, "--top-p", 0.9, "--fine", "typical=0.8,steps=3"),
    ("--fine", ""),
    ("--sampler", "halton", "--temperature", 0.9),
    ("--sampler", "levels:ratio=0.3,choice=2.0", "--top-p", 0.8, "--fine", "remask:steps=2,again=0.5"),
    ("--fine", "halton"),
    ("--deadline", "300ms"),
    ("--deadline", "900ms", "--sampler", "levels", "--fine", "one"),
    ("--cut", 2),
])  # fmt: skip
def test_info_tells_the_command_that_makes_a_take_again_bit_for_bit(
    loop: Path, out: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[object, ...]
):
    assert run("vary", loop, "-o", out / "a.wav", "--model", tiny_model, "--steps", 3, *flags).exit_code == 0
    told = data(run("info", out / "a.wav", "--json"))
    assert told["notes"] == []
    assert told["command"] in run("info", out / "a.wav").stdout
    first = (out / "a.wav").read_bytes()
    (out / "a.wav").unlink()
    _ = shutil.copy(loop, out)
    monkeypatch.chdir(out)
    program, *again = shlex.split(told["command"])
    assert program == "ostinato"
    assert run(*again).exit_code == 0
    assert (out / "a.wav").read_bytes() == first


def test_info_warns_when_a_take_cannot_be_made_again_here(loop: Path, out: Path, tiny_model: Path, tmp_path: Path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    assert vary(loop, out / "a.wav", model).exit_code == 0
    _ = audiofile.write(out / loop.name, Audio(torch.zeros(1, 1, 9), RATE))
    shutil.rmtree(model)
    stolen, lost = data(run("info", out / "a.wav", "--json"))["notes"]
    assert "is not the file it was made from" in stolen
    assert f"the model '{model}' is not here; the take needs " in lost


def test_a_loud_take_is_turned_down_and_says_so(
    loop: Path, out: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    from ostinato.pipeline import Pipeline

    plain_sound = Pipeline.sound

    def louder(self: Pipeline, *args: Any) -> Iterator[Audio]:
        wave = join(plain_sound(self, *args)).wave
        yield Audio(wave / wave.abs().max() * 2, RATE)

    monkeypatch.setattr(Pipeline, "sound", louder)
    result = vary(loop, out / "a.wav", tiny_model)
    assert "turned down by 6.02 dB so that it does not clip" in result.stdout
    assert "gain_db" in run("info", out / "a.wav", "--json").stdout


@pytest.mark.parametrize(("samples", "rate", "channels"), [
    (2205, 44100, 1), (400, 8000, 1), (9600, 192_000, 2), (1, 44100, 1), (12_001, 8000, 2),
])  # fmt: skip
def test_any_length_and_rate_comes_back_as_it_was(out: Path, tiny_model: Path, samples: int, rate: int, channels: int):
    wave = torch.rand(1, channels, samples, generator=torch.Generator().manual_seed(1)) - 0.5
    _ = audiofile.write(out / "in.wav", Audio(wave, rate))
    assert vary(out / "in.wav", out / "out.wav", tiny_model).exit_code == 0
    facts = audiofile.info(out / "out.wav")
    assert (facts.samples, facts.sample_rate, facts.channels) == (samples, rate, channels)


@pytest.mark.parametrize("verb", [("vary",), ("encode",), ("info",)])
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_sound_is_one_line_and_leaves_nothing(
    tmp_path: Path, out: Path, tiny_model: Path, kind: str, verb: tuple[str]
):
    if verb == ("info",) and kind in ("truncated", "nan", "infinity", "folder"):
        pytest.skip("info reads headers only")
    path = BAD[kind][0](tmp_path)
    target = {"vary": ["-o", out / "a.wav"], "encode": ["-o", out / "a.safetensors"]}.get(verb[0], [])
    assert str(path) in complaint(run(*verb, path, *target, *(["--model", tiny_model] if target else [])))
    assert names(out) == []


@pytest.mark.parametrize(("flags", "message"), [
    (("--keep", "periodc"), "no hint called 'periodc'; did you mean 'periodic'?"),
    (("--keep", "periodic:perod=7"), "Periodic has no setting 'perod'; did you mean 'period'?"),
    (("--keep", "periodic:period=0"), "Periodic.period must be at least 1 frames, got 0"),
    (("--keep", "periodic:period"), "settings are written knob=value with commas between, got 'period'"),
    (("--hide", "inpaint:start=9"), "inpaint start of 9 s is outside the clip; choose at most 1.5 s"),
    (("--keep", "prefix:seconds=2"), "prefix of 2 s is outside the clip; choose at most 1.5 s"),
    (("--hide", "finer:first=99"), "finer first=99 is outside the grid"),
    (("--preset", "smal variation"), "no preset called 'smal variation'; did you mean 'small variation'?"),
    (("--steps", "0"), "Confidence.steps must be between 1 and 512, got 0"),
    (("--steps", "many"), "'many' is not a valid integer"),
    (("--sampler", "haltn"), "no sampler called 'haltn'; did you mean 'halton'?"),
    (("--sampler", "halton:tilt=2"), "Halton.tilt must be between 0 and 1, got 2.0"),
    (("--sampler", "halton", "--choice", "3"), "Halton has no setting 'choice'; there are: temperature, "),
    (("--sampler", "one", "--steps", "3"), "One has no setting 'steps'; there are: temperature, "),
    (("--deadline", "0"), "a deadline must be more than 0 s, got 0 s"),
    (("--deadline", "-200ms"), "a deadline must be more than 0 s, got -0.2 s"),
    (("--deadline", "soon"), "a time is written like 1.8s, 900ms or 2min, got 'soon'"),
    (("--cut", "0"), "a cut must be at pass 1 or later, got 0"),
    (("--fine", "haltn"), "no sampler called 'haltn'"),
    (("--fine", "step=1"), "Confidence has no setting 'step'; did you mean 'steps'?"),
    (("--seed", "-1"), "a seed must be a whole number between 0 and 2**64 - 1, got -1"),
    (("--takes", "0"), "0 is not in the range"),
    (("--model", "nope"), "no model called 'nope'"),
    (("--plot", "a.jpg"), "cannot write a.jpg: the name must end in .png or .svg or .pdf"),
    (("--colour",), "No such option"),
])  # fmt: skip
def test_a_wrong_flag_is_one_line_and_leaves_nothing(
    loop: Path, out: Path, tiny_model: Path, flags: tuple[str, ...], message: str
):
    assert message in complaint(run("vary", loop, "-o", out / "a.wav", "--model", tiny_model, *flags))
    assert names(out) == []


def flags_of_numbers(group: click.Group, *words: str) -> Iterator[tuple[str, ...]]:
    """Every flag of every verb that takes a number with a point, after the words of its verb."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from flags_of_numbers(command, *words, name)
        for option in command.params:
            if isinstance(option.type, click.types.FloatParamType):
                yield (*words, name, option.opts[0])


@pytest.mark.parametrize("words", list(flags_of_numbers(main)), ids=" ".join)
def test_what_is_no_finite_number_is_refused_at_once(words: tuple[str, ...]):
    for value in ("nan", "inf", "-inf", "loud"):
        assert f"Invalid value for '{words[-1]}'" in complaint(run(*words, value))


@pytest.mark.parametrize("line", [
    "vary LOOP -o OUT/a.wav --loudness 3",
    "vary LOOP -o OUT/a.wav --loudness -71",
    "vary LOOP -o OUT/a.wav --dropout -0.1",
    "vary LOOP -o OUT/a.wav --stretch -1",
    "vary LOOP -o OUT/a.wav --pitch -25",
    "vary LOOP -o OUT/a.wav --temperature -1",
    "vary LOOP -o OUT/a.wav --keep beats --bpm -120",
    "compress LOOP OUT/a.ost --rate -600",
    "compress LOOP OUT/a.ost --keep beats --bpm 120 --offset -1",
    "telephone LOOP -o OUT/hops --loudness 3",
    "bench seams --seconds -30",
    "bench beats --seconds 0",
    "evaluate tokens --seconds -6",
])  # fmt: skip
def test_a_number_out_of_range_is_refused_before_the_work(loop: Path, out: Path, line: str):
    words = line.replace("LOOP", str(loop)).replace("OUT", str(out)).split()
    assert "no model called" not in complaint(run(*words, "--model", "nobody"))
    assert names(out) == []


@pytest.mark.parametrize(("target", "message"), [
    ("out/a.mp3", "the name must end in .wav or .flac"),
    ("none/a.wav", "there is no folder"),
    ("in/loop.wav", "is the input; choose another name for the output"),
])  # fmt: skip
def test_a_wrong_output_is_one_line_and_the_input_stays(
    loop: Path, out: Path, tiny_model: Path, target: str, message: str
):
    before = loop.read_bytes()
    assert message in complaint(vary(loop, out.parent / target, tiny_model))
    assert (names(out), loop.read_bytes(), names(loop.parent)) == ([], before, ["loop.wav"])


@pytest.mark.parametrize("line", [
    "vary LOOP -o /proc/x.wav",
    "vary LOOP -o OUT/a.wav --plot /proc/x.png",
    "blend LOOP LOOP --mix all -o /proc/x.wav",
    "encode LOOP -o /proc/x.safetensors",
    "decode LOOP -o /proc/x.wav",
    "compress LOOP /proc/x.ost",
    "expand LOOP /proc/x.wav",
    "surprise LOOP -o /proc/x.csv",
    "evaluate tokens -o /proc/x.json",
    "evaluate listen -o /proc/x.png",
])  # fmt: skip
def test_a_place_that_takes_no_file_is_told_before_the_work(loop: Path, out: Path, line: str):
    words = line.replace("LOOP", str(loop)).replace("OUT", str(out)).split()
    assert "cannot write /proc/x" in complaint(run(*words, "--model", "nobody"))
    assert names(out) == []


def test_a_damaged_model_is_one_line(loop: Path, out: Path, tiny_model: Path, tmp_path: Path):
    model = shutil.copytree(tiny_model, tmp_path / "model")
    (model / "coarse/weights.safetensors").write_bytes(b"nothing")
    assert "is damaged or not a safetensors file" in complaint(vary(loop, out / "a.wav", model))


def test_encode_and_decode_give_what_the_pipeline_gives(loop: Path, out: Path, tiny_model: Path):
    from ostinato.longplay import leaning
    from ostinato.pipeline import load

    made = data(run("encode", loop, "-o", out / "a.safetensors", "--model", tiny_model, "--json"))
    assert made["shape"] == [2, 6, 87]
    assert made["bits_per_second"] == round(2 * 6 * 5 * RATE / 768)
    told = run("decode", out / "a.safetensors", "-o", out / "a.wav", "--model", tiny_model).stdout
    assert told.splitlines()[0] == f"{out}/a.wav"
    pipeline = load(tiny_model)
    codes, origin = pipeline.encode(audiofile.read(loop))
    whole = pipeline.decode(codes, leaning(pipeline, origin, lambda: [audiofile.read(loop)])).wave
    torch.testing.assert_close(audiofile.read(out / "a.wav").wave, whole, atol=2**-22, rtol=0)


@pytest.mark.parametrize("channels", [0, 1])
def test_decoded_codes_lean_as_the_sound_did(out: Path, tiny_model: Path, channels: int):
    noise = 0.1 * torch.randn(1, 2, 2 * RATE, generator=torch.Generator().manual_seed(0))
    noise[:, channels] *= 0.2
    _ = audiofile.write(out / "in.wav", Audio(noise, RATE))
    codes = out / "a.safetensors"
    assert run("encode", out / "in.wav", "-o", codes, "--model", tiny_model).exit_code == 0
    assert data(run("info", codes, "--json"))["lean"] is True
    assert run("decode", codes, "-o", out / "a.wav", "--model", tiny_model).exit_code == 0
    energy = audiofile.read(out / "a.wav").wave[0].square().sum(-1)
    assert float(energy[1 - channels] / energy[channels]) > 2


def test_codes_of_a_sound_in_the_middle_have_no_lean(out: Path, tiny_model: Path):
    noise = 0.1 * torch.randn(1, 1, RATE, generator=torch.Generator().manual_seed(0))
    _ = audiofile.write(out / "in.wav", Audio(noise.repeat(1, 2, 1), RATE))
    assert run("encode", out / "in.wav", "-o", out / "a.safetensors", "--model", tiny_model).exit_code == 0
    assert data(run("info", out / "a.safetensors", "--json"))["lean"] is False


def test_fewer_codebooks_are_fewer_bits_and_still_sound(loop: Path, out: Path, tiny_model: Path):
    told = run("encode", loop, "-o", out / "a.safetensors", "--codebooks", 1, "--model", tiny_model).stdout
    assert "2 x 1 x 87 tokens (side x codebook x frame), 0.57 kbit/s when packed" in told
    assert data(run("info", out / "a.safetensors", "--json"))["samples"] == RATE * 3 // 2
    made = data(run("decode", out / "a.safetensors", "-o", out / "a.flac", "--model", tiny_model, "--json"))
    assert made["seconds"] == 1.5


def test_codes_of_another_model_are_refused(loop: Path, out: Path, tiny_model: Path, tmp_path: Path):
    from tests.tiny import write_model

    assert run("encode", loop, "-o", out / "a.safetensors", "--model", tiny_model).exit_code == 0
    other = write_model(tmp_path / "other", seed=1)
    wrong = complaint(run("decode", out / "a.safetensors", "-o", out / "a.wav", "--model", other))
    assert "was made by the codec of 'tiny'" in wrong
    assert "name the right one with --model" in wrong
    assert names(out) == ["a.safetensors"]


def test_wrong_codes_files_are_one_line(loop: Path, out: Path, tiny_model: Path):
    flags = ("-o", out / "b.wav", "--model", tiny_model)
    assert "there is no codes file" in complaint(run("decode", out / "a.safetensors", *flags))
    assert "is damaged or not a safetensors file" in complaint(run("decode", loop, *flags))
    assert "must end in .safetensors" in complaint(run("encode", loop, "-o", out / "b.wav", "--model", tiny_model))
    assert names(out) == []


def test_every_preset_and_hint_is_listed_with_its_knobs():
    told = data(run("presets", "--json"))["presets"]
    assert list(told) == list(presets)
    told = data(run("hints", "--json"))["hints"]
    assert {name: list(about["knobs"]) for name, about in told.items()} == {
        name: list(knobs(hints[name])) for name in hints
    }
    text = run("hints").stdout
    assert "periodic\n" in text
    assert "period=7" in text
    assert "--keep coarsest" in run("presets").stdout


def test_every_sampler_is_listed_with_its_knobs():
    told = data(run("samplers", "--json"))["samplers"]
    assert {name: list(about["knobs"]) for name, about in told.items()} == {
        name: list(knobs(samplers[name])) for name in samplers
    }
    assert "halton\n" in run("samplers").stdout


def test_a_flag_is_the_same_as_a_setting_in_the_samplers_text(loop: Path, out: Path, tiny_model: Path):
    flags = ("vary", loop, "--model", tiny_model, "--fine", "steps=1", "-o")
    assert run(*flags, out / "a.wav", "--sampler", "halton", "--steps", 2, "--top-p", 0.5).exit_code == 0
    assert run(*flags, out / "b.wav", "--sampler", "halton:steps=2,top_p=0.5").exit_code == 0
    assert run(*flags, out / "c.wav", "--steps", 2, "--top-p", 0.5).exit_code == 0
    a, b, c = (audiofile.read(out / f"{name}.wav").wave for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_every_knob_of_the_usual_sampler_is_a_flag():
    text = run("vary", "--help").stdout
    assert all(f"--{name.replace('_', '-')} " in text for name in knobs(type(COARSE)))


def test_without_a_verb_there_is_help_and_every_verb_has_one():
    assert run().stdout == run("--help").stdout
    assert run().exit_code == 0
    for name in main.commands:
        assert run(name, "--help").exit_code == 0
        assert f"\n  {name} " in run().stdout


def test_info_tells_of_sounds_models_and_takes(loop: Path, tiny_model: Path, tmp_path: Path):
    assert data(run("info", loop, "--json")) | {"path": ""} == {
        "path": "", "format": "WAV", "subtype": "PCM_24", "sample_rate": RATE, "channels": 2,
        "samples": RATE * 3 // 2, "seconds": 1.5,
    }  # fmt: skip
    about = data(run("info", tiny_model, "--json"))
    assert about["grid"] == {"sample_rate": 44100, "hop": 768, "codebooks": 6, "vocabulary": 32}
    assert about["licence"] == "not stated"
    card = shutil.copytree(tiny_model, tmp_path / "model") / "README.md"
    _ = card.write_text("---\nlicense: cc-by-sa-4.0\n---\n# A model\n")
    assert "cc-by-sa-4.0" in run("info", card.parent).stdout
    assert "models" in data(run("info", "--json"))
    assert run("info").exit_code == 0


@pytest.mark.parametrize("about", [{"ostinato": "0"}, {"seed": 1}, {"input": 3, "coarse": [], "prompt": None}])
def test_a_comment_that_is_no_take_is_passed_over(tmp_path: Path, about: dict[str, Any]):
    _ = audiofile.write(tmp_path / "a.wav", Audio(torch.zeros(1, 1, 9), RATE), about=about)
    assert "command" not in data(run("info", tmp_path / "a.wav", "--json"))


def test_info_of_a_folder_that_is_no_model_is_one_line(tmp_path: Path):
    assert "is not a model: it lacks codec/" in complaint(run("info", tmp_path))


def test_the_doctor_finds_damage(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cli_info, "matmul_speed", lambda *_, **__: 123.4)
    model = shutil.copytree(tiny_model, tmp_path / "model")
    assert "not checked, no SHA256SUMS" in run("doctor", "--model", model).stdout
    weights = model / "fine/weights.safetensors"
    _ = (model / doctor.SUMS).write_text(f"{audiofile.sha256(weights)}  fine/weights.safetensors\n")
    whole = data(run("doctor", "--model", model, "--json"))
    assert (whole["gflops"], whole["problems"], whole["model"]["checksums"]) == (
        {"fp32": 123, "bf16": 123},
        [],
        "right",
    )
    _ = weights.write_bytes(weights.read_bytes() + b"x")
    result = run("doctor", "--model", model)
    assert result.exit_code == 1
    assert "is damaged" in result.stdout
    assert run("doctor", "--model", tmp_path / "none").exit_code == 1


def test_the_demo_leaves_the_loop_two_takes_and_a_picture(
    loop: Path, out: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cli_vary, "LOOP", loop)
    lines = run("demo", "-o", out / "demo", "--model", tiny_model).stdout.splitlines()
    assert names(out / "demo") == ["loop.wav", "picture.png", "take-1.wav", "take-2.wav"]
    assert lines[0] == str(out / "demo/loop.wav")
    assert lines[3] == str(out / "demo/picture.png")
    assert "times real time" in lines[4]


def test_the_demo_does_without_matplotlib(loop: Path, out: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cli_vary, "LOOP", loop)
    monkeypatch.setattr(plot, "find_spec", lambda _: None)
    made = data(run("demo", "-o", out, "--model", tiny_model, "--json"))
    assert made["missing"] == "pictures need matplotlib: pip install matplotlib"
    assert names(out) == ["loop.wav", "take-1.wav", "take-2.wav"]
    assert "pip install matplotlib" in complaint(vary(loop, out / "a.wav", tiny_model, "--plot", out / "a.png"))


def test_a_demo_that_cannot_be_is_one_line(
    loop: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cli_vary, "LOOP", loop)
    assert "cannot write to" in complaint(run("demo", "-o", loop, "--model", tiny_model))
    monkeypatch.setattr(cli_vary, "LOOP", tmp_path / "none.flac")
    assert "install ostinato again" in complaint(run("demo", "-o", tmp_path / "demo"))


def test_a_picture_is_drawn_on_wish(loop: Path, out: Path, tiny_model: Path):
    made = data(vary(loop, out / "a.wav", tiny_model, "--plot", out / "a.png", "--json"))
    assert made["plot"] == str(out / "a.png")
    assert names(out) == ["a.png", "a.wav"]


def interrupt(monkeypatch: pytest.MonkeyPatch, at: int) -> list[Any]:
    """Ctrl-C is pressed in pass `at` of the models; the list fills with the model of each pass."""
    seen: list[Any] = []
    usual = MaskedModel.hidden_logits

    def interrupting(self: MaskedModel, *grid: Any, **more: Any) -> Any:
        seen.append(self)
        if len(seen) == at:
            os.kill(os.getpid(), signal.SIGINT)
        return usual(self, *grid, **more)

    monkeypatch.setattr(MaskedModel, "hidden_logits", interrupting)
    return seen


@pytest.mark.parametrize(("at", "cut", "passes"), [(1, 1, 2), (5, 5, 6), (7, 7, 8)])
def test_ctrl_c_gives_the_take_as_far_as_it_is_and_the_command_for_it(
    loop: Path, out: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, at: int, cut: int, passes: int
):
    seen, handler = interrupt(monkeypatch, at), signal.getsignal(signal.SIGINT)
    result = run("vary", loop, "-o", out / "a.wav", "--model", tiny_model, "--takes", 1, "--json")
    assert (result.exit_code, result.stderr, len(seen)) == (130, "ostinato: stopped\n", passes)
    made = json.loads(result.stdout)
    assert (made["stopped"], made["takes"][0]["cut"]) == (True, cut)
    first = (out / "a.wav").read_bytes()
    told = data(run("info", out / "a.wav", "--json"))
    _ = shutil.copy(loop, out)
    monkeypatch.chdir(out)
    assert f"--cut {cut}" in told["command"]
    assert "cut short at pass" in run(*shlex.split(told["command"])[1:]).stdout
    assert (out / "a.wav").read_bytes() == first
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_in_the_last_passes_leaves_nothing_out(
    loop: Path, out: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
):
    """Nothing was left to be cut short: the take is the one that was asked for, and no other follows."""
    for at in (8, 9):
        with monkeypatch.context() as pressed:
            seen = interrupt(pressed, at)
            result = run("vary", loop, "-o", out / "a.wav", "--model", tiny_model, "--takes", 2, "--json")
        assert (result.exit_code, result.stderr, len(seen)) == (130, "ostinato: stopped\n", 9)
        made = json.loads(result.stdout)
        assert (made["stopped"], [take["cut"] for take in made["takes"]]) == (True, [None])
        _ = data(run("vary", loop, "-o", out / "b.wav", "--model", tiny_model, "--json"))
        assert torch.equal(audiofile.read(out / "b.wav").wave, audiofile.read(out / "a-1.wav").wave)


def started(loop: Path, out: Path, model: Path, *flags: str) -> "subprocess.Popen[str]":
    command = [
        sys.executable,
        "-c",
        "from ostinato.cli import main; main()",
        "vary",
        str(loop),
        "-o",
        str(out / "a.wav"),
    ]
    command += ["--model", str(model), "--takes", "500", *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_ends_the_program_and_leaves_whole_takes_only(
    loop: Path, out: Path, tiny_model: Path, sent: signal.Signals, code: int
):
    with started(loop, out, tiny_model) as process:
        deadline = time.monotonic() + 60
        while len(list(out.glob("a-*.wav"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(sent)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert errors.strip() == ("ostinato: stopped" if sent == signal.SIGINT else "")
    assert {audiofile.read(path).samples for path in out.iterdir()} == {RATE * 3 // 2}


def test_a_mistake_in_a_real_shell_is_one_line_and_code_2(loop: Path, out: Path, tiny_model: Path):
    with started(loop, out, tiny_model, "--keep", "nothing") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.count("\n") == 1
    assert errors.startswith("ostinato: error: no hint called 'nothing'")
