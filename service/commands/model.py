"""`retrieval model`: which embedding models there are, and compiling another one."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import rich_click as click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from service.embedders.base import ModelCard
from service.embedders.builtin import NAME, read_builtin
from service.embedders.compiled import MODELS, compiled_folders, read_compiled
from service.embedders.files import ModelFiles
from service.errors import ModelUnavailable
from service.settings import Settings


@click.group()
def model() -> None:
    """List embedding models, or compile one for the runtime that needs no torch."""


@model.command(name="list")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--data-dir",
    envvar="RETRIEVAL_DATA_DIR",
    type=click.Path(path_type=Path),
    default=Settings().data_dir,
    show_default=True,
    help="Compiled models are looked for in its folder `models`.",
)
def list_models(folders: tuple[Path, ...], data_dir: Path) -> None:
    """List the built-in model, and the compiled ones in FOLDERS and in the data directory.

    Every file is checked against its hash. RETRIEVAL_EMBEDDING_MODEL takes what stands in the first column.
    """
    table = Table(
        Column("model", overflow="fold"),
        *("runtime", "dimensions", "window"),
        Column("revision", no_wrap=True),
        "state",
        box=SIMPLE_HEAD,
    )
    problems = [_add(table, NAME, read_builtin)]
    found = (*folders, *compiled_folders(data_dir / MODELS))
    problems += [_add(table, str(folder), partial(read_compiled, folder)) for folder in found]
    Console().print(table)
    for problem in filter(None, problems):
        click.echo(problem)


@model.command(name="compile")
@click.argument("name_or_path")
@click.option("--output", required=True, type=click.Path(path_type=Path), help="The folder to write; a new one.")
@click.option("--query-prefix", help="Put before queries, instead of the model's own prompt.")
@click.option("--passage-prefix", help="Put before passages, instead of the model's own prompt.")
def compile_one(name_or_path: str, output: Path, query_prefix: str | None, passage_prefix: str | None) -> None:
    """Compile a sentence-transformers model to int8 ONNX, checked against the original.

    It then serves without torch: RETRIEVAL_EMBEDDING_MODEL=FOLDER. Compiling needs the extra sentence-transformers.
    """
    from service.embedders.compile import compile_model  # noqa: PLC0415  # `list` does without the runtime

    try:
        with Console(stderr=True).status(f"Compiling {escape(name_or_path)}"):
            parity = compile_model(name_or_path, output, query_prefix, passage_prefix)
    except ModelUnavailable as error:
        click.echo(f"retrieval model compile: {error}", err=True)
        sys.exit(1)
    click.echo(
        f"Wrote {output}. Cosine similarity to the original over {parity.texts} texts: "
        f"mean {parity.mean:.4f}, lowest {parity.minimum:.4f}.\n"
        f"Serve it: RETRIEVAL_EMBEDDING_MODEL={output} retrieval serve"
    )


def _add(table: Table, model: str, read: Callable[[], ModelFiles]) -> str:
    """Add a model's row; returns what is wrong with it, or ""."""
    try:
        card = read().card
    except ModelUnavailable as error:
        table.add_row(escape(model), "onnx", "", "", "", "[red]unusable")
        return str(error)
    table.add_row(
        escape(_title(model, card)), "onnx", str(card.dimensions), str(card.window), card.revision, "verified"
    )
    return ""


def _title(model: str, card: ModelCard) -> str:
    """Return what the setting takes, and below it the model's own name and prefixes where it has others."""
    prefixes = [repr(prefix) for prefix in (card.query_prefix, card.passage_prefix) if prefix]
    name = [card.name] if card.name != model else []
    return "\n  ".join([model, *name, *prefixes])
