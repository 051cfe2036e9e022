"""`ostinato models`: what models there are; import published files, pull them from the hub, remove what is not used."""

from pathlib import Path
from typing import Any

import click

from ..interop.hub import REPOSITORY, fetch
from ..interop.importing import LICENCE, import_model
from ..models import ModelFacts, facts, folder_of, home, installed, new_folder, remove, shipped
from .common import as_json, progress, show, table
from .info import model_about, model_text

NOTICE = "its weights are under CC BY-NC-SA 4.0: not for commercial use, and to be passed on under the same terms"

published = click.Path(path_type=Path)


@click.group()
def models() -> None:
    """List, import, pull and remove models; `--model NAME` uses one."""


@models.command("list")
@as_json
def list_models(as_json: bool) -> None:
    """List the models that ship and those in your folder."""
    found = [(facts(folder_of(name)), "ships with ostinato") for name in shipped()]
    own = home() / "models"
    found += [(facts(own / name), "yours") for name in installed() if name not in shipped()]
    rows = [(each.name, f"{sum(each.megabytes.values()):.1f} MB", each.licence, whose) for each, whose in found]
    text = table(rows, indent="") if rows else "there is no model; pull one with: ostinato models pull vampnet"
    show({"models": [_row(*each) for each in found], "folder": str(own)}, text, json_wanted=as_json)


@models.command("info")
@click.argument("name")
@as_json
def info_model(name: str, as_json: bool) -> None:
    """Tell of the model NAME, or of the model in a folder."""
    about = model_about(folder_of(name))
    show(about, model_text(about), json_wanted=as_json)


@models.command("import")
@click.option("--codec", type=published, required=True, help="The published codec.pth.")
@click.option("--coarse", type=published, required=True, help="The published coarse.pth, or a fine-tuned one.")
@click.option("--fine", type=published, required=True, help="The published c2f.pth, or a fine-tuned one.")
@click.option("--lora", metavar="[coarse=|fine=]FILE", multiple=True, help="A fine-tuned file; may be repeated.")
@click.option("--name", metavar="NAME", required=True, help="What to call the model here.")
@as_json
def import_files(codec: Path, coarse: Path, fine: Path, lora: tuple[str, ...], name: str, as_json: bool) -> None:
    """Make a model of VampNet's published files."""
    folder = new_folder(name)
    with progress() as watch:
        import_model(folder, codec=codec, coarse=coarse, fine=fine, lora=lora, watch=watch)
    _tell_new(folder, json_wanted=as_json)


@models.command("pull")
@click.argument("name")
@click.option("--as", "here", metavar="NAME", help="What to call the model here; its own name unless given.")
@click.option("--repository", default=REPOSITORY, show_default=True, help="Where it is on the hub.")
@click.option("--revision", help="A branch, tag or commit; the newest unless given.")
@click.option("--endpoint", envvar="HF_ENDPOINT", help="Another hub than huggingface.co.  [env: HF_ENDPOINT]")
@as_json
def pull(
    name: str, here: str | None, repository: str, revision: str | None, endpoint: str | None, as_json: bool
) -> None:
    """Fetch a published model from the Hugging Face hub and import it.

    NAME is `vampnet` for the published defaults, or the name of a fine-tuned model beside them. What was fetched stays
    in huggingface_hub's cache; a pull that was cut short goes on where it stopped.
    """
    folder = new_folder(here or name)
    files = fetch(name, repository=repository, revision=revision, endpoint=endpoint)
    with progress() as watch:
        import_model(folder, codec=files["codec"], coarse=files["coarse"], fine=files["fine"], watch=watch)
    _tell_new(folder, json_wanted=as_json)


@models.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
def remove_model(name: str, yes: bool, as_json: bool) -> None:
    """Delete the model NAME from your folder."""
    if not yes and name in installed():
        size = sum(facts(home() / "models" / name).megabytes.values())
        _ = click.confirm(f"delete {home() / 'models' / name} ({size:.1f} MB)?", abort=True, err=True)
    folder = remove(name)
    show({"removed": str(folder)}, f"removed {folder}", json_wanted=as_json)


def _row(about: ModelFacts, whose: str) -> dict[str, Any]:
    return {
        "name": about.name,
        "folder": str(about.folder),
        "megabytes": about.megabytes,
        "licence": about.licence,
        "shipped": whose != "yours",
    }


def _tell_new(folder: Path, *, json_wanted: bool) -> None:
    text = f"{folder.name} is in {folder}; use it with --model {folder.name}\n{NOTICE}"
    data = {"name": folder.name, "folder": str(folder), "licence": LICENCE, "notice": NOTICE}
    show(data, text, json_wanted=json_wanted)
