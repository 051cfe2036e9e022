"""From file to file: the take of the whole sound, to the bit, in memory that does not grow with it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ostinato import audiofile
from ostinato.errors import AudioError
from ostinato.longplay import vary_file
from ostinato.pipeline import Pipeline, load
from ostinato.prompts import Prompt
from ostinato.sampling import Confidence
from ostinato.types import Audio

QUICK: dict[str, Any] = {"sampler": Confidence(steps=3), "finisher": Confidence(steps=2)}
HOLE = Prompt.of(["periodic:period=7", "prefix:seconds=0.3"], ["inpaint:start=0.5"])


@pytest.fixture(scope="module")
def pipeline(tiny_model: Path) -> Pipeline:
    return load(tiny_model)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    wave = torch.rand(1, 2, 48001, generator=torch.Generator().manual_seed(0)) - 0.5
    _ = audiofile.write(tmp_path / "in.wav", Audio(wave, 48000), subtype="PCM_16")
    return tmp_path / "in.wav"


@pytest.mark.parametrize("how", [{}, {"redraw": True}, {"loop": True}, {"seed": 4, "batch": 2}])
def test_a_file_gives_the_take_of_its_sound(
    pipeline: Pipeline, source: Path, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ostinato.longplay.PIECE", 5000)
    target = source.with_name("out.wav")
    draft, gain = vary_file(pipeline, source, target, HOLE, about=lambda draft: {"seed": draft.seed}, **QUICK, **how)
    take = pipeline.vary(audiofile.read(source), HOLE, **QUICK, **how)
    assert torch.equal(draft.codes.long(), take.codes)
    assert (draft.settings, draft.seed) == (take.settings, take.seed)
    turned_down = take.audio.wave * 10 ** (gain / 20)
    torch.testing.assert_close(audiofile.read(target).wave, turned_down, atol=2**-22, rtol=0)
    told = audiofile.about(target) or {}
    assert told["seed"] == take.seed
    assert torch.equal(draft.take(take.audio).codes, take.codes)


def test_whoever_watches_sees_the_reading_the_stages_and_the_writing(pipeline: Pipeline, source: Path):
    seen: list[tuple[str, int, int]] = []
    _ = vary_file(pipeline, source, source.with_name("out.wav"), HOLE, watch=lambda *s: seen.append(s), **QUICK)
    assert list(dict.fromkeys(stage for stage, _, _ in seen)) == ["encode", "coarse", "fine", "decode"]
    for stage in ("encode", "coarse", "fine", "decode"):
        counts = [(done, total) for name, done, total in seen if name == stage]
        assert counts == sorted(counts)
        assert counts[-1][0] == counts[-1][1]


def test_nothing_is_left_when_the_work_ends_early(pipeline: Pipeline, source: Path):
    def stop(stage: str, done: int, total: int) -> None:
        if stage == "decode":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _ = vary_file(pipeline, source, source.with_name("out.wav"), HOLE, watch=stop, **QUICK)
    with pytest.raises(AudioError, match="there is no file"):
        _ = vary_file(pipeline, source.with_name("none.wav"), source.with_name("out.wav"), HOLE)
    assert [path.name for path in source.parent.iterdir()] == ["in.wav"]


MEASURE = """
import resource, sys
from pathlib import Path
from ostinato import audiofile
from ostinato.longplay import vary_file
from ostinato.pipeline import load
from ostinato.prompts import Prompt
from ostinato.sampling import Confidence
from ostinato.types import Audio
import torch

once, folder = Confidence(steps=1), Path(sys.argv[2])
pipeline = load(sys.argv[1])
second = Audio(torch.rand(1, 2, 44100, generator=torch.Generator().manual_seed(0)) - 0.5, 44100)
for seconds in (30, 150):
    with audiofile.Writer(folder / "in.wav", 44100, 2, subtype="PCM_16") as writer:
        for _ in range(seconds):
            writer.write(second)
    _ = vary_file(pipeline, folder / "in.wav", folder / "out.wav", Prompt.of(hide=["inpaint:start=3,end=25"]),
                  sampler=once, finisher=once)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
def test_five_times_the_length_needs_no_more_memory(tiny_model: Path, tmp_path: Path):
    command = [sys.executable, "-c", MEASURE, str(tiny_model), str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    short, long = map(int, told.split())
    assert audiofile.info(tmp_path / "out.wav").samples == 150 * 44100
    assert long - short < 35, f"{short} MB for 30 s, {long} MB for 150 s"
