"""Four variations of a loop that goes round, from nearly the same to hardly."""

import sys

import ostinato

source, target, *model = sys.argv[1:]
loop, pipeline = ostinato.read(source), ostinato.load(*model)
for number, name in enumerate(["small variation", "medium variation", "large variation", "unconditional"], start=1):
    take = pipeline.vary(loop, ostinato.presets[name], seed=number, loop=True)
    _ = ostinato.write(f"{target}/{number} {name}.wav", take.audio)
