"""The whole way: a sound in, a take out, kept cells kept, lengths exact."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import ostinato
from ostinato.checkpoint import CONFIG
from ostinato.codesfile import Origin
from ostinato.errors import AudioError, CheckpointError
from ostinato.hints import Everything, Inpaint, Periodic
from ostinato.level import as_loud, limited, limited_circle
from ostinato.pipeline import Pipeline, load
from ostinato.prompts import Prompt
from ostinato.resampling import join
from ostinato.sampling import Confidence
from ostinato.stereo import lean_of, placed
from ostinato.types import Audio, CodesStream

QUICK = {"sampler": Confidence(steps=3), "finisher": Confidence(steps=2)}
SEVENTH = Prompt(keep=(Periodic(period=7),))


@pytest.fixture(scope="module")
def pipeline(tiny_model: Path) -> Pipeline:
    return load(tiny_model)


def noise(samples: int, channels: int = 1, rate: int = 44100) -> Audio:
    chance = torch.Generator().manual_seed(0)
    return Audio(torch.randn(1, channels, samples, generator=chance) * 0.1, rate)


def reconstruction(pipeline: Pipeline, audio: Audio, *, loop: bool = False) -> Audio:
    """A sound as the codec gives it back, leaning and as loud as it was."""
    made = pipeline.decode(*pipeline.encode(audio, circular=loop))
    leaning = list(
        placed([made], lean_of(lambda: [audio], circular=loop), circular=loop) if audio.channels == 2 else [made]
    )
    loud = as_loud(lambda: leaning, lambda: [audio], held=True)()
    return limited_circle(join(loud)) if loop else join(limited(loud))


@pytest.mark.parametrize(
    ("samples", "channels", "rate"), [(2205, 1, 44100), (30001, 2, 48000), (4001, 1, 8000), (96000, 2, 192000)]
)
def test_a_take_has_the_length_the_rate_and_the_channels_of_its_input(
    pipeline: Pipeline, samples: int, channels: int, rate: int
):
    take = pipeline.vary(noise(samples, channels, rate), Prompt(), **QUICK)
    assert take.audio.wave.shape == (1, channels, samples)
    assert take.audio.sample_rate == rate
    assert take.codes.shape[0] == channels


def test_the_same_seed_gives_the_same_music_and_another_seed_other_music(pipeline: Pipeline):
    first, again, other = (pipeline.vary(noise(20000), SEVENTH, seed=s, **QUICK) for s in (5, 5, 6))
    assert torch.equal(first.audio.wave, again.audio.wave)
    assert not torch.equal(first.codes, other.codes)


def test_kept_cells_are_those_of_the_input_and_hidden_ones_are_filled(pipeline: Pipeline):
    audio = noise(40000, 2)
    codes, _ = pipeline.encode(audio)
    take = pipeline.vary(audio, SEVENTH, **QUICK)
    assert torch.equal(take.codes[~take.mask], codes[~take.mask])
    assert not torch.equal(take.codes, codes)


def test_a_prompt_that_keeps_everything_gives_the_input_or_with_redraw_the_codecs_own_reconstruction(
    pipeline: Pipeline,
):
    audio = noise(20000, 2)
    everything = Prompt(keep=(Everything(),))
    assert torch.equal(pipeline.vary(audio, everything).audio.wave, audio.wave)
    redrawn = pipeline.vary(audio, everything, redraw=True)
    assert torch.equal(redrawn.audio.wave, reconstruction(pipeline, audio).wave)


@pytest.mark.parametrize(
    ("samples", "channels", "rate"),
    [(60000, 1, 44100), (66000, 2, 48000), (11000, 1, 8000), (262001, 2, 192000), (30001, 2, 22050)],
)
def test_outside_the_hidden_frames_a_take_less_its_input_is_digital_silence(
    pipeline: Pipeline, samples: int, channels: int, rate: int
):
    audio = noise(samples, channels, rate)
    hole = Prompt.of(hide=["inpaint:start=0.5,end=0.8"])
    take = pipeline.vary(audio, hole, **QUICK)
    redrawn = pipeline.vary(audio, hole, redraw=True, **QUICK)
    assert torch.equal(take.codes, redrawn.codes)
    places = take.mask[0, 0].nonzero().flatten()
    hop, grid = pipeline.grid.hop * rate, pipeline.grid.sample_rate
    start, stop = -(-int(places[0]) * hop // grid), -(-(int(places[-1]) + 1) * hop // grid)
    less = (take.audio.wave - audio.wave)[0].abs().sum(0)
    assert not less[:start].any()
    assert not less[stop:].any()
    assert float((less[start:stop] > 0).float().mean()) > 0.99
    fade = hop // (2 * grid)
    inside = slice(start + fade, stop - fade)
    assert torch.equal(take.audio.wave[..., inside], join(limited([redrawn.audio])).wave[..., inside])


@pytest.mark.parametrize("loop", [False, True])
def test_a_burst_in_what_is_made_does_not_turn_the_rest_down(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, loop: bool
):
    drawn = Pipeline.decode_blocks
    made: list[Audio] = []

    def bursting(self: Pipeline, codes: CodesStream, origin: Origin) -> Iterator[Audio]:
        wave = join(drawn(self, codes, origin)).wave
        wave = wave / wave.abs().max() * 0.5
        wave[..., 9000] = 3.0
        made.append(Audio(wave, origin.sample_rate))
        yield made[-1]

    monkeypatch.setattr(Pipeline, "decode_blocks", bursting)
    monkeypatch.setattr("ostinato.level.MOVED", 0.0)
    take = pipeline.vary(noise(40000), Prompt(), loop=loop, **QUICK).audio.wave
    assert float(take.abs().max()) == pytest.approx(0.99, abs=1e-4)
    far = (torch.arange(40000) - 9000).abs() > 500
    torch.testing.assert_close(take[..., far], made[0].wave[..., far])


def test_what_is_kept_in_short_runs_or_in_some_codebooks_only_is_drawn_by_the_codec(pipeline: Pipeline):
    audio = noise(40000, 2)
    for prompt in (SEVENTH, Prompt.of(["periodic:period=7,width=2"]), Prompt.of(hide=["finer:first=5"])):
        take, redrawn = (pipeline.vary(audio, prompt, redraw=redraw, **QUICK) for redraw in (False, True))
        assert torch.equal(take.audio.wave, redrawn.audio.wave)


def test_a_single_hidden_frame_is_all_that_differs(pipeline: Pipeline):
    audio = noise(40000)
    hop = pipeline.grid.hop
    single = Prompt.of(hide=[Inpaint(start=pipeline.grid.seconds(20), end=pipeline.grid.seconds(21))])
    changed = (pipeline.vary(audio, single, **QUICK).audio.wave != audio.wave)[0, 0].nonzero().flatten()
    assert int(changed.min()) >= 20 * hop
    assert int(changed.max()) < 21 * hop
    assert len(changed) > 0.95 * hop


def test_sides_share_one_mask_and_have_noise_of_their_own(pipeline: Pipeline):
    one = noise(30000)
    audio = Audio(torch.cat([one.wave, torch.zeros_like(one.wave)], dim=1) * 2, 44100)
    take = pipeline.vary(audio, Prompt(), **QUICK)
    assert torch.equal(take.mask[0], take.mask[1])
    assert not torch.equal(take.codes[0], take.codes[1])


def test_a_mono_take_is_the_mid_of_the_stereo_one(pipeline: Pipeline):
    mono = noise(30000)
    stereo = Audio(mono.wave.repeat(1, 2, 1), 44100)
    gain = pipeline.encode(mono)[1].gain / pipeline.encode(stereo)[1].gain
    a, b = pipeline.encode(Audio(mono.wave, 44100))[0], pipeline.encode(Audio(stereo.wave * gain, 44100))[0]
    assert b.shape[0] == 2
    assert a.shape[1:] == b.shape[1:]


def test_codes_do_not_depend_on_the_cut_and_origin_tells_the_sound(pipeline: Pipeline):
    audio = noise(50000, 2, 48000)
    whole, origin = pipeline.encode(audio)
    parts = [Audio(w, 48000) for w in audio.wave.split(7000, -1)]
    codes, about = pipeline.encode_blocks(lambda: iter(parts))
    assert torch.equal(torch.cat(list(codes), -1), whole)
    assert about() == origin
    assert (origin.samples, origin.sample_rate, origin.channels) == (50000, 48000, 2)


def test_decoding_in_blocks_is_decoding(pipeline: Pipeline):
    codes, origin = pipeline.encode(noise(40000, 2, 22050))
    blocks = list(pipeline.decode_blocks(codes.split(9, -1), origin))
    assert torch.equal(torch.cat([b.wave for b in blocks], -1), pipeline.decode(codes, origin).wave)


def test_the_level_of_the_input_comes_back(pipeline: Pipeline):
    codes, origin = pipeline.encode(noise(40000))
    quiet, about = pipeline.encode(Audio(noise(40000).wave * 0.01, 44100))
    assert about.gain == pytest.approx(100 * origin.gain, rel=1e-3)
    assert float((quiet == codes).float().mean()) > 0.99


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize(("channels", "rate"), [(1, 44100), (2, 44100), (2, 48000)])
def test_what_is_silent_by_its_coarsest_tokens_is_digital_silence(
    pipeline: Pipeline, channels: int, rate: int, loop: bool
):
    silence = Audio(torch.zeros(1, channels, 30000), rate)
    take = pipeline.vary(silence, Prompt.of(keep=["coarsest:codebooks=1"]), loop=loop, **QUICK)
    assert bool(take.mask.any())
    assert not take.audio.wave.any()


def test_progress_counts_to_the_end_and_what_watch_raises_ends_the_work(pipeline: Pipeline):
    seen: list[tuple[str, int, int]] = []
    _ = pipeline.vary(noise(20000), Prompt(), watch=lambda *s: seen.append(s), **QUICK)
    assert seen == [("coarse", 1, 3), ("coarse", 2, 3), ("coarse", 3, 3), ("fine", 1, 2), ("fine", 2, 2)]

    def stop(stage: str, step: int, steps: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _ = pipeline.vary(noise(20000), Prompt(), watch=stop, **QUICK)


def test_a_long_sound_is_filled_in_stretches(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ostinato.filling.SPAN", 16)
    monkeypatch.setattr("ostinato.filling.OVERLAP", 4)
    monkeypatch.setattr("ostinato.filling.FINE_SPAN", 12)
    monkeypatch.setattr("ostinato.filling.FINE_OVERLAP", 3)
    audio = noise(60 * 768)
    take = pipeline.vary(audio, SEVENTH, **QUICK)
    codes, _ = pipeline.encode(audio)
    assert take.codes.shape == codes.shape
    assert torch.equal(take.codes[~take.mask], codes[~take.mask])


def test_three_channels_and_a_batch_are_refused(pipeline: Pipeline):
    with pytest.raises(AudioError, match="one or two channels"):
        pipeline.encode(noise(1000, 3))


def test_a_model_that_is_not_there_is_named_with_those_that_are(tmp_path: Path):
    with pytest.raises(CheckpointError, match="no model called 'nobody'"):
        load("nobody")
    with pytest.raises(CheckpointError, match=r"lacks codec/config\.json"):
        load(tmp_path)


def test_parts_that_do_not_fit_are_refused(tmp_path: Path, tiny_model: Path):
    folder = shutil.copytree(tiny_model, tmp_path / "odd")
    settings = json.loads((folder / "fine" / CONFIG).read_text())
    _ = (folder / "fine" / CONFIG).write_text(json.dumps({**settings, "given": 3}))
    with pytest.raises(CheckpointError, match="the fine model must be given what the coarse one predicts"):
        load(folder)


def test_the_hash_tells_models_apart(tiny_model: Path, tmp_path: Path):
    from tests.tiny import write_model

    assert load(tiny_model).hash == load(tiny_model).hash
    assert load(write_model(tmp_path / "tiny", seed=1)).hash != load(tiny_model).hash


def test_a_take_tells_how_it_was_made(pipeline: Pipeline):
    take = pipeline.vary(noise(5000), SEVENTH, seed=9, **QUICK)
    assert (take.seed, take.model) == (9, pipeline.hash)
    assert Prompt.load(take.settings["prompt"]) == SEVENTH
    assert take.settings["coarse"]["steps"] == 3
    assert json.loads(json.dumps(take.settings)) == take.settings


def test_an_origin_is_what_a_codes_file_keeps(pipeline: Pipeline):
    assert isinstance(pipeline.encode(noise(1000))[1], Origin)


def test_the_public_names_are_there():
    assert all(hasattr(ostinato, name) for name in ostinato.__all__)


@pytest.mark.parametrize(
    ("samples", "channels", "rate"), [(30011, 1, 44100), (30001, 2, 48000), (4001, 1, 8000), (90000, 2, 192000)]
)
def test_a_circle_comes_back_in_its_length_rate_and_channels(
    pipeline: Pipeline, samples: int, channels: int, rate: int
):
    codes, origin = pipeline.encode(noise(samples, channels, rate), circular=True)
    assert codes.shape[-1] == 2 * max(1, round(samples * 44100 / rate / 768 / 2))
    back = pipeline.decode(codes, origin)
    assert back.wave.shape == (1, channels, samples)
    assert (back.sample_rate, origin.circular) == (rate, True)


def test_a_circle_is_refused_where_it_is_too_long_or_no_one_sound(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(AudioError, match="one or two channels"):
        pipeline.encode(noise(1000, 3), circular=True)
    monkeypatch.setattr("ostinato.pipeline.LONGEST_CIRCLE", 1)
    with pytest.raises(AudioError, match=r"a loop may last at most 1 s, got 1\.1 s"):
        pipeline.encode(noise(48510), circular=True)


def loud(audio: Audio) -> Audio:
    """The same, swelling, so that it matters where it begins."""
    return Audio(audio.wave * torch.linspace(0.1, 1, audio.samples), audio.sample_rate)


@pytest.mark.parametrize(("turn", "rate"), [(8, 44100), (-16, 44100), (24, 88200)])
def test_law_18_a_loop_that_is_turned_gives_the_take_turned(pipeline: Pipeline, turn: int, rate: int):
    hop = 768 * rate // 44100
    audio = loud(noise(40 * hop, 2, rate))
    turned = Audio(audio.wave.roll(turn * hop, -1), rate)
    prompt = Prompt.of(["periodic:period=8,width=4"])
    take = pipeline.vary(audio, prompt, loop=True, **QUICK)
    other = pipeline.vary(turned, prompt, loop=True, turned=turn, **QUICK)
    assert torch.equal(other.codes, take.codes.roll(turn, -1))
    torch.testing.assert_close(other.audio.wave, take.audio.wave.roll(turn * hop, -1), atol=1e-4, rtol=0)
    assert (other.settings["turned"], other.settings["loop"]) == (turn, True)


@pytest.mark.parametrize(("samples", "rate"), [(40 * 768 + 300, 44100), (31111, 48000), (5001, 8000)])
def test_a_loop_keeps_original_samples_across_its_seam(pipeline: Pipeline, samples: int, rate: int):
    audio = noise(samples, 2, rate)
    seconds = samples / rate
    middle = Prompt.of(hide=[Inpaint(start=0.4 * seconds, end=0.6 * seconds)])
    take = pipeline.vary(audio, middle, loop=True, **QUICK)
    less = (take.audio.wave != audio.wave)[0].any(0).nonzero().flatten()
    hop = samples / take.codes.shape[-1]
    places = take.mask[0, 0].nonzero().flatten()
    assert int(less.min()) >= int(places[0]) * hop
    assert int(less.max()) < (int(places[-1]) + 1) * hop
    assert len(less) > 0.9 * hop * len(places)
    ends = pipeline.vary(audio, Prompt.of(hide=["prefix:seconds=0.05", "suffix:seconds=0.05"]), loop=True, **QUICK)
    frame = -(-samples // take.codes.shape[-1])
    assert bool((ends.audio.wave != audio.wave)[..., : 2 * frame].all(1).float().mean() > 0.9)


def test_a_loop_that_is_kept_whole_is_the_input_and_with_redraw_its_reconstruction(pipeline: Pipeline):
    audio = noise(30001, 2, 48000)
    everything = Prompt(keep=(Everything(),))
    assert torch.equal(pipeline.vary(audio, everything, loop=True).audio.wave, audio.wave)
    redrawn = pipeline.vary(audio, everything, loop=True, redraw=True)
    assert torch.equal(redrawn.audio.wave, reconstruction(pipeline, audio, loop=True).wave)


def test_a_long_take_is_the_same_at_any_batch_size(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("ostinato.filling.SPAN", 16)
    monkeypatch.setattr("ostinato.filling.OVERLAP", 4)
    monkeypatch.setattr("ostinato.filling.FINE_SPAN", 12)
    monkeypatch.setattr("ostinato.filling.FINE_OVERLAP", 3)
    audio = noise(90 * 768, 2)
    one = pipeline.vary(audio, SEVENTH, **QUICK)
    many = pipeline.vary(audio, SEVENTH, batch=50, **QUICK)
    assert torch.equal(one.audio.wave, many.audio.wave)
    assert one.settings == many.settings
