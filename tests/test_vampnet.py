"""Published files become a model folder as they are, or are refused in one line that names what is wrong."""

import os
import zipfile
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from ostinato.errors import CheckpointError, OstinatoError
from ostinato.interop.importing import import_model
from ostinato.interop.torchfile import read
from ostinato.interop.vampnet import adapted, folded, read_codec, read_model
from ostinato.pipeline import load
from ostinato.prompts import Prompt
from ostinato.sampling import samplers
from ostinato.types import Audio
from tests import published_files as files


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Path]:
    return files.write_all(tmp_path)


@pytest.fixture
def model(made: dict[str, Path], tmp_path: Path) -> Path:
    import_model(tmp_path / "models" / "tiny", **made)
    return tmp_path / "models" / "tiny"


def changed(path: Path, said: dict | None = None, **tensors: torch.Tensor | None) -> Path:
    """A copy of a published file with some tensors replaced, added or (None) left out, and other settings."""
    held = torch.load(path, weights_only=True)
    for key, value in tensors.items():
        held["state_dict"].pop(key, None)
        if value is not None:
            held["state_dict"][key] = value
    return files.write(path.with_name("changed.pth"), held["state_dict"], said or held["metadata"]["kwargs"])


def test_an_imported_model_works_where_any_model_does(model: Path):
    pipeline = load(model)
    wave = torch.randn(1, 2, 900, generator=torch.Generator().manual_seed(1)) * 0.1
    take = pipeline.vary(Audio(wave, 8000), Prompt(), seed=3, sampler=samplers[next(iter(samplers))]())
    assert take.audio.wave.shape == wave.shape
    assert bool(torch.isfinite(take.audio.wave).all())
    assert (pipeline.grid.hop, pipeline.grid.codebooks, pipeline.grid.vocabulary) == (8, 5, 16)


def test_the_folder_is_the_same_network_to_the_last_bit(model: Path, made: dict[str, Path]):
    pipeline, codec = load(model), read_codec(read(made["codec"]))
    coarse = read_model(read(made["coarse"]), codec.vectors())
    for one, other in ((pipeline.codec, codec), (pipeline.coarse, coarse)):
        assert isinstance(one, torch.nn.Module)
        there = other.state_dict()
        assert all(torch.equal(value, there[key]) for key, value in one.state_dict().items())


def test_the_card_names_the_licence_and_the_files(model: Path):
    card = (model / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: cc-by-nc-sa-4.0\n---\n")
    assert all(name in card for name in ("codec.pth", "coarse.pth", "c2f.pth"))


def test_nothing_but_the_model_is_left_and_none_is_overwritten(model: Path, made: dict[str, Path]):
    assert sorted(path.name for path in model.parent.iterdir()) == ["tiny"]
    with pytest.raises(CheckpointError, match="already a model 'tiny'"):
        import_model(model, **made)


def test_a_failed_import_leaves_nothing(made: dict[str, Path], tmp_path: Path):
    broken = changed(made["fine"], **{"embedding.out_proj.bias": None})
    with pytest.raises(CheckpointError, match=r"lacks the tensor 'embedding.out_proj.bias'"):
        import_model(tmp_path / "models" / "tiny", **(made | {"fine": broken}))
    assert list((tmp_path / "models").iterdir()) == []


def test_weight_norm_folds_into_the_direction_times_the_length(made: dict[str, Path]):
    held = torch.load(made["codec"], weights_only=True)["state_dict"]
    stem = "decoder.model.1.block.1.weight"
    wanted = held[f"{stem}_g"] * F.normalize(held[f"{stem}_v"].flatten(1), dim=1).view_as(held[f"{stem}_v"])
    assert torch.allclose(folded(read(made["codec"])).tensors[stem], wanted, atol=1e-6)


def test_lora_is_merged_at_one_over_its_rank(made: dict[str, Path]):
    held = torch.load(made["coarse"], weights_only=True)["state_dict"]
    stem = "transformer.layers.1.feed_forward.w_2."
    wanted = held[f"{stem}weight"] + held[f"{stem}lora_B"] @ held[f"{stem}lora_A"] / files.RANK
    assert torch.allclose(folded(read(made["coarse"])).tensors[f"{stem}weight"], wanted, atol=1e-6)


def test_a_model_without_lora_is_its_plain_weights(made: dict[str, Path]):
    held = torch.load(made["coarse"], weights_only=True)["state_dict"]
    plain = changed(made["coarse"], **dict.fromkeys(files.lora_of(held)))
    zeroed = {key: torch.zeros_like(value) for key, value in held.items() if "lora_B" in key}
    vectors = read_codec(read(made["codec"])).vectors()
    without = read_model(read(plain), vectors).state_dict()
    with_zeros = read_model(read(changed(made["coarse"], **zeroed)), vectors).state_dict()
    assert all(torch.equal(value, with_zeros[key]) for key, value in without.items())


def test_the_classifier_is_put_in_the_order_of_codebooks(made: dict[str, Path]):
    held = torch.load(made["coarse"], weights_only=True)["state_dict"]
    mine = read_model(read(made["coarse"]), read_codec(read(made["codec"])).vectors()).classify.bias.view(4, 16)
    assert torch.equal(mine[1], held["classifier.layers.0.bias"][1::4])


@pytest.mark.parametrize("form", ["by fit", "by name", "whole"])
def test_a_fine_tuned_file_changes_the_model_that_it_is_for(made: dict[str, Path], tmp_path: Path, form: str):
    tuned = files.model_tensors(files.FINE, seed=9)
    base = torch.load(made["fine"], weights_only=True)["state_dict"]
    if form == "whole":
        file = files.write(tmp_path / "tuned.pth", tuned, files.FINE)
    else:
        file = files.write(tmp_path / "lora.pth", files.lora_of(tuned), None)
    merged = tuned if form == "whole" else base | files.lora_of(tuned)
    import_model(tmp_path / "tuned", **made, lora=[f"fine={file}" if form == "by name" else file])
    import_model(
        tmp_path / "wanted", **(made | {"fine": files.write(tmp_path / "merged.pth", merged, files.FINE)}), lora=[]
    )
    wanted, got = load(tmp_path / "wanted"), load(tmp_path / "tuned")
    assert all(torch.equal(v, wanted.fine.state_dict()[k]) for k, v in got.fine.state_dict().items())
    assert all(torch.equal(v, wanted.coarse.state_dict()[k]) for k, v in got.coarse.state_dict().items())
    assert file.name in (tmp_path / "tuned" / "README.md").read_text(encoding="utf-8")


def test_lora_weights_that_fit_both_models_need_a_name(made: dict[str, Path], tmp_path: Path):
    fine = files.write(
        tmp_path / "c2f.pth", files.model_tensors(files.FINE | {"n_layers": 2}), files.FINE | {"n_layers": 2}
    )
    file = files.write(tmp_path / "lora.pth", files.lora_of(files.model_tensors(files.COARSE)), None)
    with pytest.raises(CheckpointError, match="fits the coarse and the fine model; say which: coarse="):
        import_model(tmp_path / "tiny", **(made | {"fine": fine}), lora=[file])
    import_model(tmp_path / "tiny", **(made | {"fine": fine}), lora=[f"coarse={file}"])


def test_lora_weights_of_another_network_are_refused(made: dict[str, Path], tmp_path: Path):
    base, tuned = read(made["fine"]), files.lora_of(files.model_tensors(files.COARSE))
    with pytest.raises(CheckpointError, match=r"does not fit .*c2f.pth: it has 'transformer.layers.1"):
        _ = adapted(base, read(files.write(tmp_path / "a.pth", tuned, None)))
    one = dict(list(files.lora_of(files.model_tensors(files.FINE)).items())[:3])
    with pytest.raises(CheckpointError, match=r"it lacks 'transformer.layers.0"):
        _ = adapted(base, read(files.write(tmp_path / "b.pth", one, None)))
    with pytest.raises(CheckpointError, match=r"LoRA weights only, got 'transformer.norm.weight'"):
        _ = adapted(base, read(files.write(tmp_path / "c.pth", {"transformer.norm.weight": torch.ones(2)}, None)))


def test_files_in_each_others_place_are_refused(made: dict[str, Path], tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"c2f.pth is not a coarse model but a fine one"):
        import_model(tmp_path / "tiny", **(made | {"coarse": made["fine"]}))
    with pytest.raises(CheckpointError, match=r"coarse.pth is not a fine model but a coarse one"):
        import_model(tmp_path / "tiny", **(made | {"fine": made["coarse"]}))
    with pytest.raises(CheckpointError, match=r"coarse.pth: CodecSaid needs a value for 'encoder_dim'"):
        import_model(tmp_path / "tiny", **(made | {"codec": made["coarse"]}))
    with pytest.raises(CheckpointError, match=r"codec.pth lacks the tensor 'embedding"):
        import_model(tmp_path / "tiny", **(made | {"coarse": made["codec"]}))


KEYS = [
    ("codec", "encoder.block.1.block.2.block.0.alpha"),
    ("codec", "encoder.block.0.weight_g"),
    ("codec", "quantizer.quantizers.2.codebook.weight"),
    ("coarse", "transformer.layers.0.self_attn.relative_attention_bias.weight"),
    ("coarse", "transformer.layers.1.self_attn.w_ks.weight"),
    ("coarse", "transformer.layers.1.self_attn.w_vs.lora_B"),
    ("coarse", "classifier.layers.0.weight_g"),
    ("fine", "transformer.norm.weight"),
]


@pytest.mark.parametrize(("part", "key"), KEYS)
def test_a_missing_tensor_is_named(made: dict[str, Path], tmp_path: Path, part: str, key: str):
    with pytest.raises(CheckpointError, match=f"changed.pth lacks the tensor '{key}'"):
        import_model(tmp_path / "tiny", **(made | {part: changed(made[part], **{key: None})}))


@pytest.mark.parametrize(("part", "key"), KEYS)
def test_a_tensor_of_another_shape_is_named_with_both_shapes(
    made: dict[str, Path], tmp_path: Path, part: str, key: str
):
    right = torch.load(made[part], weights_only=True)["state_dict"][key]
    wrong = torch.zeros(right.shape[0] + 1, *right.shape[1:])
    with pytest.raises(CheckpointError) as error:
        import_model(tmp_path / "tiny", **(made | {part: changed(made[part], **{key: wrong})}))
    assert key in str(error.value)
    assert str(tuple(right.shape)) in str(error.value)
    assert str(tuple(wrong.shape)) in str(error.value)


def test_a_tensor_too_many_is_named(made: dict[str, Path], tmp_path: Path):
    for key in ("transformer.layers.0.film_1.weight", "transformer.layers.0.self_attn.w_ks.lora_A"):
        with pytest.raises(CheckpointError, match=f"holds a tensor '{key}' that"):
            import_model(tmp_path / "tiny", **(made | {"coarse": changed(made["coarse"], **{key: torch.ones(3, 16)})}))


def test_a_codec_of_other_code_vectors_is_refused(made: dict[str, Path], tmp_path: Path):
    said = files.CODEC | {"codebook_size": 8}
    codec = files.write(tmp_path / "small.pth", files.codec_tensors(said=said), said)
    with pytest.raises(CheckpointError, match=r"coarse.pth looks up code vectors of shape \(4, 16, 4\), the codec has"):
        import_model(tmp_path / "tiny", **(made | {"codec": codec}))


def test_settings_that_cannot_be_are_named(made: dict[str, Path], tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"LMConfig.heads must divide width \(16\), got 3"):
        import_model(tmp_path / "a", **(made | {"coarse": changed(made["coarse"], files.COARSE | {"n_heads": 3})}))
    with pytest.raises(CheckpointError, match=r"ModelSaid.n_layers must be a whole number, got 'two'"):
        import_model(tmp_path / "a", **(made | {"coarse": changed(made["coarse"], files.COARSE | {"n_layers": "two"})}))
    wrong = changed(made["codec"], files.CODEC | {"encoder_rates": [2, 2]})
    with pytest.raises(CheckpointError, match=r"strides_in must multiply to grid.hop"):
        import_model(tmp_path / "a", **(made | {"codec": wrong}))
    bare = files.write(tmp_path / "bare.pth", files.model_tensors(files.COARSE), None)
    with pytest.raises(CheckpointError, match=r"bare.pth does not say how its model was made"):
        import_model(tmp_path / "a", **(made | {"coarse": bare}))


class Harmful:
    """What a hostile file could hold: an object whose loading runs a command."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("harm",)


@pytest.mark.parametrize("where", ["alone", "among tensors", "in the settings"])
def test_nothing_in_a_file_can_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str):
    monkeypatch.chdir(tmp_path)
    held = {
        "alone": Harmful(),
        "among tensors": {"state_dict": {"a": torch.ones(1), "b": Harmful()}, "metadata": {"kwargs": {}}},
        "in the settings": {"state_dict": {"a": torch.ones(1)}, "metadata": {"kwargs": {"x": Harmful()}}},
    }
    torch.save(held[where], tmp_path / "bad.pth")
    with pytest.raises(CheckpointError, match="must hold nothing but tensors and plain values"):
        _ = read(tmp_path / "bad.pth")
    assert not (tmp_path / "harm").exists()


def test_files_that_are_no_weights_are_refused_in_one_line(made: dict[str, Path], tmp_path: Path):
    whole = made["coarse"].read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    cases: dict[str, tuple[bytes, str]] = {
        "empty": (b"", "is cut short, or is not a file of weights"),
        "text": (b"hello, world\n" * 99, "is cut short, or is not a file of weights"),
        "cut": (whole[: len(whole) // 2], "is cut short, or is not a file of weights"),
        "flipped": (bytes(flipped), "is damaged: the checksum of its part"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=message) as error:
            _ = read(tmp_path / name)
        assert "\n" not in str(error.value)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a/b", "c")
    with pytest.raises(CheckpointError, match="must hold nothing but tensors"):
        _ = read(tmp_path / "other.zip")
    with pytest.raises(CheckpointError, match="there is no file"):
        _ = read(tmp_path / "nowhere.pth")


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ([torch.ones(1)], "must hold a table of tensors, got a list"),
        ({}, "holds no tensors"),
        ({"state_dict": {}}, "holds no tensors"),
        ({"a": 3}, "must hold tensors by name, got int under 'a'"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, held: object, message: str):
    torch.save(held, tmp_path / "other.pth")
    with pytest.raises(OstinatoError, match=message):
        _ = read(tmp_path / "other.pth")


def test_a_tensor_of_whole_numbers_is_refused(made: dict[str, Path], tmp_path: Path):
    whole = changed(made["fine"], **{"transformer.norm.weight": torch.ones(16, dtype=torch.int64)})
    with pytest.raises(CheckpointError, match=r"'transformer.norm.weight' must be of floating point, got torch.int64"):
        import_model(tmp_path / "tiny", **(made | {"fine": whole}))
