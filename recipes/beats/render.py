"""Turn pieces into sound: a stem a part by FluidSynth, then mixes that differ in balance, timbre, room and speed."""

from pathlib import Path

import fluidsynth
import numpy as np
import soxr
from compose import PARTS, Note, Piece
from scipy.signal import fftconvolve, lfilter, sosfilt

RATE = 22050
TAIL = 0.5
BLOCK = 64
LEVELS = {"drums": (0.0, 4.0), "bass": (-4.0, 4.0), "chords": (-2.0, 5.0), "lead": (-5.0, 5.0)}
LEFT_OUT = {"drums": 0.10, "bass": 0.15, "chords": 0.10, "lead": 0.25}


class Band:
    """FluidSynth with one sound font, a channel a part."""

    def __init__(self, font: Path) -> None:
        self.synth = fluidsynth.Synth(samplerate=RATE, gain=0.5)
        self.synth.setting("synth.reverb.active", 0)
        self.synth.setting("synth.chorus.active", 0)
        self.font = self.synth.sfload(str(font))

    def stems(self, piece: Piece, chance: np.random.Generator) -> dict[str, np.ndarray]:
        """Mono sound of each part that plays, at 22.05 kHz, all of one length and one level."""
        end = max(note.end for notes in piece.notes.values() for note in notes) + TAIL
        found = {}
        for part in PARTS:
            if piece.notes[part]:
                bank, channel = (128, 9) if part == "drums" else (0, 0)
                _ = self.synth.program_select(channel, self.font, bank, piece.programs[part])
                wave = self._play(piece.notes[part], channel, round(end * RATE))
                if part == "drums" and chance.random() < 0.45:
                    wave = _level(wave) * chance.uniform(0, 1) + _level(own_drums(piece.notes[part], len(wave), chance))
                found[part] = _level(wave)
        return found

    def _play(self, notes: list[Note], channel: int, samples: int) -> np.ndarray:
        events = [(note.start, 1, note) for note in notes] + [(note.end, 0, note) for note in notes]
        wave, at = [], 0
        for time, on, note in sorted(events, key=lambda event: event[:2]):
            wanted = min(samples, round(time * RATE / BLOCK) * BLOCK)
            if wanted > at:
                wave.append(self._samples(wanted - at))
                at = wanted
            _ = self.synth.noteon(channel, note.pitch, note.velocity) if on else self.synth.noteoff(channel, note.pitch)
        wave.append(self._samples(samples - at))
        _ = self.synth.system_reset()
        return np.concatenate(wave)

    def _samples(self, count: int) -> np.ndarray:
        return self.synth.get_samples(count).reshape(-1, 2).mean(1).astype(np.float32) / 32768


def own_drums(notes: list[Note], samples: int, chance: np.random.Generator) -> np.ndarray:
    """The same kicks, snares, toms and cymbals from falling sines and filtered noise, drawn anew for each piece."""
    wave = np.zeros(samples + RATE, np.float32)
    sounds = {
        group: _drum(*(chance.uniform(low, high) for low, high in ranges), chance)
        for group, ranges in {
            (36,): ((45, 70), (80, 300), (0.05, 0.25), (0.0, 0.25)),
            (38, 39, 37): ((150, 240), (20, 80), (0.06, 0.2), (0.4, 1.2)),
            (48, 45, 41): ((80, 160), (20, 60), (0.15, 0.3), (0.0, 0.2)),
            (42, 44, 46, 51, 53, 70, 54): ((5000, 6000), (0, 1), (0.01, 0.08), (3.0, 5.0)),
            (49, 57, 52): ((5000, 6000), (0, 1), (0.3, 0.7), (3.0, 5.0)),
        }.items()
    }
    by_pitch = {pitch: sound for group, sound in sounds.items() for pitch in group}
    for note in notes:
        if note.pitch in by_pitch:
            sound, at = by_pitch[note.pitch], round(note.start * RATE)
            wave[at : at + len(sound)] += sound[: max(0, len(wave) - at)] * (note.velocity / 127) ** 2
    return wave[:samples]


def _drum(pitch: float, sweep: float, decay: float, noise: float, chance: np.random.Generator) -> np.ndarray:
    time = np.arange(round(min(1.0, 5 * decay) * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch + sweep * np.exp(-time / 0.02)) / RATE
    hiss = lfilter([1, -0.9], [1], chance.normal(0, 0.3, len(time)))
    click = np.exp(-time / 0.003) * chance.normal(0, chance.uniform(0, 0.8), len(time))
    body = np.sin(phase) * (pitch < 1000)
    return ((body + noise * hiss) * np.exp(-time / decay) + click).astype(np.float32)


def mix(stems: dict[str, np.ndarray], piece: Piece, chance: np.random.Generator) -> tuple[np.ndarray, float]:
    """One mix of the stems, and how many times as fast as written it runs."""
    kept = [part for part in stems if chance.random() >= LEFT_OUT[part]] or list(stems)
    if "drums" in stems and chance.random() < 0.04:
        kept = ["drums"]
    total = np.zeros_like(next(iter(stems.values())))
    for part in kept:
        wave = _equalise(stems[part], chance, 2)
        if part != "drums" and piece.dirt:
            wave = _dirty(wave, piece.dirt * (1.0 if part == "chords" else 0.5) * chance.uniform(0.6, 1))
        elif chance.random() < 0.3:
            wave = _dirty(wave, chance.uniform(0, 0.4))
        total += _level(wave) * 10 ** (chance.normal(*LEVELS[part]) / 20)
    if "drums" in kept and chance.random() < 0.1:
        total = _duck(total, stems["drums"], chance.uniform(0.3, 0.8))
    for change in chance.permutation(np.array([_compress, _room, _colour, _soil], dtype=object)):
        total = change(_level(total), chance)
    total = total / np.abs(total).max() * 10 ** (-chance.uniform(0, 12) / 20)
    speed = float(np.exp(chance.uniform(np.log(0.87), np.log(1.15)))) if chance.random() < 0.65 else 1.0
    return soxr.resample(total.astype(np.float32), RATE * speed, RATE, quality="LQ"), speed


def _level(wave: np.ndarray, level: float = 0.1) -> np.ndarray:
    """`wave` with an RMS of `level` where it sounds."""
    power = np.square(wave)
    loud = power[power > 1e-8]
    return wave * (level / np.sqrt(loud.mean())) if loud.size else wave


def _dirty(wave: np.ndarray, amount: float) -> np.ndarray:
    """Saturation, from none at 0 to a high-gain amplifier behind a cabinet at 1."""
    if amount < 0.05:
        return wave
    driven = np.tanh(_level(wave, 1.0) * 10 ** (amount * 1.6 - 0.6))
    return lfilter(*_lowpass(7500 - 3500 * amount), driven).astype(np.float32)


def _lowpass(hertz: float) -> tuple[list[float], list[float]]:
    rest = float(np.exp(-2 * np.pi * hertz / RATE))
    return [(1 - rest) ** 2], [1, -2 * rest, rest * rest]


def _equalise(wave: np.ndarray, chance: np.random.Generator, bands: int) -> np.ndarray:
    """Random peaking filters (Bristow-Johnson, Audio EQ Cookbook)."""
    sections = []
    for _ in range(bands):
        turn = 2 * np.pi * float(np.exp(chance.uniform(np.log(60), np.log(8000)))) / RATE
        gain, width = 10 ** (chance.normal(0, 5) / 40), np.sin(turn) / (2 * chance.uniform(0.4, 1.5))
        row = np.array([1 + width * gain, -2 * np.cos(turn), 1 - width * gain])
        below = np.array([1 + width / gain, -2 * np.cos(turn), 1 - width / gain])
        sections.append(np.concatenate([row, below]) / below[0])
    return sosfilt(np.array(sections), wave).astype(np.float32)


def _envelope(wave: np.ndarray, seconds: float) -> np.ndarray:
    rest = float(np.exp(-1 / (seconds * RATE)))
    return np.sqrt(np.maximum(lfilter([1 - rest], [1, -rest], np.square(wave)), 1e-8))


def _duck(wave: np.ndarray, key: np.ndarray, depth: float) -> np.ndarray:
    return wave / (1 + depth * 10 * _envelope(_level(key), 0.08))


def _compress(wave: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    if chance.random() < 0.4:
        return wave
    return wave * np.maximum(_envelope(wave, chance.uniform(0.01, 0.15)), 0.02) ** -chance.uniform(0.1, 0.7)


def _room(wave: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    if chance.random() < 0.4:
        return wave
    last = chance.uniform(0.1, 1.2)
    time = np.arange(round(last * RATE)) / RATE
    tail = chance.normal(0, 1, len(time)) * np.exp(-6.9 * time / last)
    wet = fftconvolve(wave, tail)[: len(wave)]
    return wave + _level(wet) * chance.uniform(0.02, 0.35)


def _colour(wave: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    wave = _equalise(wave, chance, 3)
    return lfilter(*_lowpass(chance.uniform(2500, 9000)), wave) if chance.random() < 0.15 else wave


def _soil(wave: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Limiting and hiss."""
    if chance.random() < 0.6:
        wave = np.tanh(_level(wave, 1.0) * 10 ** chance.uniform(-0.8, 0.3))
    if chance.random() < 0.4:
        hiss = lfilter([1], [1, -chance.uniform(0, 0.98)], chance.normal(0, 1, len(wave)))
        wave = _level(wave) + _level(hiss) * 10 ** (-chance.uniform(15, 50) / 20)
    return wave
