"""`retrieval ingest`: files, folders, JSON Lines and CSV into a collection of a running service."""

import sys
from pathlib import Path
from typing import Any

import rich_click as click
from rich.console import Console

from service.commands.batches import run_jobs
from service.commands.client import Client, talks_to_service
from service.commands.progress import Tally, displayed, print_failures, print_summary
from service.commands.sources import Sources, find_sources, has_suffix
from service.commands.spreadsheets import Columns, read_layout
from service.commands.uploads import Target, declared_fields, jobs_for
from service.errors import RetrievalError

PARTS = {False: ("id", "title", "text"), True: ("id", "question", "answer")}


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(exists=True, path_type=Path))
@click.option("-c", "--collection", required=True, help="Where to import into; the first import creates it.")
@click.option("--faq", is_flag=True, help="Import FAQ entries; otherwise documents.")
@click.option("--id", metavar="COLUMN", help="CSV column of the id.")
@click.option("--title", metavar="COLUMN", help="CSV column of the title.")
@click.option("--text", metavar="COLUMN", help="CSV column of the text.")
@click.option("--question", metavar="COLUMN", help="CSV column of the question, with --faq.")
@click.option("--answer", metavar="COLUMN", help="CSV column of the answer, with --faq.")
@click.option("--group-by", metavar="COLUMN", help="CSV column whose rows make one entry each value, with --faq.")
@talks_to_service
def ingest(
    client: Client,
    paths: tuple[Path, ...],
    collection: str,
    *,
    faq: bool,
    group_by: str | None,
    **parts: str | None,
) -> None:
    """Import documents, or FAQ entries, into a collection. Safe to repeat: what is unchanged costs nothing.

    PATH is a file or a folder (searched whole). `.md .rst .txt .html .pdf .docx` are a document each, its id the
    path below the folder; `.jsonl .jsonl.gz .csv` hold one a line. CSV columns that no option and no name
    (id, title, text, question, answer) claims become metadata.

    Exits with 1 if anything failed, after listing the lines, and with 2 where no service answers.
    """
    columns = _columns(parts, group_by, is_faq=faq)
    sources = find_sources(paths, is_faq=faq)
    for source in sources.files:
        if has_suffix(source.path, (".csv",)):
            read_layout(source.path, columns)
    tally = import_sources(Target(client, collection, columns), sources)
    if tally.counts["failures"]:
        print_failures(Console(stderr=True), tally)
        sys.exit(1)


def import_sources(target: Target, sources: Sources) -> Tally:
    """Import all of it, showing how far it is; the table comes also where it ends early."""
    types = declared_fields(target, sources.files)
    tally = Tally()
    try:
        with displayed(Console(stderr=True), sum(source.path.stat().st_size for source in sources.files)) as display:
            for outcome in run_jobs(jobs_for(target, sources.files, types)):
                tally.add(outcome)
                display.show(tally)
    except RetrievalError:
        if tally.counts["received"]:
            advice = "What the table counts is kept: run the same command again to complete it."
            click.echo(f"Ended early. {advice}", err=True)
        raise
    finally:
        print_summary(Console(), target.collection, tally, sources.skipped)
    return tally


def _columns(parts: dict[str, Any], group_by: str | None, *, is_faq: bool) -> Columns:
    named = {part: column for part, column in parts.items() if column is not None}
    options = sorted(f"--{part}" for part in named.keys() - set(PARTS[is_faq]))
    if group_by is not None and not is_faq:
        options.append("--group-by")
    if options:
        raise click.UsageError(f"{', '.join(options)}: {'not together with' if is_faq else 'only with'} --faq.")
    if group_by is not None and "id" in named:
        raise click.UsageError("--group-by makes the group the id: leave --id out.")
    return Columns(is_faq=is_faq, named=named, group_by=group_by)
