"""Make a model folder of VampNet's published files: codec, coarse and fine checkpoints, and a card with the licence."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from ..audiofile import sha256
from ..checkpoint import save
from ..errors import CheckpointError
from ..lm import LMConfig
from ..models import check_fit
from ..whole import write_text
from .torchfile import TorchFile, read
from .vampnet import adapted, fits, is_fine, read_codec, read_model

Progress = Callable[[str, int, int], None]
WORK = 7
LICENCE = "cc-by-nc-sa-4.0"
CARD = """---
license: {licence}
---
# {name}

The published weights of VampNet by Hugo Flores García, Prem Seetharaman, Rithesh Kumar and Bryan Pardo ("VampNet:
Music Generation via Masked Acoustic Token Modeling", arXiv:2307.04686), read into the format of ostinato. Weight
normalisation is folded and LoRA weights are merged; nothing else was changed.

They are under CC BY-NC-SA 4.0, <https://creativecommons.org/licenses/by-nc-sa/4.0/>: whoever passes them on, or a model
tuned from them, names the authors, asks no money, and gives the same rights.

| part | file | SHA-256 |
|---|---|---|
{rows}
"""


def import_model(
    folder: Path,
    *,
    codec: Path,
    coarse: Path,
    fine: Path,
    lora: Iterable[str | Path] = (),
    watch: Progress = lambda part, done, total: None,
) -> None:
    """Write a model folder from published files, whole or not at all.

    Args:
        folder: must not be there yet; its name becomes the model's.
        codec: the published `codec.pth`.
        coarse: the published `coarse.pth`, or a fine-tuned one.
        fine: the published `c2f.pth`, or a fine-tuned one.
        lora: fine-tuned files. One with LoRA weights alone replaces those of the model that it fits; a whole
            fine-tuned model replaces the coarse or the fine one. "coarse=FILE" and "fine=FILE" say which.
        watch: called as `watch(part, parts done, parts in all)` before each part of the work.

    Raises:
        CheckpointError: a file is missing, damaged, foreign or does not fit, or the folder is there already.
    """
    if folder.exists():
        raise CheckpointError(f"there is already a model '{folder.name}' ({folder}); remove it, or choose another name")
    sources: dict[str, list[Path]] = {"codec": [codec], "coarse": [coarse], "fine": [fine]}
    files: dict[str, TorchFile] = {}
    for number, (part, paths) in enumerate(sources.items()):
        watch(f"reading {part}", number, WORK)
        files[part] = read(paths[0])
    for stage in ("coarse", "fine"):
        _check_stage(files[stage], stage)
    for text in lora:
        stage, file = _tuned(str(text), files)
        bare = file.settings is None
        files[stage] = adapted(files[stage], file) if bare else file
        sources[stage] = [*sources[stage], file.path] if bare else [file.path]
    folder.parent.mkdir(parents=True, exist_ok=True)
    part_way = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        _write(part_way, files, codec.parent, watch)
        watch("checksums", WORK - 1, WORK)
        write_text(part_way / "README.md", _card(folder.name, sources))
        part_way.chmod(0o755)
        _ = part_way.rename(folder)
    finally:
        shutil.rmtree(part_way, ignore_errors=True)


def _write(folder: Path, files: dict[str, TorchFile], source: Path, watch: Progress) -> None:
    """The three checkpoints, one after the other, so that only one is held in memory."""
    watch("writing codec", 3, WORK)
    codec = read_codec(files["codec"])
    save(folder / "codec", codec.config, codec)
    grid, vectors = codec.grid, codec.vectors()
    del codec
    configs: list[LMConfig] = []
    for number, stage in enumerate(("coarse", "fine"), start=4):
        watch(f"writing {stage}", number, WORK)
        configs.append(_write_model(folder / stage, files[stage], vectors))
    check_fit(grid, configs[0], configs[1], source)


def _write_model(folder: Path, file: TorchFile, vectors: Float[Tensor, "codebook vocab dim"]) -> LMConfig:
    model = read_model(file, vectors)
    save(folder, model.config, model)
    return model.config


def _check_stage(file: TorchFile, stage: str) -> None:
    if is_fine(file) != (stage == "fine"):
        other = "fine" if stage == "coarse" else "coarse"
        raise CheckpointError(f"{file.path} is not a {stage} model but a {other} one (by n_conditioning_codebooks)")


def _tuned(text: str, files: dict[str, TorchFile]) -> tuple[str, TorchFile]:
    """Which model a fine-tuned file is for, and the file."""
    named = re.match(r"(coarse|fine)=(.+)", text)
    file = read(Path(named[2] if named else text))
    if file.settings is not None:
        stage = "fine" if is_fine(file) else "coarse"
        if named:
            _check_stage(file, named[1])
        return stage, file
    if named:
        return named[1], file
    stages = [stage for stage in ("coarse", "fine") if fits(files[stage], file)]
    if len(stages) == 2:
        raise CheckpointError(f"{file.path} fits the coarse and the fine model; say which: coarse={file.path}")
    return (stages or ["coarse"])[0], file


def _card(name: str, sources: dict[str, list[Path]]) -> str:
    rows = [f"| {part} | {path.name} | `{sha256(path)}` |" for part, paths in sources.items() for path in paths]
    return CARD.format(licence=LICENCE, name=name, rows="\n".join(rows))
