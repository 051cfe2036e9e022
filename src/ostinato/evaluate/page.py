"""The words and tables around a card's figures."""

from collections.abc import Sequence
from typing import Any

from ..errors import OstinatoError
from .card import PARTS, About, Figures, stale
from .judges import BEST

HEADINGS = {
    "mel": "mel distance (0 is a copy)",
    "zimtohrli": f"zimtohrli ({BEST['zimtohrli']:g} is a copy)",
    "visqol": f"ViSQOL ({BEST['visqol']:.2f} is a copy)",
}
DIGITS = {"mel": 3, "zimtohrli": 2, "visqol": 2}


def page(figures: Figures) -> str:
    """The card of a model in Markdown; every figure in it comes from `figures`.

    Raises:
        OstinatoError: a part was not measured, or on another model.
    """
    about = About(**figures["model"])
    missing = stale(figures, about)
    if missing:
        raise OstinatoError(
            f"the figures lack {', '.join(missing)} of model {about.hash}; run `ostinato evaluate {missing[0]}`"
        )
    makers = dict(zip(PARTS, (_codec, _tokens, _prompts), strict=True))
    parts = [_intro(about)]
    for name, make in makers.items():
        parts.append(f"{make(figures[name]['result'])}\n\n```sh\n{figures[name]['command']}\n```")
    if figures.get("training"):
        parts.append(_training(figures["training"]))
    if figures.get("corpus"):
        parts.append(_corpus(figures["corpus"]))
    return "\n\n".join([*parts, _licence()]) + "\n"


def tables(part: str, result: dict[str, Any]) -> str:
    """The tables of one part of a card."""
    if part == "codec":
        return f"{codec_table(result)}\n\n{perplexity_table(result)}"
    return tokens_table(result) if part == "tokens" else prompts_table(result)


def codec_table(result: dict[str, Any]) -> str:
    """Scores of every system, a line each, with the bounds of the mean."""
    judges = list(result["scores"][0]["judged"])
    rows = [
        [
            score["system"],
            f"{score['kbps']:.2f}" if score["kbps"] else "",
            *[_bounds(score["judged"][j], DIGITS[j]) for j in judges],
        ]
        for score in result["scores"]
    ]
    return table(["system", "kbit/s", *[HEADINGS[judge] for judge in judges]], rows)


def perplexity_table(result: dict[str, Any]) -> str:
    """How many values each codebook uses, in effect."""
    numbers = [str(number + 1) for number in range(len(result["perplexity"]))]
    return table(["codebook", *numbers], [["perplexity", *[f"{value:.0f}" for value in result["perplexity"]]]])


def tokens_table(result: dict[str, Any]) -> str:
    """Bits a token by codebook."""
    header = ["codebook", "model", "frequencies alone", "half hidden", "cosine schedule", "saved (half hidden)"]
    rows = [
        [
            str(level["codebook"]),
            level["stage"],
            *[f"{level[key]:.2f}" for key in ("unigram", "half", "schedule")],
            f"{level['saved']:.1%}",
        ]
        for level in result["levels"]
    ]
    return table(header, rows)


def prompts_table(result: dict[str, Any]) -> str:
    """Mel distances to the input's reconstruction."""
    names = {
        "take": "the model's take",
        "chance": "the same cells filled by token frequencies",
        "other": "another track",
        "chance_less_take": "chance less take, passage by passage",
        "other_less_take": "another track less take, passage by passage",
    }
    rows = [[text, _bounds(result[key], 3)] for key, text in names.items()]
    return table(["sound", "mel distance to the codec's own reconstruction"], rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _intro(about: About) -> str:
    grid = about.grid
    rate = grid["sample_rate"] / grid["hop"]
    return (
        "---\nlicense: cc-by-sa-4.0\n---\n\n"
        f"# Model card: {about.name}\n\n"
        f"A codec of {grid['codebooks']} codebooks of {grid['vocabulary']} values at {rate:.1f} frames a second "
        f"({grid['sample_rate']} Hz, hop {grid['hop']}), a coarse and a fine masked model over its tokens. "
        f"Weights: {about.bytes / 1e6:.1f} MB, hash `{about.hash}`. Takes are filled by `{about.samplers}`.\n\n"
        "`ostinato evaluate card` wrote this page from `card.json`; the command under each table measures its figures "
        "again. Square brackets hold the bounds of 95 % of bootstrap means over passages."
    )


def _codec(result: dict[str, Any]) -> str:
    return (
        "## What the codec keeps\n\n"
        f"{result['passages']} passages of {result['seconds']:g} s from the {result['tracks']} tracks of the "
        f"{result['split']} split (seed {result['seed']}), mono, at one loudness. Codebooks cost their packed bits; "
        f"Opus ({result['opus'] or 'not measured'}, constrained VBR, aligned by cross-correlation) costs its whole "
        "file with the Ogg container. Mel distance is the mean over the seven scales of arXiv:2306.06546, not their "
        "sum; zimtohrli and ViSQOL (audio mode) listen at 48 kHz.\n\n"
        f"{codec_table(result)}\n\n"
        f"Encoding and decoding together run at {result['speed']:.0f} times real time on {result['threads']} CPU "
        f"thread{'s' * (result['threads'] > 1)}. How many values each codebook uses, in effect, over "
        f"{result['tokens']} frames:\n\n"
        f"{perplexity_table(result)}"
    )


def _tokens(result: dict[str, Any]) -> str:
    return (
        "## What the models foretell\n\n"
        f"Bits a hidden token costs on {result['tokens']} frames ({result['passages']} passages of "
        f"{result['seconds']:g} s) of the {result['split']} split, with half of the cells hidden and over the cosine "
        f"schedule ({result['hidden']:.0%} hidden on average), beside what token frequencies alone can do. Frequencies "
        f"are those of {result['unigram_from']}.\n\n"
        f"{tokens_table(result)}\n\n"
        f"Together: {_together(result)}."
    )


def _together(result: dict[str, Any]) -> str:
    stages = dict.fromkeys(level["stage"] for level in result["levels"])
    saved = []
    for stage in stages:
        levels = [level for level in result["levels"] if level["stage"] == stage]
        share = 1 - sum(level["half"] for level in levels) / sum(level["unigram"] for level in levels)
        first, last = levels[0]["codebook"], levels[-1]["codebook"]
        saved.append(f"codebooks {first} to {last} save {share:.1%}")
    return ", ".join(saved)


def _prompts(result: dict[str, Any]) -> str:
    hints = "; ".join(
        f"{role} {hint['hint']} ({', '.join(f'{k} {v}' for k, v in hint.items() if k != 'hint')})"
        for role, part in result["prompt"].items()
        for hint in part
    )
    return (
        "## Whether takes stay with the music\n\n"
        f"A take of each of {result['passages']} passages of {result['seconds']:g} s of the {result['split']} split, "
        f"prompt: {hints}; {result['hidden']:.0%} of the cells are hidden.\n\n"
        f"{prompts_table(result)}\n\n"
        f"The take is {_clearly(result['chance_less_take'])} than chance and "
        f"{_clearly(result['other_less_take'])} than another track."
    )


def _clearly(difference: dict[str, float]) -> str:
    return "clearly nearer" if difference["low"] > 0 else "not clearly nearer"


def _training(runs: list[dict[str, Any]]) -> str:
    rows = [[run["stage"], f"{run['hours']:.1f}", str(run["steps"])] for run in runs]
    total = sum(run["hours"] for run in runs)
    return f"## Training\n\n{table(['stage', 'hours', 'steps'], [*rows, ['together', f'{total:.1f}', '']])}"


def _corpus(splits: list[dict[str, Any]]) -> str:
    rows = [
        [
            part["split"],
            f"{part['hours']:.1f}",
            str(part["tracks"]),
            str(len(part["packages"])),
            ", ".join(f"{licence} {hours:.2f} h" for licence, hours in part["licences"].items()),
        ]
        for part in splits
    ]
    return (
        "## Corpus\n\n"
        "Music from Debian packages; splits go by package, and no track of a test split was trained on. "
        "`recipes/default` lists every track, with its checksum.\n\n"
        f"{table(['split', 'hours', 'tracks', 'packages', 'licences'], rows)}"
    )


def _licence() -> str:
    return (
        "## Licence\n\n"
        "The weights are under CC BY-SA 4.0; `ATTRIBUTION.md` names those who made the music. "
        "A take belongs to whoever makes it."
    )


def _bounds(estimate: dict[str, float], digits: int) -> str:
    if estimate["low"] == estimate["high"]:
        return f"{estimate['mean']:.{digits}f}"
    return f"{estimate['mean']:.{digits}f} [{estimate['low']:.{digits}f}, {estimate['high']:.{digits}f}]"
