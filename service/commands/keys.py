"""`retrieval keys`: the file of API keys, written here and read by the service."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from service.access.base import SCOPES, Scope
from service.access.files import changed_keys, decode_keys, read_content
from service.access.keys import create_key
from service.errors import InvalidKeyFile
from service.models import TENANT_PATTERN


def takes_file(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the `file` of keys; what is wrong with it becomes one message and an exit code."""

    @click.option(
        "--file",
        required=True,
        envvar="RETRIEVAL_API_KEYS_FILE",
        show_envvar=True,
        type=click.Path(path_type=Path, dir_okay=False),
        help="The file of keys.",
    )
    @functools.wraps(command)
    def with_file(**arguments: Any) -> None:
        try:
            command(**arguments)
        except InvalidKeyFile as error:
            click.echo(f"retrieval keys: {error}", err=True)
            sys.exit(1)

    return with_file


@click.group()
def keys() -> None:
    """Create, list and revoke API keys.

    A service whose RETRIEVAL_API_KEYS_FILE names the file reads it again within a second or so.
    """


@keys.command()
@click.option("--tenant", required=True, help="Whose data the key opens; a new name is a new tenant.")
@click.option(
    "--scopes",
    required=True,
    help="What it may do, with commas between: search (search and read), write (import and delete documents, create "
    "collections), admin (delete collections, reindex, /performance). None implies another.",
)
@takes_file
def create(tenant: str, scopes: str, file: Path) -> None:
    """Write a new key to the file, and print it: it is shown this once, the file holds a hash."""
    if not TENANT_PATTERN.fullmatch(tenant):
        raise click.BadParameter(f"a tenant's name is {TENANT_PATTERN.pattern}", param_hint="--tenant")
    wanted = _scopes(scopes)
    with changed_keys(file) as known:
        key, text = create_key(tenant, wanted, known)
        known[key.id] = key
    click.echo(f"Key {key.id} of tenant {tenant} may {', '.join(wanted)}; its hash is in {file}.", err=True)
    click.echo("Keep the key now, it is not shown again:", err=True)
    click.echo(text)


@keys.command(name="list")
@takes_file
def list_keys(file: Path) -> None:
    """List the keys of the file, without their secrets."""
    table = Table("id", "tenant", "scopes", "created", box=SIMPLE_HEAD)
    for key in decode_keys(read_content(file), file).values():
        table.add_row(key.id, key.tenant, ", ".join(key.scopes), key.created)
    Console().print(table)


@keys.command()
@click.argument("identifier", metavar="ID")
@takes_file
def revoke(identifier: str, file: Path) -> None:
    """Take a key out of the file, by the ID that `list` shows."""
    with changed_keys(file) as known:
        if identifier not in known:
            raise InvalidKeyFile(f"{file} has no key {identifier!r}")
        del known[identifier]
    click.echo(f"Key {identifier} opens nothing any more once the service has read {file} again.", err=True)


def _scopes(text: str) -> list[Scope]:
    given = {part.strip() for part in text.split(",")}
    if given and given <= set(SCOPES):
        return [scope for scope in SCOPES if scope in given]
    raise click.BadParameter(f"name one or more of {', '.join(SCOPES)}, with commas between", param_hint="--scopes")
