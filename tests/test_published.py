"""The published VampNet, agreed with to the token: every case of a folder of inputs and outputs of the published code.

The folder is the one that OSTINATO_FIXTURES names. Its `cases.json` says what was called and how to compare, its
`checkpoints.json` what its files hold; the names of calls, parameters and files below are those of that layout.
"""

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ostinato.audiofile import read as read_audio
from ostinato.errors import CheckpointError
from ostinato.interop import published, published_audio, published_masks
from ostinato.interop.importing import import_model
from ostinato.interop.published import Published, Step, Vamper
from ostinato.interop.torchfile import TorchFile, read
from ostinato.interop.vampnet import adapted, read_codec, read_model
from ostinato.lac import LAC
from ostinato.lm import MaskedModel
from ostinato.nn.attend import buckets
from ostinato.pipeline import load
from ostinato.types import Audio, Grid

FOLDER = Path(os.environ.get("OSTINATO_FIXTURES", Path(__file__).parents[1] / "../shared/fixtures/vampnet")).resolve()
HERE = (FOLDER / "cases.json").is_file()
NEEDED = bool(os.environ.get("OSTINATO_NEED_FIXTURES"))
TIGHT = re.compile("logits|audio|latents|embedding|activations")

Case = dict[str, Any]
Tensors = dict[str, Tensor]
Run = Callable[[Case, Tensors, torch.Generator], Tensors]


def listed(name: str) -> Any:
    return json.loads((FOLDER / name).read_text(encoding="utf-8")) if HERE else {}


CASES: list[Case] = listed("cases.json").get("cases", [])
FILES: dict[str, Any] = listed("checkpoints.json")


fixtures = pytest.mark.skipif(
    not HERE and not NEEDED, reason=f"no outputs of the published code in {FOLDER}; OSTINATO_FIXTURES names a folder"
)
drawn = pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="the published tokens were drawn by MKL")


@fixtures
def test_the_fixtures_are_here():
    assert HERE, f"there is no cases.json in {FOLDER}"
    assert CASES
    assert FILES
    assert torch.backends.mkl.is_available() or not NEEDED, "the published tokens were drawn by MKL, absent here"


@drawn
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_agrees_with_the_published_code(case: Case):
    run = runner(case["call"])
    with np.load(FOLDER / case["file"]) as file:
        held = {key: torch.from_numpy(np.asarray(value)) for key, value in file.items()}
    given = {key.removeprefix("in."): value for key, value in held.items() if key.startswith("in.")}
    chance = torch.Generator().manual_seed(case["seed"] or 0)
    with torch.no_grad():
        made = run(case, {key: value.clone() for key, value in given.items()}, chance)
    for name in case["outputs"]:
        compare(name, made, {key.removeprefix("out."): value for key, value in held.items()}, case["compare"][name])
    if case["has_rng_after"]:
        assert torch.equal(torch.rand(4, generator=chance), held["rng_after"]), "another number of random numbers"


@pytest.mark.parametrize("name", FILES)
def test_a_file_holds_what_is_listed(name: str):
    file, about = read(FOLDER / name), FILES[name]
    assert {key: list(value.shape) for key, value in file.tensors.items()} == about["keys"]
    assert file.settings == about.get("metadata", {}).get("kwargs")


@pytest.mark.parametrize("name", [name for name in FILES if "metadata" in FILES[name]])
def test_every_listed_tensor_is_needed(name: str):
    """All but LoRA weights, which come in pairs; every tenth is tried."""
    file = read(FOLDER / name)
    for key in list(file.tensors)[::10]:
        rest = {other: value for other, value in file.tensors.items() if other != key}
        with pytest.raises(CheckpointError, match=re.escape(key.rsplit("_", 1)[0])):
            _ = any_model(replace(file, tensors=rest))
    plain = {key: value for key, value in file.tensors.items() if "lora_" not in key}
    assert any_model(replace(file, tensors=plain))


@fixtures
def test_the_files_become_a_model_folder_with_the_same_networks(tmp_path: Path):
    import_model(tmp_path / "m", codec=FOLDER / "codec.pth", coarse=FOLDER / "coarse.pth", fine=FOLDER / "c2f.pth")
    pipeline = load(tmp_path / "m")
    for loaded, made in ((pipeline.coarse, model("coarse.pth")), (pipeline.fine, model("c2f.pth"))):
        assert all(torch.equal(value, made.state_dict()[key]) for key, value in loaded.state_dict().items())
    signal = torch.randn(1, 5000, generator=torch.Generator().manual_seed(0)) * 0.1
    assert torch.equal(pipeline.codec.encode(signal), codec().encode(signal))


def any_model(file: TorchFile) -> torch.nn.Module:
    return read_codec(file) if file.path.name == "codec.pth" else read_model(file, codec().vectors())


def compare(name: str, made: Tensors, wanted: Tensors, how: str) -> None:
    """Compare as the case says; what a model computes is held to 1e-4 at least."""
    numbers = {key: float(value) for key, value in re.findall(r"(rtol|atol)=([\d.e-]+)", how)}
    if how.startswith("exact where"):
        margin = wanted["code_margin"].cummin(1).values
        sure = margin > float(re.findall(r"> ([\d.e-]+)", how)[0])
        assert torch.equal(made[name][sure], wanted[name][sure])
    elif how.startswith("exact"):
        assert made[name].shape == wanted[name].shape
        assert torch.equal(made[name].to(wanted[name]), wanted[name])
    elif how.startswith("allclose"):
        if TIGHT.search(name):
            numbers = {key: min(value, 1e-4) for key, value in numbers.items()}
        torch.testing.assert_close(made[name].to(wanted[name]), wanted[name], **{"rtol": 0.0, "atol": 1e-8} | numbers)
    else:
        assert how.startswith("informative"), f"{name} is to be compared in a way that is not known here: {how}"


@cache
def codec() -> LAC:
    return read_codec(read(FOLDER / "codec.pth"))


@cache
def model(name: str, adapter: str | None = None) -> MaskedModel:
    file = read(FOLDER / name)
    return read_model(adapted(file, read(FOLDER / adapter)) if adapter else file, codec().vectors())


def grid() -> Grid:
    return codec().grid


def sound(case: Case) -> Audio:
    return read_audio(FOLDER / case["params"]["wav"])


def vamper(chance: torch.Generator) -> Vamper:
    about = listed("cases.json")["interface"]
    return Vamper(
        grid(),
        model("coarse.pth"),
        model("c2f.pth"),
        chance,
        coarse_seconds=about["coarse_chunk_size_s"],
        fine_seconds=about["coarse2fine_chunk_size_s"],
    )


def settings_of(case: Case) -> Published:
    """The published settings among a case's parameters; the knobs bear the published names, less underscores."""
    given = {key.lstrip("_"): value for key, value in case["params"].items()}
    return Published(**{key: value for key, value in given.items() if key in vars(Published())})


def rest_of(case: Case) -> dict[str, Any]:
    """The other parameters, such as the size of the batch, and the seed where the call was given it."""
    given = {key.lstrip("_"): value for key, value in case["params"].items()}
    rest = {key: value for key, value in given.items() if key not in vars(Published())}
    return rest | ({"seed": case["seed"]} if rest.pop("seed_kwarg", False) else {})


def logits_of(network: MaskedModel, tokens: Tensor) -> Tensor:
    """In the published order: (batch, vocabulary, frame and codebook)."""
    hidden = tokens == network.config.vocabulary
    return network(tokens.masked_fill(hidden, 0), hidden).permute(0, 3, 2, 1).flatten(2)


def levels(features: Tensor, codes: Tensor) -> Tensor:
    """What each level of the codec projects its residual to: (batch, level and dimension, frame)."""
    seen = []
    for level, index in zip(codec().quantizer.levels, codes.unbind(1), strict=True):
        seen.append(level.down(features))
        features = features - level.value(index)
    return torch.cat(seen, -1).transpose(1, 2)


def vectors_of(codes: Tensor) -> Tensor:
    looked_up = [v[index] for v, index in zip(codec().vectors(), codes.unbind(1), strict=True)]
    return torch.cat(looked_up, -1).transpose(1, 2)


def decoded(tokens: Tensor) -> Tensor:
    """Hidden tokens sound as code 0, as published."""
    codes = tokens.masked_fill(tokens == grid().vocabulary, 0)
    return codec().decode(codes, codes.shape[-1] * grid().hop)[:, None]


def run_preprocess(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    audio = sound(case)
    assert torch.equal(audio.wave, given["samples"])
    made = published_audio.prepared(audio, grid())
    wave = published_audio.resampled(audio.wave[0], audio.sample_rate, grid().sample_rate).mean(0, keepdim=True)
    loudness = published_audio.measured(wave, grid().sample_rate)
    return {
        "samples": made.wave,
        "sample_rate": torch.tensor(made.sample_rate),
        "loudness_before": torch.tensor([loudness]),
    }


def run_codec_encode(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    features = codec().analyse(given["audio"][:, 0])
    codes = codec().quantizer.encode(features)
    assert torch.equal(codec().encode(given["audio"][:, 0]), codes)
    return {
        "codes": codes,
        "z": codec().quantizer.decode(codes[:, : case["params"].get("n_quantizers")]).transpose(1, 2),
        "latents": levels(features, codes),
        "length": torch.tensor(given["audio"].shape[-1]),
        "encoder_out": features.transpose(1, 2),
    }


def run_codec_decode(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    wave = codec().render(given["z"].transpose(1, 2))[:, None]
    return {"audio": wave[..., : int(given["length"])], "audio_untrimmed": wave}


def run_from_codes(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    features = codec().quantizer.decode(given["codes"]).transpose(1, 2)
    return {"z_q": features, "z_p": vectors_of(given["codes"])}


def run_from_latents(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    parts = given["latents"].transpose(1, 2).chunk(grid().codebooks, -1)
    found = [level.nearest(part) for level, part in zip(codec().quantizer.levels, parts, strict=True)]
    codes = torch.stack(found, 1)
    return {"codes": codes} | run_from_codes(case, {"codes": codes}, chance)


def run_codec_forward(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    signal = given["audio"][:, 0]
    return {"audio": codec().decode(codec().encode(signal), signal.shape[-1])[:, None]}


def run_interface_encode(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    return {"codes": codec().encode(published_audio.prepared(sound(case), grid()).wave[:, 0])}


def run_interface_decode(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    return {"audio": decoded(given["z"]), "sample_rate": torch.tensor(grid().sample_rate)}


def run_times(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    """What went in is known of the first alone; the others must be times of whole frames, and whole frames."""
    with np.load(FOLDER / case["file"]) as held:
        counts = [round(time / grid().seconds(1)) for time in held["out.t2s"].tolist()]
        inside = [grid().seconds(int(count) - 1) + grid().seconds(1) / 2 for count in held["out.s2t_arr"].tolist()]
    return {
        "s2t": torch.tensor([published_masks.frames(grid(), time) for time in case["params"]["seconds"]]),
        "t2s": torch.tensor([grid().seconds(count) for count in counts], dtype=torch.float64),
        "s2t_arr": torch.tensor([published_masks.frames(grid(), time) for time in inside], dtype=torch.float64),
    }


def run_forward(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    network, after = model(f"{case['params']['model']}.pth"), []
    seen: Tensors = {}

    def enter(module: torch.nn.Module, args: Any, output: Tensor) -> None:
        seen.update(latents=args[0].transpose(1, 2), embedding=output.transpose(1, 2))

    hooks = [network.enter.register_forward_hook(enter)]
    for layer in network.transformer.layers:
        hooks.append(layer.register_forward_hook(lambda module, args, output: after.append(output)))
    logits = logits_of(network, given["z"])[..., :: case["params"]["logits_stride"]]
    for hook in hooks:
        hook.remove()
    return seen | {"logits": logits, "activations": torch.stack(after)}


def run_bias(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    """Only the name of the case says of which model; it begins with it."""
    network = model(f"{case['name'].split('_')[0]}.pth")
    return {"bias": network.transformer.bias(case["params"]["L"], circular=False)[:, None]}


def run_buckets(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    about = case["params"]
    return {"bucket": buckets(given["relative_position"], about["num_buckets"], about["max_distance"])}


def run_load_model(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    found = re.match(r"_load_model\(([^,)]+)(?:, lora_ckpt=([^)]+))?\)", case["call"])
    assert found
    name, adapter = found.groups()
    logits = logits_of(model(name, adapter), given["z"])
    return {"logits": logits, "logits_base": logits_of(model(name), given["z"])}


def run_gamma(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    r = given["r"]
    return {"gamma": published.gamma(r), "invgamma": published.inverse_gamma(r)}


def run_sample(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    about = dict(case["params"])
    assert {"typical_filtering", "typical_mass", "typical_min_tokens"} >= about.keys() - {
        *("top_k", "top_p", "temperature", "sample")
    }
    logits = published.narrowed(given["logits"], top_k=about.pop("top_k", None), top_p=about.pop("top_p", None))
    usual = {key: value for key, value in about.items() if not key.startswith("typical")}
    token, likelihood = published.guess(logits, **usual, chance=chance)
    return {"token": token, "probs": likelihood, "logits_after": logits}


def run_typical(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    about = case["params"]
    return {"kept": published.typical(given["logits"], about["typical_mass"], about["typical_min_tokens"])}


def run_topk(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    batch = len(given["probs"])
    count = torch.full((batch, 1), case["params"]["num_to_mask"])
    heat = torch.full((batch,), case["params"]["temperature"])
    return {"mask": published.least_sure(count, given["probs"], heat, chance)}


def run_generate(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    rest, steps = rest_of(case), list[Step]()
    network = model(f"{rest.pop('model')}.pth")
    tokens = published.generate(
        network,
        given["start_tokens"],
        given.get("mask"),
        settings_of(case),
        chance=chance,
        watch=steps.append,
        **rest,
    )
    return {
        "tokens": tokens,
        "trace_sampled": torch.stack([step.guesses for step in steps]),
        "trace_probs": torch.stack([step.likelihood for step in steps]),
        "trace_num_to_mask": torch.stack([step.left for step in steps]),
        "trace_mask_temperature": torch.stack([step.temperature for step in steps]),
        "trace_new_mask": torch.stack([step.hidden for step in steps]),
        "audio": decoded(tokens) if "audio" in case["outputs"] else tokens,
    }


def run_build_mask(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    about = {key.lstrip("_"): value for key, value in case["params"].items() if key != "wav"}
    audio = sound(case) if "wav" in case["params"] else None
    return {"mask": published_masks.build_mask(given["z"], grid(), chance, audio, **about)}


def run_beat_mask(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    about = {key: value for key, value in case["params"].items() if key != "wav"}
    return {"mask": published_masks.beat_mask(sound(case).seconds, grid().codebooks, grid(), chance, **about)}


def run_onset_mask(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    audio = sound(case)
    return {
        "mask": published_masks.onsets(audio, given["z"], grid().hop, case["params"]["width"]),
        "onset_frames": published_audio.onset_frames(audio.wave[0, 0], audio.sample_rate, grid().hop),
    }


def run_coarse_vamp(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    codes, shown = vamper(chance).coarse_vamp(given["z"], given["mask"], settings_of(case), **rest_of(case))
    return {"codes": codes, "masked_z": shown}


def run_coarse_to_fine(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    codes, shown = vamper(chance).coarse_to_fine(given["z"], given.get("mask"), settings_of(case), **rest_of(case))
    return {"codes": codes, "masked_z": shown}


def run_vamp(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    codes, shown = vamper(chance).vamp(given["codes"], given["mask"], settings_of(case), **rest_of(case))
    return {"codes": codes, "masked_z": shown, "audio": decoded(codes) if "audio" in case["outputs"] else codes}


def of_mask(make: Callable[[Tensor, dict[str, Any], torch.Generator], Tensor]) -> Run:
    """A run of a function of a grid, or of a mask, of the published module of masks."""
    return lambda case, given, chance: {"mask": make(given["x"], case["params"], chance)}


def run_apply_mask(case: Case, given: Tensors, chance: torch.Generator) -> Tensors:
    return {"x": given["x"].masked_fill(given["mask"].bool(), case["params"]["mask_token"]), "mask": given["mask"]}


RUNS: list[tuple[str, Run]] = [
    (r"Interface\._preprocess\(", run_preprocess),
    (r"Interface\.encode\(", run_interface_encode),
    (r"Interface\.decode\(Interface\.vamp\(", run_vamp),
    (r"Interface\.decode\(", run_interface_decode),
    (r"Interface\.build_mask\(", run_build_mask),
    (r"Interface\.make_beat_mask\(", run_beat_mask),
    (r"Interface\.coarse_vamp\(", run_coarse_vamp),
    (r"Interface\.coarse_to_fine\(", run_coarse_to_fine),
    (r"Interface\.vamp\(", run_vamp),
    (r"s2t\b", run_times),
    (r"LAC\.encode\(", run_codec_encode),
    (r"LAC\.decode\(", run_codec_decode),
    (r"LAC\.forward\(", run_codec_forward),
    (r"ResidualVectorQuantize\.from_codes\(", run_from_codes),
    (r"ResidualVectorQuantize\.from_latents\(", run_from_latents),
    (r"VampNet\.embedding\.from_codes\(", run_forward),
    (r"VampNet\.generate\(", run_generate),
    (r"layers\[0\]\.self_attn\.compute_bias\(", run_bias),
    (r"MultiHeadRelativeAttention\._relative_position_bucket\(", run_buckets),
    (r"_load_model\(", run_load_model),
    (r"mask\._gamma\(", run_gamma),
    (r"sample_from_logits\(", run_sample),
    (r"typical_filter\(", run_typical),
    (r"mask_by_random_topk\(", run_topk),
    (r"onset_mask\(", run_onset_mask),
    (r"apply_mask\(", run_apply_mask),
    (r"mask_and\(", lambda case, given, chance: {"mask": torch.minimum(given["a"], given["b"])}),
    (r"mask_or\(", lambda case, given, chance: {"mask": torch.maximum(given["a"], given["b"])}),
    (r"full_mask\(", of_mask(lambda x, about, chance: torch.ones_like(x))),
    (r"empty_mask\(", of_mask(lambda x, about, chance: torch.zeros_like(x))),
    (r"random\(", of_mask(lambda x, about, chance: published_masks.random(x, **about, chance=chance))),
    (r"linear_random\(", of_mask(lambda x, about, chance: published_masks.linear_random(x, **about, chance=chance))),
    (r"inpaint\(", of_mask(lambda x, about, chance: published_masks.inpaint(x, *about.values()))),
    (r"periodic_mask\(", of_mask(lambda x, about, chance: published_masks.periodic(x, **about, chance=chance))),
    (r"dropout\(", of_mask(lambda x, about, chance: published_masks.drop(x, about["p"], chance))),
    (r"codebook_unmask\(", of_mask(lambda x, about, chance: published_masks.codebook_unmask(x, *about.values()))),
    (r"codebook_mask\(", of_mask(lambda x, about, chance: published_masks.codebook_mask(x, *about.values()))),
    (
        r"time_stretch_mask\(",
        of_mask(lambda x, about, chance: published_masks.time_stretch(x, *about.values(), chance)),
    ),
]


def runner(call: str) -> Run:
    """What runs a published call here; a case that nothing runs fails."""
    for pattern, run in RUNS:
        if re.match(pattern, call):
            return run
    raise AssertionError(f"nothing here runs {call}")
