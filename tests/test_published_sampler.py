"""What the published sampler, masks and preparation do, faults included, on grids small enough to see through."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ostinato.interop import published_masks as masks
from ostinato.interop.published import Published, Step, Vamper, generate
from ostinato.interop.published_audio import measured, onset_frames, prepared, resampled
from ostinato.interop.torchfile import read
from ostinato.interop.vampnet import read_codec, read_model
from ostinato.masks import drawing
from ostinato.sampling import Noise, Sampler
from ostinato.types import Audio, Grid
from tests import published_files as files

GOLDEN = Path(__file__).parent / "golden" / "published.json"
Listener = Callable[..., Callable[[Tensor, Tensor], Tensor]]
mkl = pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="torch draws by MKL elsewhere than here")


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def vamper(tmp_path_factory: pytest.TempPathFactory) -> Vamper:
    """Chunks of 20 coarse and 10 fine frames."""
    made = files.write_all(tmp_path_factory.mktemp("published"))
    codec = read_codec(read(made["codec"]))
    coarse, fine = (read_model(read(made[stage]), codec.vectors()) for stage in ("coarse", "fine"))
    return Vamper(codec.grid, coarse, fine, chance(), coarse_seconds=0.02, fine_seconds=0.01)


def tokens(frames: int = 30, batch: int = 1) -> Tensor:
    return torch.randint(16, (batch, 5, frames), generator=chance(1))


def steps_of(vamper: Vamper, batch: int, settings: Published) -> list[Step]:
    seen: list[Step] = []
    _ = generate(vamper.coarse, tokens(16, batch)[:, :4], None, settings, chance=chance(), watch=seen.append)
    return seen


def test_it_is_a_sampler_that_fills_what_is_hidden_and_nothing_else(listener: Listener, grid_of: Callable):
    codes, mask = grid_of()
    seen: list[int] = []
    made = Published(sampling_steps=4)(
        listener(), codes, mask, Noise([3, 4]), lambda step, codes, hidden: seen.append(int(hidden.sum()))
    )
    assert isinstance(Published(), Sampler)
    assert torch.equal(made[~mask], codes[~mask])
    assert 0 <= int(made.min()) <= int(made.max()) < 7
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == 0


def test_in_a_hurry_the_pass_that_was_made_fills_all(listener: Listener, grid_of: Callable):
    codes, mask = grid_of()
    asked: list[bool] = []

    def hurry() -> bool:
        asked.append(True)
        return len(asked) == 2

    made = Published(sampling_steps=9)(listener(), codes, mask, Noise([3, 4]), hurry=hurry)
    assert Published(sampling_steps=9).passes(mask) == 9
    assert len(asked) == 2
    assert torch.equal(made[~mask], codes[~mask])
    assert bool((made >= 0).all())


@mkl
def test_the_golden_grid_comes_out(listener: Listener, grid_of: Callable):
    codes, mask = grid_of()
    made = {
        "default": Published(),
        "narrow": Published(sampling_steps=5, top_p=0.7, temperature=1.3, sample_cutoff=0.5, mask_temperature=2.0),
        "guided": Published(sampling_steps=3, cfg_guidance=3.0),
    }
    got = {name: how(listener(), codes, mask, Noise([5, 6])).tolist() for name, how in made.items()}
    assert got == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_cells_are_counted_over_the_whole_batch(vamper: Vamper):
    alone = [int(step.left[0]) for step in steps_of(vamper, 1, Published(sampling_steps=6))]
    assert alone == [61, 55, 45, 31, 16, 0]
    together = [step.left[:, 0].tolist() for step in steps_of(vamper, 2, Published(sampling_steps=6))]
    assert together == [[63, 63], [62, 62], [61, 61], [60, 60], [33, 33], [0, 0]]


@pytest.mark.parametrize(
    "settings",
    [
        {"typical_filtering": False},
        {"typical_mass": 0.01, "typical_min_tokens": 1},
        {"temperature": 0.0},
    ],
)
def test_settings_without_effect_change_no_token(vamper: Vamper, settings: dict):
    usual, other = Published(), Published(**settings)
    made = [generate(vamper.coarse, tokens()[:, :4], None, how, chance=chance(2)) for how in (usual, other)]
    assert torch.equal(*made)


def test_guidance_of_any_strength_gives_the_same_tokens(vamper: Vamper):
    some, more, none = (
        generate(vamper.coarse, tokens()[:, :4], None, Published(cfg_guidance=g), chance=chance(2))
        for g in (1, 9, None)
    )
    assert torch.equal(some, more)
    assert not torch.equal(some, none)


def test_a_negative_cutoff_without_mask_temperature_draws_no_token(vamper: Vamper):
    greedy = Published(sample_cutoff=-1.0, mask_temperature=0.0)
    made = [generate(vamper.coarse, tokens()[:, :4], None, greedy, chance=chance(seed)) for seed in (1, 2)]
    assert torch.equal(*made)


def test_a_seed_restarts_the_generator_in_every_chunk(vamper: Vamper):
    same = tokens(20).repeat(1, 1, 2)
    made, _ = vamper.coarse_vamp(same, torch.ones_like(same), seed=4)
    assert torch.equal(made[:, :4, :20], made[:, :4, 20:])
    free, _ = vamper.coarse_vamp(same, torch.ones_like(same))
    assert not torch.equal(free[:, :4, :20], free[:, :4, 20:])


def test_a_chunk_that_keeps_anything_keeps_its_ends(vamper: Vamper):
    mask = torch.ones_like(tokens(50))
    mask[..., 5] = 0
    _, shown = vamper.coarse_vamp(tokens(50), mask, Published(sampling_steps=1))
    assert drawing(shown == 16)[0] == "." + "####" + "." + "#" * 13 + "." + "#" * 30


def test_fine_codebooks_are_filled_and_coarse_ones_kept(vamper: Vamper):
    made, shown = vamper.coarse_to_fine(tokens(33)[:, :4])
    assert made.shape == (1, 5, 33)
    assert torch.equal(made[:, :4], tokens(33)[:, :4])
    assert drawing(shown == 16) == [*["." * 33] * 4, "#" * 33]


def test_a_vamp_keeps_what_is_kept_and_stretches(vamper: Vamper):
    mask = masks.periodic(tokens(), 3, chance=chance())
    made, shown = vamper.vamp(tokens(), mask, Published(sampling_steps=2), batch_size=2, feedback_steps=2, seed=1)
    kept = shown < 16
    assert made.shape == (2, 5, 30)
    assert torch.equal(made[kept], tokens().expand(2, -1, -1)[kept])
    longer, _ = vamper.vamp(tokens(), mask, Published(sampling_steps=2), time_stretch_factor=2)
    assert longer.shape == (1, 5, 60)
    assert torch.equal(longer[0, :, ::6], tokens()[0, :, ::3])


def test_an_even_width_is_one_frame_wider_and_the_roll_wraps():
    x = torch.zeros(1, 1, 12, dtype=torch.long)
    assert drawing(masks.periodic(x, 5, 1, chance=chance()) == 1) == [".####.####.#"]
    assert drawing(masks.periodic(x, 5, 2, chance=chance()) == 1) == ["..##...##..."]
    assert drawing(masks.periodic(x, 5, 3, chance=chance()) == 1) == ["..##...##..."]
    assert drawing(masks.periodic(x, 0, chance=chance()) == 1) == ["#" * 12]
    rolled = masks.periodic(x, 5, random_roll=True, chance=chance(3))
    assert int(rolled.sum()) == 9


def test_masks_of_ends_codebooks_and_drops():
    x = torch.zeros(2, 3, 10, dtype=torch.long)
    assert drawing(masks.inpaint(x, 2, 3) == 1)[0] == "..#####..."
    assert drawing(masks.inpaint(x, 0, 0) == 1)[0] == "#" * 10
    assert drawing(masks.codebook_mask(x, 2) == 1) == ["." * 10, "." * 10, "#" * 10]
    assert drawing(masks.codebook_unmask(x + 1, 1) == 1) == ["." * 10, "#" * 10, "#" * 10]
    dropped = masks.drop(x, 0.5, chance())
    assert 1 <= int(dropped[0, 0].sum()) <= 5
    assert bool((dropped == dropped[:1, :1]).all())
    assert int(masks.linear_random(x, 1.0, chance()).sum()) == 60
    assert int(masks.random(x, 0.0, chance()).sum()) == 60


def test_a_built_mask_joins_its_parts():
    grid = Grid(sample_rate=1000, hop=10, codebooks=4)
    x = torch.zeros(1, 4, 20, dtype=torch.long)
    made = masks.build_mask(x, grid, chance(), periodic_prompt=0, prefix_s=0.05, suffix_s=0.03, ncc=1)
    assert drawing(made == 1) == ["." * 20, *[".....############..."] * 2, "#" * 20]
    assert int(masks.build_mask(x, grid, chance(), dropout=1.0, upper_codebook_mask=9)[0, 0].sum()) > 10


def test_beats_are_kept_or_alone_hidden():
    grid = Grid(sample_rate=1000, hop=10, codebooks=2)
    beats = {"beats": [0.02, 0.06, 0.1], "downbeats": [0.02]}
    made = masks.beat_mask(0.15, 2, grid, chance(), **beats)
    assert drawing(made == 1) == ["##..##..##..###"] * 2
    only = masks.beat_mask(0.15, 2, grid, chance(), **beats, mask_upbeats=False, invert=False)
    assert drawing(only == 1)[0] == "..##..........."


def clicks(rate: int, *seconds: float) -> Audio:
    wave = torch.zeros(1, 1, rate)
    for at in seconds:
        start = round(at * rate)
        burst = torch.randn(rate // 20, generator=chance()) * torch.linspace(1, 0, rate // 20)
        wave[0, 0, start : start + rate // 20] += burst
    return Audio(wave, rate)


def test_onsets_are_found_where_notes_begin_and_keep_frames_around_them():
    audio = clicks(8000, 0.2, 0.5, 0.8)
    found = onset_frames(audio.wave[0, 0], 8000, 80)
    assert torch.allclose(found.float(), torch.tensor([20.0, 50, 80]), atol=3)
    mask = masks.onsets(audio, torch.zeros(1, 1, 100, dtype=torch.long), 80, 2)
    assert int((mask == 0).sum()) == 12
    assert bool((mask[0, 0, found] == 0).all())


def test_silence_has_no_onsets():
    assert onset_frames(torch.zeros(4000), 8000, 80).tolist() == []


def test_sound_is_brought_to_one_channel_one_level_and_whole_frames():
    grid = Grid(sample_rate=8000, hop=96)
    noise = torch.randn(1, 2, 16001, generator=chance()) * 0.01
    made = prepared(Audio(noise, 16000), grid)
    assert made.wave.shape == (1, 1, 8064)
    assert measured(made.wave[0], 8000) == pytest.approx(-24, abs=0.1)
    assert float(prepared(Audio(torch.eye(1, 8000)[None], 8000), grid).wave.abs().max()) <= 1
    assert not bool(prepared(Audio(torch.zeros(1, 1, 50), 8000), grid).wave.any())


@pytest.mark.parametrize(("rate", "new"), [(8000, 8000), (22050, 8820), (8000, 12000)])
def test_a_slow_wave_keeps_its_shape_at_another_rate(rate: int, new: int):
    time, new_time = (torch.arange(r).float() / r for r in (rate, new))
    made = resampled((2 * torch.pi * 50 * time).sin()[None], rate, new)[0]
    middle = slice(new // 10, -new // 10)
    assert len(made) == new
    assert torch.allclose(made[middle], (2 * torch.pi * 50 * new_time).sin()[middle], atol=1e-3)
