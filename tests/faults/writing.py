"""A process that writes to an embedded store until it is killed, and says what it tries and what was acknowledged."""

import asyncio
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from service.errors import DataDirectoryError
from service.models import Collection
from service.stores.base import EmbeddedDocument, Store
from service.stores.embedded import open_embedded_store
from tests.contract.library import DIMENSIONS, document

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS_OF_BATCH: Final = 6
LONGEST: Final = 8
"""Passages of the longest documents."""
LETTERS: Final = "bcdfghjklmnpqrstvwxz"


class Batch(Struct, frozen=True):
    """What one write changes: document id to its new revision, and ids that are deleted; and how the write ended."""

    revisions: dict[str, int]
    deleted: list[str]
    is_acknowledged: bool = False


class Order(Struct, frozen=True):
    """What the process is to do: a line of JSON on its standard input."""

    directory: str
    round: int
    known: dict[str, int] = {}
    index_at: int = 50_000
    batches: int = 1_000_000


def unique_word(identifier: str, revision: int, position: int) -> str:
    """A word that stands in one passage of one revision only."""
    number = hash_of(f"{identifier}/{revision}/{position}")
    return "".join(LETTERS[number // len(LETTERS) ** place % len(LETTERS)] for place in range(12))


def hash_of(text: str) -> int:
    return random.Random(text).getrandbits(60)


def revised(identifier: str, revision: int) -> EmbeddedDocument:
    """A document as its revision has it: each has another number of passages, other texts and other vectors."""
    count = 1 + hash_of(f"{identifier} {revision}") % LONGEST
    texts = [f"{unique_word(identifier, revision, position)} of {identifier}" for position in range(count)]
    return document(identifier, *texts, title=f"revision {revision}", metadata={"revision": revision})


def next_batch(chance: random.Random, known: Mapping[str, int], revision: int) -> Batch:
    """Some new documents, some anew, and now and then a deletion. No revision comes twice."""
    if known and chance.random() < 0.15:
        return Batch({}, chance.sample([*known], min(3, len(known))))
    new = [f"d{revision}-{index}" for index in range(chance.randint(1, DOCUMENTS_OF_BATCH))]
    old = chance.sample([*known], min(len(known), chance.randint(0, DOCUMENTS_OF_BATCH)))
    return Batch(dict.fromkeys([*new, *old], revision), [])


async def write(store: Store, collection: Collection, batch: Batch) -> None:
    if batch.deleted:
        await store.delete(collection, batch.deleted)
    else:
        await store.write(collection, [revised(*item) for item in batch.revisions.items()])


async def open_collection(store: Store) -> Collection:
    fields = Collection(tenant="acme", name="docs", kind="documents", fields={"revision": "integer"})
    collection = await store.collection("acme", "docs") or await store.put_collection(fields, None)
    assert collection is not None
    return collection


def say(batch: Batch) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(batch) + b"\n")
    sys.stdout.buffer.flush()


def start(order: Order, *before: str) -> subprocess.Popen[bytes]:
    """Start the process that writes, under the command `before` where there is one."""
    command = [*before, sys.executable, "-m", "tests.faults.writing"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin
    process.stdin.write(msgspec.json.encode(order) + b"\n")
    process.stdin.flush()
    return process


async def main(order: Order) -> None:
    chance = random.Random(order.round)
    known = dict(order.known)
    async with open_embedded_store(Path(order.directory), dimensions=DIMENSIONS, index_at=order.index_at) as store:
        collection = await open_collection(store)
        for number in range(order.batches):
            batch = next_batch(chance, known, order.round * 1_000_000 + number)
            say(batch)
            await write(store, collection, batch)
            say(msgspec.structs.replace(batch, is_acknowledged=True))
            known |= batch.revisions
            known = {identifier: known[identifier] for identifier in known if identifier not in batch.deleted}


if __name__ == "__main__":
    try:
        asyncio.run(main(msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)))
    except DataDirectoryError as error:
        sys.exit(str(error))
