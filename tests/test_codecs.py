"""A checkpoint says what kind of codec it holds, and the default kind goes without saying."""

import json
from pathlib import Path

import pytest
import torch

from ostinato.checkpoint import CONFIG, load_codec, read_codec_config, save
from ostinato.codec import SpectralCodec
from ostinato.codecs import KINDS, kind_of, make
from ostinato.errors import CheckpointError, ConfigError
from ostinato.lac import LAC
from tests import tiny
from tests.test_lac import CONFIG as LAC_CONFIG


def test_a_codec_of_any_kind_comes_back_as_it_was(tmp_path: Path):
    for kind, settings in (("spectral", tiny.CODEC), ("lac", LAC_CONFIG)):
        codec = make(settings)
        save(tmp_path / kind, settings, codec)
        again = load_codec(tmp_path / kind)
        assert kind_of(again.config) == kind
        assert all(torch.equal(value, again.state_dict()[key]) for key, value in codec.state_dict().items())
        assert not again.training


def test_every_kind_has_its_own_codec():
    assert {kind: type(make(settings)) for kind, settings in (("spectral", tiny.CODEC), ("lac", LAC_CONFIG))} == {
        "spectral": SpectralCodec,
        "lac": LAC,
    }
    assert set(KINDS) == {"spectral", "lac"}


def test_the_default_kind_is_not_written_and_need_not_be(tmp_path: Path):
    save(tmp_path / "a", tiny.CODEC, make(tiny.CODEC))
    assert "kind" not in json.loads((tmp_path / "a" / CONFIG).read_text(encoding="utf-8"))
    save(tmp_path / "b", LAC_CONFIG, make(LAC_CONFIG))
    assert json.loads((tmp_path / "b" / CONFIG).read_text(encoding="utf-8"))["kind"] == "lac"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('{"kind": "lak"}', CheckpointError, "of no kind of codec known here: 'lak'; did you mean 'lac'"),
        ('{"kind": 3}', CheckpointError, "of no kind of codec known here: '3'"),
        ('{"kind": "lac", "gird": {}}', ConfigError, "LACConfig has no setting 'gird'; did you mean 'grid'"),
        ("[]", ConfigError, "CodecConfig needs a table of settings"),
        ("{", CheckpointError, "is not JSON"),
    ],
)
def test_a_config_of_no_codec_is_refused(tmp_path: Path, text: str, error: type[Exception], message: str):
    (tmp_path / CONFIG).write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message):
        _ = read_codec_config(tmp_path)
