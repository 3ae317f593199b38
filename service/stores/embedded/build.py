"""The child process that builds an HNSW index, as Qdrant holds the interpreter lock for minutes doing so."""

import ctypes
import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from service.models import FieldType
from service.stores.embedded.documents import read_changes
from service.stores.embedded.shard import Shard

PR_SET_PDEATHSIG: Final = 1
STEP_PASSAGES: Final = 512


class BuildOrder(Struct, frozen=True):
    """What to build: the child's only argument, as JSON."""

    parent: int
    """Process id; the child dies with it."""
    folder: str
    """Of the collection."""
    shard: str
    """Name of the folder to make in it."""
    dimensions: int
    fields: dict[str, FieldType]


def build(order: BuildOrder) -> None:
    """Build an index over all documents of one moment. It is whole when this returns, rubbish if it never does."""
    folder = Path(order.folder)
    shard = Shard.create(folder / order.shard, order.dimensions, order.fields)
    with closing(sqlite3.connect(f"{(folder / 'documents.sqlite').as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("BEGIN")  # one moment: what is written from here on is replayed by the parent
        while changes := read_changes(connection, shard.applied, STEP_PASSAGES):
            shard.apply(shard.prepare(changes.written, order.fields), [], set(), changes.seq)
    shard.optimize()
    shard.flush()
    shard.close()


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(f"the parent process {parent} is gone")


def main() -> None:
    """Carry out the order that the parent gave."""
    order = msgspec.json.decode(sys.argv[1], type=BuildOrder)
    die_with(order.parent)
    os.nice(19)
    build(order)


if __name__ == "__main__":
    main()
