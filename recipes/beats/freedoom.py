"""Pieces from the music of Freedoom: MIDI lumps in its two WAD files, with beats from their tempo maps."""

import io
import struct
from pathlib import Path

import mido
import numpy as np
from compose import PARTS, Note, Piece

ALIGNED = 0.6
BASSES = range(32, 40)


def lumps(wad: Path) -> dict[str, bytes]:
    """The MIDI lumps of a WAD file by name (the format of Doom: a header, data, then a directory of 16-byte rows)."""
    data = wad.read_bytes()
    _, count, directory = struct.unpack_from("<4sii", data)
    found = {}
    for row in range(count):
        at, size, name = struct.unpack_from("<ii8s", data, directory + 16 * row)
        if data[at : at + 4] == b"MThd":
            found[name.rstrip(b"\0").decode("ascii")] = data[at : at + size]
    return found


def pieces(wads: list[Path], seconds: float, chance: np.random.Generator) -> list[Piece]:
    """An excerpt of every tune, heard once, whose notes start on the grid of its own tempo map."""
    heard, found = set(), []
    for wad in wads:
        for name, data in lumps(wad).items():
            if data not in heard:
                heard.add(data)
                piece = excerpt(name.lower(), data, seconds, chance)
                found += [piece] if piece else []
    return found


def excerpt(name: str, data: bytes, seconds: float, chance: np.random.Generator) -> Piece | None:
    """`seconds` of a MIDI file from a random place; none where notes, tempo and metre do not fit."""
    file = mido.MidiFile(file=io.BytesIO(data), clip=True)
    notes, programs, tempi, metres, end = _events(file)
    ticks = file.ticks_per_beat
    inside = np.array([note.start / ticks % 1 for found in notes.values() for note in found])
    if len(inside) < 100 or _off_grid(inside) > 1 - ALIGNED:
        return None
    if any(bar % 1 for _, bar in metres):
        return None
    at, edges = _clock(tempi, ticks, end)
    beats, downbeats = _beats(metres, ticks, end)
    steps = np.diff(np.interp(beats, at, edges))
    if not 60 / 225 < np.median(steps) < 60 / 50:
        return None
    first = float(chance.uniform(0, max(0.0, edges[-1] - seconds)))

    def moved(note: Note) -> Note:
        start, stop = np.interp([note.start, note.end], at, edges) - first
        return Note(float(max(0, start)), float(min(stop, seconds, start + 8)), note.pitch, note.velocity)

    inside_time = {part: [moved(note) for note in found] for part, found in notes.items()}
    inside_time = {
        part: sorted((n for n in found if n.end > n.start + 0.01), key=lambda n: n.start)
        for part, found in inside_time.items()
    }
    if not any(inside_time.values()):
        return None
    times, downs = (np.interp(grid, at, edges) - first for grid in (beats, downbeats))
    kept = [grid[(grid >= 0) & (grid < seconds)] for grid in (times, downs)]
    return Piece(f"freedoom-{name}", inside_time, programs, *kept, float(chance.uniform(0, 0.6)))


def _events(file: mido.MidiFile):
    """Notes by part in ticks, programs by part, tempi and metres by tick, and the last tick."""
    notes: dict[str, list[Note]] = {part: [] for part in PARTS}
    sung: dict[str, list[int]] = {part: [] for part in PARTS}
    program, open_notes, tempi, metres, tick = {}, {}, [(0, 500000)], [(0, 4)], 0
    for event in mido.merge_tracks(file.tracks):
        tick += event.time
        if event.type == "set_tempo":
            tempi.append((tick, event.tempo))
        elif event.type == "time_signature":
            compound = event.denominator == 8 and event.numerator % 3 == 0
            metres.append((tick, event.numerator * 4 / event.denominator * (1 if not compound else -1)))
        elif event.type == "program_change":
            program[event.channel] = event.program
        elif event.type in ("note_on", "note_off"):
            key = (event.channel, event.note)
            if key in open_notes:
                start, velocity = open_notes.pop(key)
                playing = program.get(event.channel, 0)
                part = _part(event.channel, playing)
                notes[part].append(Note(start, max(tick, start + 1), event.note, velocity))
                sung[part].append(playing)
            if event.type == "note_on" and event.velocity:
                open_notes[key] = (tick, event.velocity)
    programs = {part: max(set(found), key=found.count) if found else 0 for part, found in sung.items()}
    return notes, programs | {"drums": 0}, tempi, metres, tick


def _part(channel: int, program: int) -> str:
    if channel == 9:
        return "drums"
    if program in BASSES:
        return "bass"
    return "lead" if channel % 2 else "chords"


def _off_grid(inside: np.ndarray) -> float:
    """The share of notes that start further than a fortieth of a beat from sixteenths and triplets."""
    grid = np.array([0, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1])
    return float((np.abs(inside[:, None] - grid).min(1) > 0.025).mean())


def _clock(tempi: list[tuple[int, int]], ticks: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Ticks at which the tempo changes, and their seconds."""
    at = np.array([tick for tick, _ in tempi] + [max(end, tempi[-1][0]) + 1], dtype=float)
    speed = np.array([tempo for _, tempo in tempi]) / ticks / 1e6
    return at, np.concatenate([[0.0], np.cumsum(np.diff(at) * speed)])


def _beats(metres: list[tuple[int, float]], ticks: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Ticks of beats and downbeats; compound metres (a negative length of the bar) beat in dotted quarters."""
    beats, downs = [], []
    for (start, bar), (stop, _) in zip(metres, [*metres[1:], (end, 0)], strict=True):
        step = ticks * (1.5 if bar < 0 else 1)
        beats.append(np.arange(start, stop, step))
        downs.append(np.arange(start, stop, abs(bar) * ticks))
    return np.concatenate(beats), np.concatenate(downs)
