"""Write pieces whose beats are known: drums, bass, chords and a lead in many styles, bar by bar from patterns."""

from dataclasses import dataclass, replace

import numpy as np
from patterns import FILLS, GROOVES, KITS, RIFFS, STYLES, Style

PARTS = ("drums", "bass", "chords", "lead")
SCALES = ((0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 5, 7, 9, 11), (0, 1, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10))


@dataclass(frozen=True)
class Note:
    """A key pressed from `start` to `end`; in beats while a piece is written, in seconds once it is played."""

    start: float
    end: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Piece:
    """Notes by part in seconds, what plays them, and where the beats and downbeats are."""

    name: str
    notes: dict[str, list[Note]]
    programs: dict[str, int]
    beats: np.ndarray
    downbeats: np.ndarray
    dirt: float = 0.0


@dataclass(frozen=True)
class Section:
    """Bars that share a groove, a riff and a key."""

    first: int
    bars: int
    groove: str
    riff: str
    bass: str
    lead: bool
    drums: bool
    roots: tuple[int, ...]


def compose(chance: np.random.Generator, seconds: float, style: str | None = None) -> Piece:
    """A piece of about `seconds`, in a style drawn by weight unless one is named."""
    names = list(STYLES)
    weights = np.array([STYLES[name].weight for name in names])
    name = style or str(chance.choice(names, p=weights / weights.sum()))
    made = STYLES[name]
    tempo = float(np.exp(chance.uniform(*np.log(made.tempo))))
    metre = int(chance.choice(made.metres))
    bars = max(4, round(seconds * tempo / 60 / metre))
    sections = _sections(chance, made, bars)
    time = _clock(chance, made, tempo, metre, sections)
    notes: dict[str, list[Note]] = {part: [] for part in PARTS}
    transpose = int(chance.integers(-5, 7))
    scale = SCALES[chance.choice(4, p=(0.4, 0.25, 0.15, 0.2))]
    for section in sections:
        for part, found in _play(chance, made, section, metre, transpose, scale).items():
            notes[part] += found
    played = {part: _perform(chance, made, found, time) for part, found in notes.items()}
    grid = np.arange(bars * metre)
    programs = {part: int(chance.choice(getattr(made, part))) for part in ("bass", "chords", "lead")}
    programs["drums"] = int(chance.choice(made.kits or KITS))
    dirt = float(chance.uniform(*made.dirt))
    return Piece(f"{name}-{tempo:.0f}", played, programs, time(grid), time(grid[::metre]), dirt)


def _sections(chance: np.random.Generator, style: Style, bars: int) -> list[Section]:
    found, first = [], 0
    degrees = [tuple(int(d) for d in chance.choice((0, 0, 0, 2, 3, 4, 5, 6), 4)) for _ in range(2)]
    while first < bars:
        length = min(int(chance.choice((2, 4, 4, 8))), bars - first)
        found.append(
            Section(
                first=first,
                bars=length,
                groove=str(chance.choice(style.grooves)),
                riff=str(chance.choice(style.riffs)),
                bass=str(chance.choice(style.basses)),
                lead=bool(chance.random() < style.melody),
                drums=bool(chance.random() < (0.75 if first == 0 else 0.93)),
                roots=degrees[int(chance.integers(2))],
            )
        )
        first += length
    return found


def _clock(chance: np.random.Generator, style: Style, tempo: float, metre: int, sections: list[Section]):
    """A function from beats to seconds: steady, drifting, breathing, or with another tempo in some sections."""
    beats = (sections[-1].first + sections[-1].bars) * metre + 4
    speed = np.full(beats, tempo)
    kind = chance.random()
    if kind < style.drift:
        speed *= np.exp(np.cumsum(chance.normal(0, 0.006, beats)).clip(-0.12, 0.12))
        speed *= 1 + style.rubato * np.sin(np.arange(beats) * chance.uniform(0.2, 0.8) + chance.uniform(0, 6))
    elif kind > 0.94:
        for section in sections:
            speed[section.first * metre :] = tempo * chance.choice((1, 1, 0.8, 1.25, 0.9, 1.1))
    edges = np.concatenate([[0.0], np.cumsum(60 / speed)]) + chance.uniform(0, 1.5)
    return lambda at: np.interp(at, np.arange(beats + 1), edges)


def _play(chance, style: Style, section: Section, metre: int, transpose: int, scale) -> dict[str, list[Note]]:
    """The notes of one section by part, in beats."""
    split = style.split
    steps = metre * split
    riff = _rhythm(chance, section.riff, steps, split)
    bass = riff if section.bass == "follow" else _rhythm(chance, section.bass, steps, split)
    groove = {drum: _stretch(text, steps) for drum, text in GROOVES[section.groove].items()}
    if section.groove in ("breakdown", "groove"):
        groove["kick"] = "".join("x" if step in riff else "." for step in range(steps))
    keeper = str(chance.choice(style.keepers))
    notes: dict[str, list[Note]] = {part: [] for part in PARTS}
    tune = _tune(chance, steps * 2, split) if section.lead else []
    for bar in range(section.bars):
        at = (section.first + bar) * metre
        root = 40 + transpose + scale[section.roots[bar * len(section.roots) // section.bars % 4]]
        filling = bar == section.bars - 1 and chance.random() < style.fills
        if section.drums:
            notes["drums"] += _drums(chance, groove, keeper, at, metre, split, filling, bar == 0)
        if chance.random() < 0.97:
            notes["chords"] += _chords(chance, style, section.riff, riff, root, scale, at, steps, split)
        notes["bass"] += _line(chance, bass, root - 12, at, steps, split, walks=section.bass == "walk")
        half = [(s - (bar % 2) * steps, n, d) for s, n, d in tune if s // steps == bar % 2]
        notes["lead"] += [
            Note(at + s / split, at + (s + n) / split, 64 + transpose + scale[d % 7] + 12 * (d // 7), 85)
            for s, n, d in half
        ]
    return notes


def _stretch(text: str, steps: int) -> str:
    """A pattern cut or repeated to the steps of a bar."""
    return (text * (steps // len(text) + 1))[:steps]


def _rhythm(chance: np.random.Generator, name: str, steps: int, split: int) -> list[int]:
    """The steps of a bar on which a riff strikes."""
    if name in RIFFS:
        return [i for i, hit in enumerate(_stretch(RIFFS[name], steps)) if hit != "."]
    if name == "beats":
        return list(range(0, steps, split))
    if name == "groups":
        found = np.cumsum([0, *chance.choice((2, 3, 3, 4) if split == 4 else (2, 3), steps)])
        return [int(step) for step in found if step < steps]
    if name == "chug":
        return [0, *(s for s in range(1, steps) if chance.random() < (0.6 if s % (split // 2 or 1) == 0 else 0.3))]
    return [0]


def _chords(chance, style, name, riff, root, scale, at, steps, split) -> list[Note]:
    notes = []
    heavy = style.dirt[1] > 0.4
    shape = (0, 7, 12) if heavy else (0, scale[2], 7, 12 + (scale[2] if chance.random() < 0.5 else 0))
    hangs = name in ("sustain", "halves") or chance.random() < 0.15
    for number, step in enumerate(riff):
        after = riff[number + 1] if number + 1 < len(riff) else steps
        length = (after - step) / split * (0.97 if hangs else float(chance.choice((0.4, 0.6, 0.9))))
        strong = 112 if step % (2 * split) == 0 else 96
        tones = shape
        if heavy and not hangs:
            open_chord = step == 0 or chance.random() < 0.2
            tones = shape if open_chord else shape[:2]
            strong += 8 if open_chord else -10
        if name == "arpeggio":
            tones = (shape[number % len(shape)],)
        for tone in tones:
            pitch = root + tone + (0 if heavy else 12)
            start = at + step / split
            notes.append(Note(start, start + length, pitch, _velocity(chance, strong)))
    return notes


def _line(chance, steps_hit, root, at, steps, split, *, walks: bool) -> list[Note]:
    notes = []
    for number, step in enumerate(steps_hit):
        after = steps_hit[number + 1] if number + 1 < len(steps_hit) else steps
        tone = int(chance.choice((0, 3, 5, 7, 10, 12))) if walks and step else int(chance.choice((0, 0, 0, 0, 12, 7)))
        start = at + step / split
        notes.append(Note(start, start + 0.85 * (after - step) / split, root + tone, _velocity(chance, 100)))
    return notes


def _tune(chance: np.random.Generator, steps: int, split: int) -> list[tuple[int, int, int]]:
    """A melody of (step, length, degree), with rests."""
    found, step, degree = [], int(chance.choice((0, 0, split // 2, split))), int(chance.integers(0, 10))
    while step < steps:
        length = int(chance.choice((1, 2, 2, 4, 4, 3, 6, 8) if split == 4 else (1, 2, 3, 3, 6)))
        if chance.random() < 0.8:
            found.append((step, length, degree))
        degree = int(np.clip(degree + chance.integers(-2, 3), 0, 13))
        step += length
    return found


def _drums(chance, groove, keeper, at, metre, split, filling, opens) -> list[Note]:
    steps = metre * split
    fill_from = steps - split * int(chance.choice((1, 2, metre), p=(0.45, 0.4, 0.15))) if filling else steps
    notes = []
    for drum, text in groove.items():
        for step, mark in enumerate(text[:fill_from]):
            level = {"x": 118, "o": 84, "?": 70 if chance.random() < 0.35 else 0}.get(mark, 0)
            if level:
                notes.append(_hit(chance, keeper if drum == "hat" else drum, at + step / split, level))
    if filling:
        pattern = str(chance.choice(FILLS[split]))
        drums = ("snare", *sorted(chance.choice(("high tom", "mid tom", "low tom"), 3)), "low tom")
        length = steps - fill_from
        for step in range(length):
            if pattern[step % len(pattern)] == "x":
                drum = drums[step * len(drums) // length] if chance.random() < 0.8 else "kick"
                notes.append(_hit(chance, drum, at + (fill_from + step) / split, 108))
    if opens and chance.random() < 0.8:
        notes.append(_hit(chance, str(chance.choice(("crash", "crash 2", "china"), p=(0.5, 0.35, 0.15))), at, 120))
    if chance.random() < 0.06:
        notes.append(_hit(chance, "crash", at + chance.integers(1, steps) / split, 110))
    return notes


DRUMS = {
    "kick": 36, "snare": 38, "rim": 37, "clap": 39, "closed": 42, "pedal": 44, "open": 46, "ride": 51, "bell": 53,
    "crash": 49, "crash 2": 57, "china": 52, "high tom": 48, "mid tom": 45, "low tom": 41, "cowbell": 56, "conga": 63,
    "low conga": 64, "shaker": 70, "clave": 75, "tambourine": 54,
}  # fmt: skip


def _hit(chance: np.random.Generator, drum: str, at: float, level: float) -> Note:
    return Note(at, at + 0.2, DRUMS[drum], _velocity(chance, level))


def _velocity(chance: np.random.Generator, level: float) -> int:
    return int(np.clip(level + chance.normal(0, 6), 20, 127))


def _perform(chance: np.random.Generator, style: Style, notes: list[Note], time) -> list[Note]:
    """Notes in seconds, swung, a little early or late as people play."""
    swing, loose, late = chance.uniform(*style.swing), chance.uniform(0, style.loose), chance.normal(0, 0.003)

    def when(at: float) -> float:
        beat, inside = divmod(at + 1e-9, 1)
        return float(time(beat + np.interp(inside, (0, 0.5, 1), (0, 0.5 + swing / 2, 1))))

    found = []
    for note in notes:
        shift = late + float(chance.normal(0, loose))
        start = max(0.0, when(note.start) + shift)
        found.append(replace(note, start=start, end=max(start + 0.03, when(note.end) + shift)))
    return sorted(found, key=lambda note: note.start)
