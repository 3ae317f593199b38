"""Bringing an index up to its documents, step by step or from nothing."""

from pathlib import Path
from typing import Final

from msgspec import structs

from service.models import FieldType
from service.stores.embedded.catalog import Catalog, Place
from service.stores.embedded.directory import new_name
from service.stores.embedded.documents import Documents
from service.stores.embedded.shard import DamagedShard, Shard

STEP_PASSAGES: Final = 64


def replay_step(documents: Documents, shard: Shard, fields: dict[str, FieldType]) -> bool:
    """Let an index take over the next stretch of the log; False where there is none. Raises DamagedShard."""
    changes = documents.changes_after(shard.applied, STEP_PASSAGES)
    if changes is None:
        return False
    shard.replay(changes, fields)
    return True


def replay(documents: Documents, shard: Shard, fields: dict[str, FieldType]) -> None:
    """Let an index take over all of the log that it lacks; raises DamagedShard."""
    while replay_step(documents, shard, fields):
        if shard.is_due():
            shard.flush()


def check_count(documents: Documents, shard: Shard) -> None:
    """Raise DamagedShard where an index holds another number of passages than its documents have."""
    if shard.count() != documents.state.passages:
        raise DamagedShard(f"{shard.folder} holds another number of passages than its documents have")


def rebuild(folder: Path, catalog: Catalog, place: Place, documents: Documents) -> tuple[Shard, Place]:
    """Build an index from the documents alone, and put it into the catalog."""
    name = new_name()
    shard = Shard.create(folder / name, place.dimensions, place.collection.fields)
    replay(documents, shard, place.collection.fields)
    shard.flush()
    return shard, catalog.put(structs.replace(place, shard=name))
