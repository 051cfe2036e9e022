"""Sound to a few hundred bits a second and back: what is kept is kept, and the rest is made up again."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from ostinato import audiofile
from ostinato.checkpoint import write_tensors
from ostinato.cli import main
from ostinato.compress import Rung, block_frames, compress, context_of, ladder, of_quality
from ostinato.context import CONTEXT
from ostinato.errors import AudioError, CheckpointError, ConfigError
from ostinato.expand import expand, tokens_of
from ostinato.image import measure, spread
from ostinato.level import PEAK, loudness_of
from ostinato.masks import drawing
from ostinato.means import means
from ostinato.ostfile import OstReader
from ostinato.ostsound import filled
from ostinato.pipeline import Pipeline, load
from ostinato.prompts import Prompt
from ostinato.resampling import join
from ostinato.sampling import Confidence
from ostinato.types import Audio, Grid
from tests.foretold import context_model
from tests.tiny import GRID, write_model

RATE = 44100
COLD = Confidence(steps=1, temperature=0.0)
ONE = Rung((1,))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with a context model."""
    folder = write_model(tmp_path_factory.mktemp("models") / "tiny")
    write_tensors(folder / CONTEXT, context_model(GRID).tensors())
    return folder


@pytest.fixture(scope="module")
def pipeline(model: Path) -> Pipeline:
    return load(model)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two and a half seconds of stereo, a glide to one side over noise."""
    time = torch.arange(round(2.5 * RATE)) / RATE
    noise = 0.02 * torch.randn(2, len(time), generator=torch.Generator().manual_seed(0))
    glide = 0.2 * torch.sin(2 * math.pi * (200 + 150 * time) * time)
    path = tmp_path_factory.mktemp("sounds") / "sound.wav"
    _ = audiofile.write(path, Audio((torch.stack([glide, 0.3 * glide]) + noise)[None], RATE))
    return path


@pytest.fixture
def packed(pipeline: Pipeline, sound: Path, tmp_path: Path) -> Path:
    """The sound with one codebook kept, and quick samplers."""
    path = tmp_path / "sound.ost"
    _ = compress(pipeline, sound, path, keep=ONE, coarse=COLD, fine=COLD)
    return path


def mid(audio: Audio) -> torch.Tensor:
    """What no lean changes."""
    return audio.wave.mean(1)


def test_all_tokens_give_the_codecs_own_reconstruction(pipeline: Pipeline, sound: Path, tmp_path: Path):
    header, size = compress(pipeline, sound, tmp_path / "a.ost", keep=Rung((GRID.codebooks,)))
    _ = expand(pipeline, tmp_path / "a.ost", tmp_path / "a.wav")
    codes, origin = pipeline.encode(audiofile.read(sound))
    usual = pipeline.decode(codes, replace(origin, gain=header.gain))
    assert torch.allclose(mid(audiofile.read(tmp_path / "a.wav")), mid(usual), atol=2**-22)
    assert (size, header.rows) == ((tmp_path / "a.ost").stat().st_size, 2)


def test_kept_tokens_are_the_codecs(pipeline: Pipeline, sound: Path, tmp_path: Path):
    codes, _ = pipeline.encode(audiofile.read(sound))
    prompt = Prompt.of(["periodic:period=5", "coarsest:codebooks=2"], ["random:share=0.3"])
    _ = compress(pipeline, sound, tmp_path / "a.ost", keep=prompt, sides=True)
    with OstReader(tmp_path / "a.ost") as reader:
        parts = tokens_of(reader, context_model(GRID), {}, None)
        found, hidden = (torch.cat(part, -1) for part in zip(*parts, strict=True))
    assert (hidden == prompt.mask(pipeline.clip(round(2.5 * RATE), RATE))).all()
    assert (found[~hidden] == codes[~hidden]).all()
    assert (found[hidden] == 0).all()


def test_a_musicians_own_grid_says_which_beats_a_file_keeps(sound: Path, tiny_model: Path, tmp_path: Path):
    def kept(*flags: str) -> str:
        words = ["compress", str(sound), str(tmp_path / "a.ost"), "--model", str(tiny_model), *flags]
        return CliRunner().invoke(main, words).output

    assert "bit/s" in kept("--keep", "beats:after=100", "--bpm", "120")
    with OstReader(tmp_path / "a.ost") as reader:
        frames = reader.header.grid.frames(0.5)
        mask = torch.cat([hidden for _, hidden in tokens_of(reader, None, {}, None)], -1)
    assert not bool(mask[0, 0, [0, frames]].any())
    assert bool(mask[0, 0, frames // 2])
    assert "nothing in the prompt speaks of beats; add --keep beats" in kept("--bpm", "120")


def test_a_prompt_may_go_by_what_surprises_the_model(pipeline: Pipeline, sound: Path, tmp_path: Path):
    said = Prompt.of(["surprising:share=0.25"])
    _ = compress(pipeline, sound, tmp_path / "a.ost", keep=said)
    with OstReader(tmp_path / "a.ost") as reader:
        mask = torch.cat([hidden for _, hidden in tokens_of(reader, context_of(pipeline.folder, GRID), {}, None)], -1)
    take = pipeline.vary(audiofile.read(sound), said, sampler=COLD, finisher=COLD)
    assert torch.equal(mask[:1], take.mask[:1])


def test_what_is_expanded_has_the_length_rate_and_channels_of_the_input(pipeline: Pipeline, tmp_path: Path):
    for channels, samples, rate in ((1, 30011, 48000), (2, 9000, 22050)):
        noise = 0.1 * torch.randn(1, channels, samples, generator=torch.Generator().manual_seed(1))
        _ = audiofile.write(tmp_path / "in.wav", Audio(noise, rate))
        _ = compress(pipeline, tmp_path / "in.wav", tmp_path / "a.ost", keep=Rung((1, 0, 0)), coarse=COLD, fine=COLD)
        _ = expand(pipeline, tmp_path / "a.ost", tmp_path / "out.wav")
        out = audiofile.read(tmp_path / "out.wav")
        assert (out.wave.shape, out.sample_rate) == (noise.shape, rate)


@pytest.mark.parametrize("way", ["all", "means", "image", "drawn"])
@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_what_is_expanded_is_as_loud_as_the_input_and_never_clips(
    pipeline: Pipeline, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, scale: float
):
    monkeypatch.setattr("ostinato.level.MOVED", 60.0)  # the tiny codec is far too quiet
    keep = Rung((GRID.codebooks,)) if way == "all" else Rung((2, 0))
    drawn = COLD if way == "drawn" else None
    original = audiofile.read(sound)
    _ = audiofile.write(tmp_path / "in.wav", Audio(scale * original.wave, RATE))
    _ = compress(
        pipeline, tmp_path / "in.wav", tmp_path / "a.ost", keep=keep, sides=way != "image", coarse=drawn, fine=drawn
    )
    _ = expand(pipeline, tmp_path / "a.ost", tmp_path / "a.wav")
    made = audiofile.read(tmp_path / "a.wav")
    assert not (made.wave.abs() > PEAK).any()
    wanted = loudness_of([audiofile.read(tmp_path / "in.wav")])
    assert loudness_of([made]) == pytest.approx(wanted, abs=0.5)


@pytest.fixture(scope="module")
def panned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two and a half seconds of noise, half of it as loud again on the left as on the right."""
    noise = 0.05 * torch.randn(1, 1, round(2.5 * RATE), generator=torch.Generator().manual_seed(3))
    path = tmp_path_factory.mktemp("sounds") / "panned.wav"
    _ = audiofile.write(path, Audio(torch.cat([1.5 * noise, 0.5 * noise], 1), RATE))
    return path


def images_in(path: Path, lost: list[int] | None = None) -> list[np.ndarray | None]:
    """What the blocks of a file tell of the stereo image."""
    images: dict[int, np.ndarray | None] = {}
    with OstReader(path) as reader:
        _ = list(tokens_of(reader, context_model(GRID), images, lost))
        return [images[number] for number in range(reader.header.blocks)]


def balance(path: Path) -> float:
    """How much louder the left is, in dB."""
    left, right = audiofile.read(path).wave[0].square().sum(-1)
    return float(10 * (left / right).log10())


@pytest.mark.parametrize("keep", [Rung((GRID.codebooks,)), Rung((2, 0))], ids=["all", "means"])
def test_a_side_of_tokens_leans_as_the_sound_does(pipeline: Pipeline, panned: Path, tmp_path: Path, keep: Rung):
    for name, flip in (("left", []), ("right", [1])):
        original = audiofile.read(panned)
        _ = audiofile.write(tmp_path / "in.wav", Audio(original.wave.flip(flip), RATE))
        header, _ = compress(pipeline, tmp_path / "in.wav", tmp_path / "a.ost", keep=keep, sides=True)
        assert header.lean
        for image in images_in(tmp_path / "a.ost"):
            assert image is not None
            assert abs(image[0] / 7 - 1 - (-0.5 if flip else 0.5)).max() <= 1 / 14 + 1e-6
        _ = expand(pipeline, tmp_path / "a.ost", tmp_path / f"{name}.wav")
    assert balance(tmp_path / "left.wav") == pytest.approx(-balance(tmp_path / "right.wav"), abs=1.5)
    assert balance(tmp_path / "left.wav") > 4


def test_what_a_lean_costs(pipeline: Pipeline, panned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = Rung((GRID.codebooks,))
    header, size = compress(pipeline, panned, tmp_path / "a.ost", keep=whole)
    monkeypatch.setattr("ostinato.codec.SpectralCodec.draws_phases", False)
    plain, least = compress(pipeline, panned, tmp_path / "b.ost", keep=whole)
    assert (header.lean, plain.lean) == (True, False)
    assert 0 < 8 * (size - least) / header.seconds < 30


def test_what_leans_nowhere_is_a_file_of_the_first_version(pipeline: Pipeline, panned: Path, tmp_path: Path):
    wave = audiofile.read(panned).wave[:, :1]
    for name, sound in (("mono", wave), ("both", wave.repeat(1, 2, 1)), ("panned", None)):
        source = panned if sound is None else tmp_path / f"{name}.wav"
        if sound is not None:
            _ = audiofile.write(source, Audio(sound, RATE))
        header, _ = compress(pipeline, source, tmp_path / f"{name}.ost", keep=Rung((GRID.codebooks,)))
        assert (tmp_path / f"{name}.ost").read_bytes()[4] == (2 if header.lean else 1) == (2 if sound is None else 1)
    assert images_in(tmp_path / "both.ost") == [None] * 3


def test_a_damaged_block_loses_its_own_lean_alone(pipeline: Pipeline, panned: Path, tmp_path: Path):
    path = tmp_path / "a.ost"
    _ = compress(pipeline, panned, path, keep=Rung((GRID.codebooks,)))
    whole = images_in(path)
    with OstReader(path) as reader:
        cut = reader.starts[2] + 1
    _ = path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(AudioError, match="--salvage gets what there is"):
        _ = expand(pipeline, path, tmp_path / "a.wav")
    lost: list[int] = []
    found = images_in(path, lost)
    assert (lost, found[2]) == ([2], None)
    assert all((one == other).all() for one, other in zip(whole[:2], found[:2], strict=True))
    _, lost = expand(pipeline, path, tmp_path / "a.wav", salvage=True)
    assert lost == [2]
    assert audiofile.read(tmp_path / "a.wav").samples == round(2.5 * RATE)


def test_silence_stays_silent_and_has_a_gain(pipeline: Pipeline, tmp_path: Path):
    _ = audiofile.write(tmp_path / "in.wav", Audio(torch.zeros(1, 2, RATE), RATE))
    header, _ = compress(pipeline, tmp_path / "in.wav", tmp_path / "a.ost", keep=ONE)
    assert header.gain == 1.0


def test_the_file_says_what_is_made_up(pipeline: Pipeline, sound: Path, tmp_path: Path):
    _ = compress(pipeline, sound, tmp_path / "a.ost", keep=ONE, seed=3, coarse=Confidence(steps=1), fine=COLD)
    for name, seed in (("one", None), ("two", None), ("three", 4)):
        _ = expand(pipeline, tmp_path / "a.ost", tmp_path / f"{name}.wav", seed=seed)
    one, two, three = (audiofile.read(tmp_path / f"{name}.wav").wave for name in ("one", "two", "three"))
    assert torch.equal(one, two)
    assert not torch.equal(one, three)


def test_without_samplers_what_was_not_kept_is_heard_as_its_mean(pipeline: Pipeline, sound: Path, tmp_path: Path):
    header, _ = compress(pipeline, sound, tmp_path / "a.ost", keep=Rung((2, 0)), sides=True, seed=3)
    _ = expand(pipeline, tmp_path / "a.ost", tmp_path / "a.wav")
    codes, origin = pipeline.encode(audiofile.read(sound))
    origin = replace(origin, gain=header.gain)
    hidden = Rung((2, 0)).hidden(GRID, codes.shape[-1])[None].expand_as(codes)
    made = join(pipeline.decode_means(means(pipeline.coarse, pipeline.codec.vectors(), [(codes, hidden)]), origin))
    assert torch.allclose(mid(audiofile.read(tmp_path / "a.wav")), mid(made), atol=2**-22)
    with pytest.raises(ConfigError, match="draws nothing"):
        _ = expand(pipeline, tmp_path / "a.ost", tmp_path / "a.wav", seed=1)


def test_models_fill_what_was_not_kept_and_nothing_else(pipeline: Pipeline, packed: Path):
    with OstReader(packed) as reader:
        header = reader.header
        parts = list(tokens_of(reader, context_model(GRID), {}, None))
    codes, hidden = (torch.cat(part, -1) for part in zip(*parts, strict=True))
    full = torch.cat(list(filled(pipeline, iter(parts), header, 0)), -1)
    assert full.shape == codes.shape
    assert (full[~hidden] == codes[~hidden]).all()
    assert full[hidden].unique().numel() > 4


def test_the_kept_codebooks_can_be_heard_alone(pipeline: Pipeline, sound: Path, tmp_path: Path):
    header, _ = compress(pipeline, sound, tmp_path / "a.ost", keep=Rung((2,)), sides=True)
    _ = expand(pipeline, tmp_path / "a.ost", tmp_path / "a.wav", bare=True)
    codes, origin = pipeline.encode(audiofile.read(sound))
    usual = pipeline.decode(codes[:, :2], replace(origin, gain=header.gain))
    assert torch.allclose(mid(audiofile.read(tmp_path / "a.wav")), mid(usual), atol=2**-22)


def test_alone_is_refused_where_there_are_gaps(pipeline: Pipeline, sound: Path, tmp_path: Path):
    _ = compress(pipeline, sound, tmp_path / "a.ost", keep=Rung((2, 0)))
    with pytest.raises(ConfigError, match="kept in every frame"):
        _ = expand(pipeline, tmp_path / "a.ost", tmp_path / "a.wav", bare=True)
    assert not (tmp_path / "a.wav").exists()


def test_the_rate_is_never_exceeded_and_well_used(pipeline: Pipeline, sound: Path, tmp_path: Path):
    sizes = []
    for rate in (1500, 100000):
        header, size = compress(pipeline, sound, tmp_path / "a.ost", keep=float(rate))
        assert 8 * size <= rate * header.seconds
        sizes.append(size)
    assert sizes == sorted(sizes)
    assert header.keep.runs == ((1, 2**GRID.codebooks - 1),)
    with pytest.raises(ConfigError, match="as little as 5 bit/s"):
        _ = compress(pipeline, sound, tmp_path / "a.ost", keep=5.0)


def test_the_dial_goes_down():
    cells = [float((~rung.hidden(GRID, 960)).sum()) for rung in ladder(GRID)]
    assert cells == sorted(cells, reverse=True)
    found = [of_quality(GRID, quality) for quality in range(11)]
    assert (found[10], found[1], found[0]) == (Rung((6,)), ONE, Rung((1, 0, 0, 0)))
    with pytest.raises(ConfigError, match="0 to 10"):
        _ = of_quality(GRID, 11)


def test_a_step_of_the_dial_says_how_many_codebooks_each_frame_keeps():
    assert drawing(Rung((3, 0, 2, 0)).hidden(GRID, 6)) == [".#.#.#", ".#.#.#", ".###.#", "######", "######", "######"]


def test_a_grid_of_few_codebooks_has_a_shorter_dial():
    assert [step.levels for step in ladder(Grid(codebooks=2))][:3] == [(2,), (2, 0), (2, 0, 1, 0)]


def test_blocks_last_a_second_or_until_they_are_worth_it():
    dial = [Rung((1, *(0,) * (period - 1))) for period in (1, 2, 8, 16, 960)]
    frames = [block_frames(step.hidden(GRID, 960)) // 57 for step in dial]
    assert frames == [1, 1, 3, 6, 8]


def test_another_model_is_refused_by_name(pipeline: Pipeline, packed: Path, tmp_path: Path):
    other = load(write_model(tmp_path / "other", seed=5))
    with pytest.raises(CheckpointError, match=r"needs the codec [0-9a-f]{16} of model 'tiny', 'other' has"):
        _ = expand(other, packed, tmp_path / "a.wav")
    folder = Path(shutil.copytree(pipeline.folder, tmp_path / "same"))
    (folder / CONTEXT).unlink()
    with pytest.raises(CheckpointError, match="needs the context model"):
        _ = expand(load(folder), packed, tmp_path / "a.wav")


def test_lossless_files_do_not_need_the_models_that_fill(pipeline: Pipeline, sound: Path, tmp_path: Path):
    _ = compress(pipeline, sound, tmp_path / "a.ost", keep=Rung((GRID.codebooks,)))
    _ = expand(replace(pipeline, coarse=pipeline.fine, fine=pipeline.coarse), tmp_path / "a.ost", tmp_path / "a.wav")


def test_tokens_are_the_same_whatever_the_models_compute_in(model: Path, sound: Path, tmp_path: Path):
    _ = compress(load(model), sound, tmp_path / "a.ost", keep=Rung((GRID.codebooks,)))
    made = []
    for precision in ("fp32", "int8"):
        _ = expand(load(model, precision=precision), tmp_path / "a.ost", tmp_path / "a.wav")
        made.append((tmp_path / "a.wav").read_bytes())
        _ = compress(load(model, precision=precision), sound, tmp_path / "b.ost", keep=Rung((GRID.codebooks,)))
        made.append((tmp_path / "b.ost").read_bytes())
    assert made[:2] == made[2:]


def test_without_a_context_model_tokens_cost_their_packed_bits(sound: Path, tmp_path: Path):
    flat = load(write_model(tmp_path / "flat"))
    header, size = compress(flat, sound, tmp_path / "a.ost", keep=Rung((GRID.codebooks,)))
    packed = 2 * header.frames * GRID.codebooks * 5 / 8
    assert packed < size < 1.05 * packed + 100
    _ = expand(flat, tmp_path / "a.ost", tmp_path / "a.wav")


def test_damage_is_refused_and_salvaged_on_demand(pipeline: Pipeline, packed: Path, tmp_path: Path):
    with OstReader(packed) as reader:
        place = reader.starts[1]
    data = bytearray(packed.read_bytes())
    data[place + 1] ^= 4
    _ = packed.write_bytes(bytes(data))
    with pytest.raises(AudioError, match=r"damaged at 1\.0 s \(block 1\); --salvage"):
        _ = expand(pipeline, packed, tmp_path / "a.wav")
    assert not (tmp_path / "a.wav").exists()
    _, lost = expand(pipeline, packed, tmp_path / "a.wav", salvage=True)
    assert lost == [1]
    assert audiofile.read(tmp_path / "a.wav").samples == round(2.5 * RATE)


@pytest.mark.parametrize("sampler", [None, COLD], ids=["means", "drawn"])
def test_sound_is_written_before_the_whole_file_is_read(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: Confidence | None
):
    noise = 0.1 * torch.randn(1, 1, 22 * 22050, generator=torch.Generator().manual_seed(2))
    _ = audiofile.write(tmp_path / "in.wav", Audio(noise, 22050))
    _ = compress(pipeline, tmp_path / "in.wav", tmp_path / "a.ost", keep=ONE, coarse=sampler, fine=sampler)
    order: list[str] = []
    monkeypatch.setattr("ostinato.expand.AT_ONCE", 1)
    read, wrote = OstReader.block, audiofile.Writer.write
    monkeypatch.setattr(OstReader, "block", lambda self, n: order.append("read") or read(self, n))
    monkeypatch.setattr(audiofile.Writer, "write", lambda self, audio: order.append("write") or wrote(self, audio))
    _ = expand(pipeline, tmp_path / "a.ost", tmp_path / "a.wav")
    assert "write" in order[: len(order) - 1 - order[::-1].index("read")]


def test_the_image_puts_a_sound_where_it_was():
    chance = torch.Generator().manual_seed(0)
    source = torch.randn(2 * RATE, generator=chance)
    for left, right in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.8, 0.4)):
        mid, side = (left + right) / 2 * source, (left - right) / 2 * source
        image = measure(torch.stack([mid, side]), RATE)
        out = next(iter(spread([Audio(mid[None, None], RATE)], lambda _, image=image: image))).wave[0]
        loud = out[:, RATE // 2 : RATE].square().mean(1).sqrt()
        assert loud[0] / loud.sum() == pytest.approx(left / (left + right), abs=0.06)


def test_the_image_keeps_what_is_wide_wide_and_the_mono_sum_whole():
    chance = torch.Generator().manual_seed(0)
    mid, side = torch.randn(2, RATE, generator=chance)
    image = measure(torch.stack([mid, 0.5 * side]), RATE)
    assert (abs(image[0] - 7) <= 1).all()
    assert (abs(image[1] - 5) <= 1).all()
    out = torch.cat([piece.wave for piece in spread([Audio(mid[None, None], RATE)], lambda _: image)], -1)[0]
    assert torch.allclose(out.mean(0), mid, atol=1e-5)
    assert abs(float(np.corrcoef(out.numpy())[0, 1])) < 0.9


def test_the_image_of_silence_is_the_middle():
    assert (measure(torch.zeros(2, 5000), RATE) == np.array([[7], [0]])).all()


def test_a_sound_without_an_image_stays_in_the_middle():
    out = next(iter(spread([Audio(torch.randn(1, 1, 9000), RATE)], lambda _: None))).wave[0]
    assert torch.equal(out[0], out[1])


def test_one_sampler_alone_is_refused(pipeline: Pipeline, sound: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="both models or for none"):
        _ = compress(pipeline, sound, tmp_path / "a.ost", keep=ONE, fine=COLD)


def test_the_command_line_goes_there_and_back(
    model: Path, sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def run(*words: object) -> dict[str, object]:
        with pytest.raises(SystemExit) as done:
            main([*map(str, words), "--json"])
        assert done.value.code == 0
        return json.loads(capsys.readouterr().out)

    out, quick = tmp_path / "a.ost", ["--sampler", "confidence:steps=1", "--fine", "confidence:steps=1"]
    made = run("compress", sound, out, "--keep", "coarsest:codebooks=2", "--model", model, *quick)
    assert made["bits_per_second"] == round(8 * out.stat().st_size / 2.5, 1)
    about = run("info", out)
    assert (about["kept"], about["side"], about["damaged_blocks"]) == ("codebooks 1, 2", "image", [])
    back = run("expand", out, tmp_path / "a.wav", "--model", model)
    assert (back["seconds"], back["lost"]) == (2.5, [])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--rate", "600", "--quality", "3"], "choose one of"),
        (["--keep", "coarsest:codebooks=9"], "outside the grid"),
        (["--sampler", "confidence"], "both models or for none"),
    ],
)
def test_wrong_flags_are_told_in_one_line(
    model: Path, sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
):
    with pytest.raises(SystemExit) as done:
        main(["compress", str(sound), str(tmp_path / "a.ost"), "--model", str(model), *flags])
    assert done.value.code == 2
    assert said in capsys.readouterr().err
