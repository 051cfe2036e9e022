"""Training resumes to the bit, learns, logs, and says when it has failed."""

import json
import math
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from ostinato.checkpoint import read_config, restore, save
from ostinato.codec import CodecConfig, SpectralCodec
from ostinato.config import load, plain
from ostinato.errors import CheckpointError, ConfigError, TrainingError
from ostinato.lm import LMConfig, MaskedModel
from ostinato.train.codec import CodecJob, CodecTraining, hushed
from ostinato.train.lm import LMJob, LMTraining, answer_with, half_sums, optimizers, random_mask, shaped_mask
from ostinato.train.loop import LoopConfig, rate, run
from ostinato.train.losses import phase_loss
from ostinato.train.runs import settings_of, start
from ostinato.train.state import Average, read_state, write_state
from ostinato.types import Grid
from tests import tiny


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music")
    time = np.arange(3 * 44100) / 44100
    for number, pitch in enumerate((220, 330)):
        wave = 0.2 * np.sign(np.sin(2 * np.pi * pitch * time)) * np.exp(-(time % 0.5) * 6)
        soundfile.write(folder / f"{number}.wav", np.stack([wave, 0.8 * wave], 1), 44100)
    return folder


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("codec")
    save(folder, tiny.CODEC, tiny.codec())
    return folder


def codec_training(music: Path, **changes: Any) -> CodecTraining:
    usual = {
        "model": tiny.CODEC,
        "loop": LoopConfig(steps=6, validate_every=3, log_every=2, checkpoint_minutes=0),
        "train": str(music),
        "validation": str(music),
        "batch": 2,
        "frames": 12,
        "around": 8,
        "critics": (64,),
        "critic_width": 8,
        "critic_from": 2,
        "critic_items": 1,
        "held_out": 2,
        "collapse": 0.0,
    }
    return CodecTraining(**{**usual, **changes})


def lm_training(music: Path, frozen: Path, cache: Path, **changes: Any) -> LMTraining:
    usual = {
        "model": tiny.COARSE,
        "loop": LoopConfig(steps=6, validate_every=3, log_every=2, checkpoint_minutes=0),
        "codec": str(frozen),
        "train": str(music),
        "validation": str(music),
        "cache": str(cache),
        "batch": 2,
        "frames": 24,
        "held_out": 3,
    }
    return LMTraining(**{**usual, **changes})


def lines(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", ["codec", "lm"])
def test_a_run_that_was_stopped_goes_on_to_the_bit(kind: str, music: Path, frozen: Path, tmp_path: Path):
    def job() -> CodecJob | LMJob:
        if kind == "codec":
            return CodecJob(codec_training(music))
        return LMJob(lm_training(music, frozen, tmp_path / "cache"))

    whole = [job_step for made in [job()] for job_step in (made.step(0), made.step(1), made.step(2), made.step(3))]
    first = job()
    halves = [first.step(0), first.step(1)]
    write_state(tmp_path / "state.safetensors", first.state())
    second = job()
    second.load(read_state(tmp_path / "state.safetensors"))
    halves += [second.step(2), second.step(3)]
    assert halves == whole
    assert all(torch.equal(a, b) for a, b in zip(*(_weights(j) for j in (second, _run(job(), 4))), strict=True))


def _run(job: CodecJob | LMJob, steps: int) -> CodecJob | LMJob:
    for index in range(steps):
        _ = job.step(index)
    return job


def _weights(job: CodecJob | LMJob) -> list[torch.Tensor]:
    return list(job.average.weights.values())


def test_a_codec_run_learns_logs_and_leaves_a_checkpoint(music: Path, tmp_path: Path):
    settings = codec_training(music, loop=LoopConfig(steps=30, validate_every=10, log_every=10), critic_from=100)
    start(tmp_path / "run", "codec", settings)
    log = lines(tmp_path / "run")
    scores = [line["score"] for line in log if "score" in line]
    assert scores[-1] < scores[0]
    assert "perplexity_0" in log[0]
    best = tmp_path / "run" / "best"
    restore(best, SpectralCodec(read_config(best, CodecConfig)))


def test_a_model_run_learns_more_than_the_vocabulary_is_large(music: Path, frozen: Path, tmp_path: Path):
    settings = lm_training(
        music, frozen, tmp_path / "cache", loop=LoopConfig(steps=60, validate_every=30), warm_up=5, rate=1e-2
    )
    start(tmp_path / "run", "lm", settings)
    assert lines(tmp_path / "run")[-1]["score"] < 0.9 * math.log2(32)
    best = tmp_path / "run" / "best"
    restore(best, MaskedModel(read_config(best, LMConfig)))


def test_the_critics_join_when_they_are_due(music: Path):
    job = CodecJob(codec_training(music))
    assert "critic" not in job.step(0)
    before = [p.clone() for p in job.critics.parameters()]
    assert "critic" in job.step(2)
    assert any(not torch.equal(a, b) for a, b in zip(before, job.critics.parameters(), strict=True))
    assert all(p.requires_grad for p in job.critics.parameters())


@pytest.mark.parametrize("keep", ["coarse", "tokens"])
def test_a_run_leaves_what_it_is_told_to_keep(keep: str, music: Path, frozen: Path, tmp_path: Path):
    start(tmp_path / "run", "codec", codec_training(music, start=str(frozen), keep=keep, rate=1e-2, least=0.9))
    before, after = tiny.codec().half().float(), SpectralCodec(tiny.CODEC)
    restore(tmp_path / "run" / "best", after)
    signal = CodecJob(codec_training(music)).held_out
    same = (before.encode(signal) == after.encode(signal)).all(-1).all(0)
    assert bool(same[:4].all())
    assert bool(same[4:].all()) == (keep == "tokens")
    assert not torch.equal(before.decoder[0].weight, after.decoder[0].weight)


def test_what_is_kept_must_be_there(music: Path):
    with pytest.raises(ConfigError, match="to keep tokens, a run needs a codec to start from; name one with --from"):
        _ = codec_training(music, keep="tokens")


def test_a_codec_that_knew_no_phases_learns_them_and_its_coarse_tokens_hold(music: Path, tmp_path: Path):
    new = replace(tiny.CODEC, grid=Grid(codebooks=8, vocabulary=32))
    old = replace(new, phased=0, phased_from=0)
    save(tmp_path / "old", old, tiny.codec(old))
    job = CodecJob(codec_training(music, start=str(tmp_path / "old"), keep="coarse", model=new))
    before, after = tiny.codec(old), job.averaged()
    codes = before.encode(job.held_out)
    assert torch.equal(after.encode(job.held_out)[:, :4], codes[:, :4])
    for part in ("down.weight", "up.weight", "codebook"):
        moved = [dict(c.named_parameters())[f"quantizer._levels.{n}.{part}"] for c, n in ((before, 4), (after, 6))]
        assert torch.equal(*moved)
    with pytest.raises(TrainingError, match="old has slow_out 16, and the run 8"):
        _ = CodecJob(codec_training(music, start=str(tmp_path / "old"), model=replace(new, slow_out=8)))


def test_phases_cost_what_they_are_off_where_they_are_told():
    real = torch.randn(3, 5, 9, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    turned = torch.tensor([0, math.pi / 2, math.pi])[:, None, None]
    for row in range(3):
        cost = phase_loss(real, real.angle() + turned, 4, torch.arange(3) == row)
        assert float(cost) == pytest.approx(row, abs=1e-5)
    above = real.angle()
    above[..., 5:] += 1
    assert float(phase_loss(real, above, 4, torch.ones(3, dtype=torch.bool))) == pytest.approx(0, abs=1e-5)
    assert float(phase_loss(real, above + 1, 4, torch.zeros(3, dtype=torch.bool))) == 0


def test_what_the_ends_of_a_signal_reach_is_not_paid_for(music: Path):
    settings = codec_training(music, hush=0.0)
    real, hop = CodecJob(settings).music.batch(0, 2), tiny.GRID.hop
    assert settings.around > tiny.CODEC.context
    other = real.clone()
    other[:, :hop], other[:, -hop:] = 0.0, 0.5
    made, figures, loss = CodecJob(settings)._reconstruct(real, 0)
    again, likewise, same = CodecJob(settings)._reconstruct(other, 0)
    assert made.shape == (2, settings.frames * hop)
    assert torch.equal(made, again)
    assert torch.equal(loss, same)
    assert figures == likewise


def test_a_share_of_excerpts_is_silent_before_or_behind_a_place():
    rows = torch.ones(400, 50)
    quiet = hushed(rows, 0.25, np.random.default_rng(0))
    assert bool((rows == 1).all())
    touched = (quiet == 0).any(1)
    assert 60 <= int(touched.sum()) <= 140
    for row in quiet[touched]:
        turns = int((row[1:] != row[:-1]).sum())
        assert turns == 1 or not row.any()
    assert {bool(row[0] == 0) for row in quiet[touched] if row.any()} == {True, False}
    assert torch.equal(hushed(rows, 0.0, np.random.default_rng(0)), rows)


def test_a_run_whose_codebooks_collapse_stops_and_says_so(music: Path):
    job = CodecJob(codec_training(music, collapse=40.0, collapse_after=1))
    with pytest.raises(TrainingError, match="codebook 0 has collapsed at step 1: perplexity"):
        _ = _run(job, 3)


def test_dead_codes_move_onto_vectors_of_the_batch():
    level = tiny.codec().quantizer.levels[0]
    vectors = torch.randn(2, 40, 8, generator=torch.Generator().manual_seed(0))
    level.usage.fill_(1.0)
    level.usage[5] = 0.0
    before = level.codebook.clone()
    assert level.revive(vectors, 0.03, torch.Generator().manual_seed(0)) == 1
    moved = (level.codebook != before).any(1).nonzero()[:, 0].tolist()
    assert moved == [5]
    assert float((vectors.flatten(0, 1) - level.codebook[5]).norm(dim=1).min()) < 0.5


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path):
    class Broken:
        def step(self, index: int) -> dict[str, float]:
            return {"mel": math.nan if index == 2 else 1.0}

        def validate(self) -> dict[str, float]:
            return {"score": 1.0}

        def state(self) -> dict[str, Any]:
            return {}

        def load(self, state: dict[str, Any]) -> None: ...

        def export(self, folder: Path) -> None: ...

    with pytest.raises(TrainingError, match="mel is not finite at step 2"):
        run(Broken(), tmp_path, LoopConfig(steps=5))


def test_a_signal_ends_a_run_after_its_step_with_a_checkpoint(tmp_path: Path):
    class Stopped:
        def step(self, index: int) -> dict[str, float]:
            if index == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return {"mel": 1.0}

        def validate(self) -> dict[str, float]:
            return {"score": 1.0}

        def state(self) -> dict[str, Any]:
            return {}

        def load(self, state: dict[str, Any]) -> None: ...

        def export(self, folder: Path) -> None: ...

    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    run(Stopped(), tmp_path, LoopConfig(steps=9))
    assert read_state(tmp_path / "state.safetensors")["step"] == 3
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_folder_with_another_run_is_refused(music: Path, frozen: Path, tmp_path: Path):
    settings = codec_training(music, loop=LoopConfig(steps=1))
    start(tmp_path / "run", "codec", settings)
    with pytest.raises(TrainingError, match="holds a codec run, not a lm run"):
        start(tmp_path / "run", "lm", lm_training(music, frozen, tmp_path))
    with pytest.raises(TrainingError, match="other settings"):
        start(tmp_path / "run", "codec", codec_training(music, batch=3))
    with pytest.raises(TrainingError, match="no run to resume"):
        start(tmp_path / "none", "codec")
    start(tmp_path / "run", "codec")


def test_a_run_may_last_longer_than_was_thought(music: Path, tmp_path: Path):
    settings = codec_training(music, loop=LoopConfig(steps=1))
    start(tmp_path, "codec", settings)
    longer = replace(settings, loop=LoopConfig(steps=2, log_every=1))
    start(tmp_path, "codec", longer)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines if "gradient" in line] == [1, 2]
    assert settings_of(tmp_path, "codec") == longer


def test_a_run_may_begin_with_the_weights_of_a_checkpoint(music: Path, frozen: Path, tmp_path: Path):
    before = LMJob(lm_training(music, frozen, tmp_path / "cache", loop=LoopConfig(steps=1, seed=5)))
    _ = before.step(0)
    save(tmp_path / "model", tiny.COARSE, before.model)
    after = LMJob(lm_training(music, frozen, tmp_path / "cache", start=str(tmp_path / "model")))
    assert all(torch.equal(after.model.state_dict()[key], value) for key, value in before.model.state_dict().items())
    assert all(torch.equal(after.average.weights[key], value) for key, value in before.model.state_dict().items())
    codec = CodecJob(codec_training(music, start=str(frozen)))
    assert torch.equal(codec.codec.vectors(), tiny.codec().vectors())


def test_what_a_model_knows_moves_up_with_the_codebooks(music: Path, frozen: Path, tmp_path: Path):
    before = tiny.model(tiny.FINE)
    before.enter.weight[:, -8:] = 0  # of the last codebook, which is dropped
    save(tmp_path / "model", tiny.FINE, before)
    settings = lm_training(music, frozen, tmp_path / "cache", model=tiny.FINE, start=str(tmp_path / "model"), moved=1)
    after = LMJob(settings).model
    codes = torch.randint(32, (1, 6, 9), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(6) > 3)[None, :, None].expand_as(codes)
    before.vectors.copy_(after.vectors)
    assert torch.allclose(after(codes, mask)[:, 1], before(codes, mask)[:, 0], atol=1e-5)
    other = torch.where(torch.arange(6)[:, None] == 4, 31 - codes, codes)
    read = mask & (torch.arange(6) > 4)[:, None]
    assert torch.equal(after(codes, read), after(other, read)), "new codebooks are not looked at yet"
    with pytest.raises(ConfigError, match="moved must be below 2, the number of codebooks that are predicted"):
        _ = replace(settings, moved=2)
    with pytest.raises(ConfigError, match="only a run that begins with a checkpoint has any, got 1"):
        _ = replace(settings, start="")


def test_a_run_begins_with_nothing_but_its_like(music: Path, frozen: Path, tmp_path: Path):
    save(tmp_path / "wide", replace(tiny.COARSE, width=2 * tiny.COARSE.width), tiny.model())
    with pytest.raises(TrainingError, match=r"wide has width \d+, and the run \d+; start from one like it"):
        LMJob(lm_training(music, frozen, tmp_path / "cache", start=str(tmp_path / "wide")))
    with pytest.raises(CheckpointError, match="none is not a checkpoint"):
        CodecJob(codec_training(music, start=str(tmp_path / "none")))


def test_every_weight_of_a_codec_is_learnt_by_one_optimizer(music: Path):
    job = CodecJob(codec_training(music))
    groups = [each["params"] for each in (*job.matrices.param_groups, *job.rest.param_groups)]
    assert sorted(id(p) for group in groups for p in group) == sorted(map(id, job.codec.parameters()))
    assert {p.ndim for p in groups[0]} == {2}
    assert len(groups[2]) == tiny.GRID.codebooks


def test_every_weight_of_a_model_is_learnt_by_one_optimizer(monkeypatch: pytest.MonkeyPatch):
    model = tiny.model()
    groups = [each.param_groups[0]["params"] for each in optimizers(model, 1e-3, 0.0).values()]
    assert sorted(map(id, groups[0] + groups[1])) == sorted(map(id, model.parameters()))
    assert len(groups[0]) == 6 * tiny.COARSE.layers
    monkeypatch.delattr(torch.optim, "Muon")
    with pytest.raises(TrainingError, match=r"needs torch 2.9 or newer, for its Muon, got 2"):
        optimizers(model, 1e-3, 0.0)


def test_a_visible_cell_costs_nothing(music: Path, frozen: Path, tmp_path: Path):
    job = LMJob(lm_training(music, frozen, tmp_path / "cache"))
    codes = job.music.batch(0, 2)
    mask = torch.zeros_like(codes, dtype=torch.bool)
    mask[0, 1, 3] = mask[1, 2, 4] = True
    assert job.loss(job.model, codes, mask).shape == (2,)


def test_the_fine_model_is_never_asked_for_what_it_is_given(music: Path, frozen: Path, tmp_path: Path):
    job = LMJob(lm_training(music, frozen, tmp_path / "cache", model=tiny.FINE))
    mask = job.mask(np.random.default_rng(0), 20)
    assert not mask[:, :4].any()
    assert bool(mask[:, 4:].flatten(1).any(1).all())


def test_a_new_model_answers_alike_for_codes_that_are_alike():
    vectors = tiny.codec().vectors()[: tiny.COARSE.codebooks].clone()
    vectors[:, 1] = vectors[:, 0]
    vectors[:, 2] = -vectors[:, 0]
    model = tiny.model()
    answer_with(vectors, model, seed=0)
    assert torch.equal(model.vectors, vectors)
    codes = torch.randint(vectors.shape[1], (1, len(vectors), 200), generator=torch.Generator().manual_seed(0))
    logits = model(codes, codes % 2 == 0).detach()[..., :3].flatten(0, 2).T
    alike, unlike = torch.corrcoef(logits)[0, 1:].tolist()
    assert alike > 0.5 > -0.5 > unlike


def test_half_sums_last_as_long_as_they_are_wanted():
    allowed = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed
    before = allowed()
    with half_sums():
        assert allowed()
    assert allowed() == before


@pytest.mark.parametrize("make", [random_mask, shaped_mask])
@pytest.mark.parametrize("codebooks", [1, 4])
def test_masks_for_training_cover_little_and_much(make: Any, codebooks: int):
    chance = np.random.default_rng(0)
    shares = [float(make(chance, codebooks, 30, share).float().mean()) for share in np.linspace(0.01, 1, 60)]
    assert min(shares) < 0.2
    assert max(shares) > 0.8


def test_a_random_mask_hides_the_share_it_is_asked_for():
    mask = random_mask(np.random.default_rng(0), 4, 25, 0.37)
    assert int(mask.sum()) == 37


def test_tokens_are_encoded_once_and_anew_for_another_codec(music: Path, frozen: Path, tmp_path: Path):
    from ostinato.train.tokens import tokens

    cache = tmp_path / "t.safetensors"
    first = tokens(music, frozen, cache)
    assert sorted(first) == ["0.wav#0", "0.wav#1", "1.wav#0", "1.wav#1"]
    assert all(first[f"{n}.wav#1"].shape[1] == -(-first[f"{n}.wav#0"].shape[1] // 4) for n in range(2))
    stamp = cache.stat().st_mtime_ns
    again = tokens(music, frozen, cache)
    assert cache.stat().st_mtime_ns == stamp
    assert all(torch.equal(first[k], again[k]) for k in first)
    save(tmp_path / "other", tiny.CODEC, tiny.codec(seed=1))
    other = tokens(music, tmp_path / "other", cache)
    assert not torch.equal(first["0.wav#0"], other["0.wav#0"])


def test_the_rate_rises_and_falls():
    rates = [rate(i, 100, warm_up=10) for i in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.05)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_the_average_follows_the_weights():
    module = tiny.model()
    average = Average(module, 0.9)
    with torch.no_grad():
        module.hidden += 1
    average.update(module, 10**6)
    assert torch.allclose(average.weights["hidden"], module.hidden - 0.9, atol=1e-6)


def test_a_state_comes_back_as_it_was(tmp_path: Path):
    state = {"a": torch.arange(3), "b": {"c": 1.5, "d": {"e": torch.ones(2, 2)}, "f": None}, "g": "text"}
    write_state(tmp_path / "s.safetensors", state)
    back = read_state(tmp_path / "s.safetensors")
    assert torch.equal(back["a"], state["a"])
    assert torch.equal(back["b"]["d"]["e"], torch.ones(2, 2))
    assert (back["b"]["c"], back["b"]["f"], back["g"]) == (1.5, None, "text")


@pytest.mark.parametrize("settings", [CodecTraining(), LMTraining()], ids=["codec", "lm"])
def test_settings_come_back_from_json(settings: Any):
    assert load(type(settings), json.loads(json.dumps(plain(settings)))) == settings


def test_settings_that_do_not_fit_are_refused(music: Path):
    with pytest.raises(ConfigError, match=r"critic_items must be at most batch \(2\), got 9"):
        codec_training(music, critic_items=9)
