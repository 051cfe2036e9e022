"""The command line: `main` and its verbs, each a module of this package."""

from importlib import metadata

import click

from .beats import beats
from .bench import bench
from .bench_compress import compress as bench_compress
from .bench_players import loop as bench_loop
from .bench_players import unloop as bench_unloop
from .bench_take import take as bench_take
from .codes import decode, encode
from .common import Door
from .compress import compress_verb, expand_verb
from .evaluate import evaluate
from .evaluate_beats import beats as evaluate_beats
from .export import export
from .info import doctor, hints, info, presets, samplers
from .models import models
from .serve import bench_serve, serve, studio
from .surprise import surprise
from .takes import blend, takes, telephone, undo
from .train import corpus, train
from .unloop import unloop
from .vary import demo, vary

evaluate.add_command(evaluate_beats)
bench.add_command(bench_loop)
bench.add_command(bench_unloop)
bench.add_command(bench_compress)
bench.add_command(bench_serve)
bench.add_command(bench_take)


@click.group(cls=Door, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(metadata.version("ostinato"), prog_name="ostinato")
@click.pass_context
def main(context: click.Context) -> None:
    """Music by masked acoustic token modeling: a loop in, variations out."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for verb in (
    vary,
    demo,
    takes,
    undo,
    blend,
    telephone,
    surprise,
    encode,
    decode,
    beats,
    compress_verb,
    expand_verb,
    info,
    presets,
    hints,
    samplers,
    models,
    doctor,
    corpus,
    train,
    evaluate,
    bench,
    export,
    serve,
    studio,
    unloop,
):
    main.add_command(verb)
