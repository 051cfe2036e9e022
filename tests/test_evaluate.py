"""Laws of the measurements: copies are perfect, more is nearer, knowledge saves bits, and a card holds only figures."""

import math
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ostinato import audiofile
from ostinato.clip import Clip
from ostinato.errors import AudioError, ConfigError, CorpusError, MissingPartError, OstinatoError
from ostinato.evaluate import estimate, listen, opus, passages, score_codec
from ostinato.evaluate.estimates import quiet
from ostinato.evaluate.judges import BEST, JUDGES, mel
from ostinato.evaluate.prediction import Stage, cosine_shares, frequency_bits, hidden_bits, score_tokens
from ostinato.evaluate.reconstruction import levels_of, tokens
from ostinato.evaluate.variation import fill_by_chance, score_prompts
from ostinato.metrics import delay, unigram, unigram_entropy
from ostinato.nn.quantize import ResidualQuantizer
from ostinato.prompts import Prompt
from ostinato.types import Audio, Grid, Take

RATE = 8000


class Steps:
    """A codec that holds one sample of every hop, four times finer with each codebook."""

    grid = Grid(sample_rate=RATE, hop=4, codebooks=5, vocabulary=4)
    reach, period, draws_phases = 0, 1, False
    quantizer = ResidualQuantizer(1, 5, 4, 1)

    def encode(self, signal: Tensor) -> Tensor:
        held = torch.nn.functional.pad(signal, (0, -signal.shape[-1] % 4))[:, ::4]
        whole = ((held.clamp(-1, 0.999) + 1) / 2 * 4**5).long()
        return torch.stack([whole // 4 ** (4 - level) % 4 for level in range(5)], dim=1)

    def decode(self, codes: Tensor, samples: int) -> Tensor:
        levels = codes.shape[1]
        weights = 0.25 ** torch.arange(1, levels + 1)
        whole = (codes * weights[:, None]).sum(1) + 0.5 * 0.25**levels
        return (whole * 2 - 1).repeat_interleave(4, dim=-1)[:, :samples]

    def encode_blocks(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        yield from map(self.encode, blocks)

    def decode_blocks(self, codes: Iterable[Tensor], samples: int) -> Iterator[Tensor]:
        yield from (self.decode(part, samples) for part in codes)

    def decode_means(self, means: Iterable[Tensor], samples: int) -> Iterator[Tensor]:
        raise NotImplementedError

    def vectors(self) -> Tensor:
        return torch.zeros(5, 4, 1)


def tune(pitch: float, seconds: float = 2.0, rate: int = RATE) -> Audio:
    """A plucked note twice a second, with overtones."""
    time = torch.arange(round(seconds * rate)) / rate
    wave = sum((2 * math.pi * pitch * n * time).sin() / n for n in range(1, 6))
    return Audio((0.1 * wave * (-6 * (2 * time % 1)).exp())[None, None], rate)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music") / "test"
    folder.mkdir()
    for number, pitch in enumerate((110, 196, 277)):
        _ = audiofile.write(folder / f"{number}.wav", tune(pitch))
    return folder


def test_a_seed_draws_its_passages_and_spreads_them_over_the_tracks(split: Path):
    first, again, other = (passages(split, 6, 0.5, seed, RATE) for seed in (0, 0, 1))
    assert [(p.track, p.start) for p in first] == [(p.track, p.start) for p in again]
    assert [p.start for p in first] != [p.start for p in other]
    assert sorted(p.track for p in first[:3]) == sorted(p.track for p in first[3:]) == ["0", "1", "2"]
    assert {p.audio.wave.shape for p in first} == {(1, 1, RATE // 2)}


def test_passages_are_mono_at_the_asked_rate_and_one_loudness(tmp_path: Path):
    loud, soft = tune(200, rate=16000), tune(200, rate=16000)
    _ = audiofile.write(tmp_path / "loud.wav", Audio(loud.wave.expand(1, 2, -1), 16000))
    _ = audiofile.write(tmp_path / "soft.wav", Audio(soft.wave * 0.05, 16000))
    one, two = passages(tmp_path, 2, 2.0, 0, RATE)
    assert one.audio.sample_rate == RATE
    assert one.audio.channels == 1
    torch.testing.assert_close(one.audio.wave, two.audio.wave, atol=1e-3, rtol=0.01)


def test_passages_avoid_silence_and_refuse_a_split_that_is_silent(tmp_path: Path):
    wave = torch.cat([torch.zeros(1, 1, 6 * RATE), tune(200).wave], dim=-1)
    _ = audiofile.write(tmp_path / "late.wav", Audio(wave, RATE))
    assert all(float(p.audio.wave.abs().max()) > 0.01 for p in passages(tmp_path, 4, 0.5, 0, RATE))
    _ = audiofile.write(tmp_path / "late.wav", Audio(torch.zeros(1, 1, 6 * RATE), RATE))
    with pytest.raises(CorpusError, match=r"no 4 passages of 0.5 s above -60 dBFS, only 0"):
        _ = passages(tmp_path, 4, 0.5, 0, RATE)


def test_an_estimate_lies_within_its_bounds_and_is_sure_of_equal_values():
    some = estimate([1.0, 2.0, 4.0, 9.0])
    assert some.low < some.mean == 4.0 < some.high
    assert some == estimate([1.0, 2.0, 4.0, 9.0])
    same = estimate([3.0] * 5)
    assert (same.mean, same.low, same.high, same.count) == (3.0, 3.0, 3.0, 5)
    for bad in ([], [1.0, math.nan]):
        with pytest.raises(OstinatoError, match="finite values"):
            _ = estimate(bad)


@pytest.mark.parametrize("name", JUDGES)
def test_a_judge_gives_a_copy_its_best_score_and_noise_a_worse_one(name: str):
    if name != "mel":
        _ = pytest.importorskip(name)
    sound = tune(220, 1.5)
    noisy = Audio(sound.wave + 0.05 * torch.randn(sound.wave.shape, generator=torch.Generator().manual_seed(0)), RATE)
    best = JUDGES[name](sound, sound)
    assert best == pytest.approx(BEST[name], abs=2e-3)
    assert abs(JUDGES[name](sound, noisy) - best) > 0.3


@pytest.mark.parametrize("name", ["zimtohrli", "visqol"])
def test_a_judge_of_hearing_refuses_silence_by_name(name: str):
    _ = pytest.importorskip(name)
    with pytest.raises(AudioError, match=f"{name} has nothing to say about silence"):
        _ = JUDGES[name](tune(220), Audio(torch.zeros(1, 1, RATE), RATE))


def test_visqol_refuses_what_is_too_short_for_it():
    with pytest.raises(AudioError, match=r"visqol needs passages of at least 1 s, got 0.5 s"):
        _ = JUDGES["visqol"](tune(220, 0.5), tune(220, 0.5))


def test_a_judge_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "zimtohrli", None)
    with pytest.raises(MissingPartError, match=r"pip install 'ostinato\[evaluate\]'"):
        _ = JUDGES["zimtohrli"](tune(220), tune(220))


def test_opus_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert opus.version() == ""
    with pytest.raises(MissingPartError, match="apt-get install -y --no-install-recommends opus-tools"):
        _ = opus.roundtrip(tune(220), 12)


@pytest.mark.skipif(shutil.which("opusenc") is None, reason="opus-tools is not installed")
def test_opus_keeps_length_and_place_and_is_nearer_for_more_bits():
    sound = tune(220, 3.0, rate=44100)
    (coarse, few), (fine, many) = opus.roundtrip(sound, 6), opus.roundtrip(sound, 48)
    assert coarse.wave.shape == fine.wave.shape == sound.wave.shape
    assert delay(sound.wave[0], fine.wave[0], 400).tolist() == [0]
    assert few < many < 60_000 * 3
    assert mel(sound, fine) < mel(sound, coarse)


def test_the_codec_is_judged_at_1_4_and_all_codebooks_beside_the_input(split: Path):
    result = score_codec(Steps(), split, count=3, seconds=1.0, usage=4, judges=("mel",), opus_rates=())
    assert [score.system for score in result.scores] == ["the input itself", "1 codebook", "4 codebooks", "5 codebooks"]
    distances = [score.judged["mel"].mean for score in result.scores]
    assert distances[0] == 0 < distances[3] < distances[2] < distances[1]
    assert [score.kbps for score in result.scores] == [0, 4, 16, 20]
    assert len(result.perplexity) == 5
    assert all(1 <= value <= 4 for value in result.perplexity)
    assert (result.tokens, result.split, result.tracks) == (4 * 2000, "test", 3)
    assert result.speed > 0
    assert levels_of(Steps()) == (1, 4, 5)


def test_an_unknown_judge_is_refused_before_any_work(tmp_path: Path):
    with pytest.raises(ConfigError, match="no judge 'ears'"):
        _ = score_codec(Steps(), tmp_path, judges=("ears",))


def test_the_shares_of_the_cosine_schedule_fall_from_all_to_none_around_their_mean():
    shares = cosine_shares(64)
    assert shares == sorted(shares, reverse=True)
    assert 0 < shares[-1] < shares[0] < 1
    assert sum(shares) / 64 == pytest.approx(2 / math.pi, abs=1e-3)


def knowing(given: int, codebooks: int, seen: list[tuple[Tensor, Tensor]]) -> Callable[[Tensor, Tensor], Tensor]:
    def predict(codes: Tensor, mask: Tensor) -> Tensor:
        seen.append((codes, mask))
        return torch.nn.functional.one_hot(codes[:, given:codebooks], 4) * 50.0

    return predict


def test_hidden_bits_hide_exactly_the_share_of_predicted_cells_and_nothing_that_is_given():
    codes = torch.randint(0, 4, (3, 5, 20), generator=torch.Generator().manual_seed(0))
    seen: list[tuple[Tensor, Tensor]] = []
    stage = Stage("fine", 5, 2, knowing(2, 5, seen))
    assert hidden_bits(stage, codes, 0.5, seed=1).tolist() == [0, 0, 0]
    mask = torch.cat([mask for _, mask in seen])
    assert not mask[:, :2].any()
    assert mask[:, 2:].sum((1, 2)).tolist() == [30, 30, 30]
    assert not torch.equal(mask[0], mask[1])


def test_a_coarse_stage_sees_only_its_own_codebooks():
    seen: list[tuple[Tensor, Tensor]] = []
    codes = torch.zeros(1, 5, 20, dtype=torch.long)
    _ = hidden_bits(Stage("coarse", 3, 0, knowing(0, 3, seen)), codes, 0.5, seed=1)
    assert seen[0][0].shape == (1, 3, 20)


def test_frequencies_of_the_tokens_themselves_are_the_hardest_to_beat():
    chance = torch.Generator().manual_seed(0)
    codes = torch.rand(2, 3, 4000, generator=chance).square().mul(4).long()
    others = torch.randint(0, 4, (2, 3, 4000), generator=chance)
    own = frequency_bits(codes, codes, 4)
    torch.testing.assert_close(own, unigram_entropy(codes, 4), atol=1e-3, rtol=0)
    assert (frequency_bits(codes, others, 4) > own).all()
    assert frequency_bits(codes, torch.zeros(1, 3, 5, dtype=torch.long), 4).isfinite().all()


def test_a_model_that_knows_only_frequencies_saves_nothing_and_one_that_knows_all_saves_all(split: Path):
    codec = Steps()
    codes = tokens(codec, passages(split, 6, 1.0, 0, RATE))
    bare = unigram(codes, 4).clamp_min(1e-9).log()

    def frequencies(codes: Tensor, mask: Tensor) -> Tensor:
        return bare[: codes.shape[1], None].expand(len(codes), -1, codes.shape[2], -1)

    plain = Stage("coarse", 3, 0, frequencies)
    sure = Stage("fine", 5, 3, knowing(3, 5, []))
    result = score_tokens(codec, [plain, sure], split, count=6, seconds=1.0)
    assert [level.codebook for level in result.levels] == [1, 2, 3, 4, 5]
    assert all(abs(level.saved) < 0.05 for level in result.levels[:3])
    assert all(level.saved == 1 for level in result.levels[3:])
    assert result.hidden == pytest.approx(2 / math.pi, abs=0.01)
    assert result.unigram_from == "the measured tokens themselves"
    assert score_tokens(codec, [plain], split, train=split, count=6, seconds=1.0).unigram_from.endswith("of test")


def test_chance_keeps_what_is_kept_and_draws_only_what_a_codebook_uses():
    codes = torch.full((2, 2, 50), 3)
    known = torch.tensor([[[0, 0, 1], [2, 2, 2]]])
    mask = torch.zeros(2, 2, 50, dtype=torch.bool)
    mask[:, :, ::2] = True
    filled = fill_by_chance(codes, mask, known, 4, seed=0)
    assert (filled[~mask] == 3).all()
    assert set(filled[:, 0, ::2].flatten().tolist()) == {0, 1}
    assert set(filled[:, 1, ::2].flatten().tolist()) == {2}
    assert torch.equal(filled, fill_by_chance(codes, mask, known, 4, seed=0))


def faithful(sound: Audio, prompt: Prompt, seed: int) -> Take:
    codec = Steps()
    codes = codec.encode(sound.wave[:, 0])
    mask = prompt.mask(Clip(codec.grid, sound.samples))[None]
    return Take(Audio(codec.decode(codes, sound.samples)[:, None], RATE), codes, mask, seed)


def test_a_take_that_changes_nothing_is_at_no_distance_and_chance_and_other_tracks_are(split: Path):
    result = score_prompts(Steps(), faithful, split, count=4, seconds=1.0, usage=4)
    assert result.take.mean == 0
    assert result.chance_less_take.low > 0
    assert result.other_less_take.low > 0
    assert result.hidden == pytest.approx(6 / 7, abs=1e-3)
    assert result.prompt["keep"][0]["period"] == 7


def test_takes_are_not_compared_with_another_track_where_there_is_none(tmp_path: Path):
    _ = audiofile.write(tmp_path / "only.wav", tune(200))
    with pytest.raises(CorpusError, match="only one"):
        _ = score_prompts(Steps(), faithful, tmp_path, count=2, seconds=0.5, usage=2)


def test_listening_draws_a_picture_or_leaves_nothing(tmp_path: Path):
    _ = pytest.importorskip("matplotlib")
    listen(Steps(), tune(220), tmp_path / "levels.png")
    assert (tmp_path / "levels.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(AudioError, match="cannot write"):
        listen(Steps(), tune(220), tmp_path / "nowhere" / "levels.png")
    assert [path.name for path in tmp_path.iterdir()] == ["levels.png"]


def test_progress_is_told_to_whoever_watches(split: Path):
    told: list[tuple[str, int, int]] = []
    _ = tokens(Steps(), passages(split, 3, 0.5, 0, RATE), lambda *what: told.append(what))
    assert told == [("encoding", 1, 3), ("encoding", 2, 3), ("encoding", 3, 3)]
    quiet(*told[0])
