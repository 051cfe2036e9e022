"""Sounds for the tests, as bytes of files."""

import io

import numpy as np
import soundfile


def loop(seconds: float = 2.0, rate: int = 44100, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Decaying tones with some noise: (sample, channel)."""
    time = np.arange(round(seconds * rate)) / rate
    chance = np.random.default_rng(seed)
    tones = np.sin(2 * np.pi * (220 + 40 * seed) * time) * np.exp(-6 * (time % 0.5))
    rows = [0.3 * tones + 0.01 * chance.standard_normal(len(time)) for _ in range(channels)]
    return np.stack(rows, axis=1).astype(np.float32)


def file(kind: str = "WAV", subtype: str | None = None, **how: float) -> bytes:
    """A loop as the bytes of a file."""
    rate, whole = int(how.get("rate", 44100)), {"channels", "seed", "rate"}
    wave = loop(**{name: int(value) if name in whole else value for name, value in how.items()})  # type: ignore[arg-type]
    stream = io.BytesIO()
    soundfile.write(stream, wave, rate, format=kind, subtype=subtype)
    return stream.getvalue()


def decoded(content: bytes) -> tuple[np.ndarray, int]:
    """Samples (sample, channel) and rate of a file's bytes."""
    return soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
