"""What a visitor of the studio sees and hears of a room: the mask, the player, the tree of takes."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from jaxtyping import UInt8

from ..audiofile import info, read
from ..cli.common import prompt_flags
from ..errors import PromptError
from ..listening import listen
from ..longplay import file_pieces
from ..prompts import Prompt
from ..tree import Node, lineage, tree
from .desk import Desk
from .preview import preview

LONGEST_SHOWN = 120.0
HEARD = frozenset({"beats", "onsets"})


def picture(
    desk: Desk, sound: Path, prompt: Prompt, *, loop: bool
) -> tuple[UInt8[np.ndarray, "row column colour"], float]:
    """The sound's spectrogram under the mask, its first two minutes, and the share of tokens that are made anew.

    Raises:
        PromptError: the prompt does not fit the sound, or only a model can tell what it hides.
        AudioError: the sound cannot be read.
    """
    if prompt.needs - HEARD:
        raise PromptError("what surprises the model is known once it has listened; generate to hear it")
    facts = info(sound)
    heard = listen(file_pieces(sound), prompt.needs, circular=loop)
    clip = desk.workshop.main.clip(facts.samples, facts.sample_rate, loop=loop, heard=heard)
    hidden = prompt.mask(clip)
    stop = min(facts.samples, round(LONGEST_SHOWN * facts.sample_rate))
    frames = max(1, round(clip.frames * stop / facts.samples))
    return preview(read(sound, stop=stop), hidden[:, :frames]), float(hidden.float().mean())


def player(sounds: Sequence[tuple[str, Path]]) -> str:
    """HTML that plays sounds in step, one of them heard at a time; studio.js makes it work."""
    rows = []
    for number, (name, path) in enumerate(sounds):
        url, said = html.escape(f"gradio_api/file={quote(str(path))}"), html.escape(name)
        checked = "true" if number == 0 else "false"
        rows.append(
            f'<div class="ab-row"><button type="button" class="ab-pick" role="radio" aria-checked="{checked}" '
            f'data-src="{url}"><kbd>{number + 1}</kbd> {said}</button>'
            f'<audio controls preload="metadata" src="{url}" aria-label="{said}"></audio>'
            f'<a class="ab-save" href="{url}" download="{html.escape(path.name)}">{_kind(path)}</a></div>'
        )
    play = '<button type="button" class="ab-play" aria-pressed="false">Play all in step</button>'
    told = '<span class="ab-told">Space plays and stops, the digits choose who is heard.</span>'
    return f'<div class="ab" role="radiogroup" aria-label="Compare">{play}{told}{"".join(rows)}</div>'


def branches(room: Path) -> list[tuple[str, str]]:
    """The sounds of a room as (label, path), takes under what they were made from."""
    found: list[tuple[str, str]] = []
    rest: list[tuple[int, Node]] = [(0, each) for each in reversed(tree(room))]
    while rest:
        depth, each = rest.pop()
        if each.path is not None:
            found.append((f"{'· ' * depth}{each.path.name}  {words(each.about)}".rstrip(), str(each.path)))
        rest += [(depth + 1, child) for child in reversed(each.children)]
    return found


def before(sound: Path) -> Path | None:
    """What a take was made from, if that is still in its room."""
    line = lineage(sound)
    return line[1].path if len(line) > 1 else None


def words(told: dict[str, Any]) -> str:
    """How a take was made, in short."""
    if not told:
        return ""
    prompt = " ".join(prompt_flags(Prompt.load(told["prompt"]))) if "prompt" in told else ""
    return f"(seed {told.get('seed')}; {prompt})" if prompt else f"(seed {told.get('seed')})"


def _kind(path: Path) -> str:
    return path.suffix.lstrip(".").upper()
