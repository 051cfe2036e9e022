"""Tell a loop from hop to hop, and how far each hop is from where it began."""

import sys

import ostinato
from ostinato.metrics import mel_distance
from ostinato.takes import telephone

source, target, *model = sys.argv[1:]
loop, pipeline = ostinato.read(source), ostinato.load(*model)
for hop, take in enumerate(telephone(pipeline, loop, ostinato.presets["small variation"], hops=3), start=1):
    _ = ostinato.write(f"{target}/hop-{hop}.wav", take.audio)
    away = mel_distance(loop.wave.mean(1), take.audio.wave.mean(1), loop.sample_rate)
    _ = sys.stdout.write(f"hop {hop}: {float(away):.3f}\n")
