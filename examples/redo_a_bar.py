"""Play bar 2 of a loop again, over a grid that the musician gives; all other samples stay."""

import sys

import ostinato
from ostinato.clip import Heard
from ostinato.grids import steady

source, target, bpm, *model = sys.argv[1:]
loop, pipeline = ostinato.read(source), ostinato.load(*model)
heard = Heard(beats=steady(loop.seconds, bpm=float(bpm), meter="4/4"))
take = pipeline.vary(loop, ostinato.Prompt.of(hide=["bars:which=2"]), seed=1, heard=heard)
_ = ostinato.write(target, take.audio)
