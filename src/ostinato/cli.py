"""The command line. Each verb reads its flags, calls the library, and prints what came of it; see cli_*.py."""

from importlib import metadata

import click

from .cli_beats import beats
from .cli_bench import bench
from .cli_bench_compress import compress as bench_compress
from .cli_bench_players import loop as bench_loop
from .cli_bench_players import unloop as bench_unloop
from .cli_bench_take import take as bench_take
from .cli_codes import decode, encode
from .cli_common import Door
from .cli_compress import compress_verb, expand_verb
from .cli_evaluate import evaluate
from .cli_evaluate_beats import beats as evaluate_beats
from .cli_export import export
from .cli_info import doctor, hints, info, presets, samplers
from .cli_models import models
from .cli_serve import bench_serve, serve, studio
from .cli_surprise import surprise
from .cli_takes import blend, takes, telephone, undo
from .cli_train import corpus, train
from .cli_unloop import unloop
from .cli_vary import demo, vary

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
