"""One open collection: documents in SQLite, the index over them, and how the index follows."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from msgspec import structs

from service.errors import Conflict
from service.models import Collection, CollectionSize, FieldType
from service.stores.base import Deletion, EmbeddedDocument, ValueCount
from service.stores.embedded.catalog import Catalog, Place
from service.stores.embedded.directory import (
    check_room,
    flush_folder,
    new_name,
    remove_folder,
    remove_unknown,
    used_bytes,
)
from service.stores.embedded.documents import Documents
from service.stores.embedded.replaying import check_count, rebuild, replay, replay_step
from service.stores.embedded.shard import DamagedShard, Shard, warm
from service.stores.embedded.threads import is_failure, open_writer
from service.stores.filters import Filter

LOGGER: Final = logging.getLogger(__name__)
DEAD_PASSAGES: Final = 20_000
"""Room for so many is never worth building an index again."""
TAIL_SHARE: Final = 8
"""Beside an index, an eighth of it may wait to be covered: scanned exactly, that costs about what the index does."""
STEP_DOCUMENTS: Final = 500
"""Of one step of a deletion by filter."""

T = TypeVar("T")


class LiveCollection:
    """An open generation of a collection, with the one beside it where there are two.

    Whatever changes it runs on the thread of `writer`, one for both generations; `entry` and `read` serve any thread.

    The order of a write: the index takes over what it missed, SQLite commits, the index takes over the write, and
    then `entry` shows the new version. What stands in the index but was not flushed comes back by replay.
    """

    def __init__(
        self,
        folder: Path,
        place: Place,
        catalog: Catalog,
        documents: Documents,
        shard: Shard,
        writer: ThreadPoolExecutor | None = None,
    ) -> None:
        self.folder = folder
        self.place = place
        self.documents = documents
        self.is_indexing = False
        self.uncovered = shard.uncovered()
        """Passages that an exact scan has to read."""
        self.writer = writer or open_writer()
        self.live: LiveCollection = self
        self.beside: LiveCollection | None = None
        self._catalog = catalog
        self._shard = shard
        self.entry = self._entry()

    @staticmethod
    def create(
        folder: Path,
        catalog: Catalog,
        collection: Collection,
        dimensions: int,
        writer: ThreadPoolExecutor | None = None,
    ) -> "LiveCollection":
        """Create a generation in a new folder; it exists once `arrange` has put it into the catalog."""
        check_room(folder.parent)
        folder.mkdir()
        documents = Documents(folder / "documents.sqlite")
        name = new_name()
        shard = Shard.create(folder / name, dimensions, collection.fields)
        flush_folder(folder)
        flush_folder(folder.parent)
        return LiveCollection(folder, Place(collection, name, dimensions), catalog, documents, shard, writer)

    @staticmethod
    def open(
        folder: Path, catalog: Catalog, place: Place, writer: ThreadPoolExecutor | None = None
    ) -> "LiveCollection":
        """Open a generation as the last process left it, and bring its index up to its documents."""
        remove_unknown(folder, {place.shard})
        documents = Documents(folder / "documents.sqlite")
        try:
            shard = Shard.load(folder / place.shard)
            shard.index_fields(place.collection.fields)
            replay(documents, shard, place.collection.fields)
            check_count(documents, shard)
        except BaseException as error:
            if not is_failure(error):
                raise
            LOGGER.exception("building the index of collection %s again from its documents", place.collection.name)
            shard, place = rebuild(folder, catalog, place, documents)
            remove_unknown(folder, {place.shard})
        warm(shard.folder)
        return LiveCollection(folder, place, catalog, documents, shard, writer)

    def read(self, query: Callable[[Shard], T]) -> T:
        """Query the index. Where it is replaced meanwhile, the query begins again on the new one."""
        while True:
            shard = self._shard
            try:
                return query(shard)
            except Exception:
                if shard is self._shard:
                    raise

    def write(self, documents: Sequence[EmbeddedDocument]) -> str:
        check_room(self.folder)
        self._fit_dimensions(documents)
        self.catch_up()
        stored = self.documents.number(documents)
        batch = self._shard.prepare(stored, self.fields)
        replaced = self.documents.write(stored)
        self._shard.apply(batch, [], replaced, self.documents.state.seq)
        return self._acknowledge()

    def delete(self, ids: Sequence[str]) -> Deletion:
        self.catch_up()
        return self._delete(ids)

    def delete_matching(self, where: Filter) -> Deletion:
        self.catch_up()
        deleted = 0
        while ids := self._shard.document_ids(where, STEP_DOCUMENTS):
            deleted += self._delete([*ids]).deleted
        return Deletion(deleted, self.entry.version)

    def content_hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the hashes of documents that are searchable; runs on the writer's thread for that reason."""
        self.catch_up()
        return self.documents.content_hashes(ids)

    def arrange(self, entry: Collection, beside: "LiveCollection | None") -> None:
        """Be the live generation from now on, with that one beside it; durable on return."""
        live = self.declared(entry)
        other = beside.declared(entry.at(entry.other)) if beside and entry.other else None
        live = self._catalog.arrange(live, other)
        self.join(beside)
        self.take(live)
        if beside and other:
            beside.take(other)

    def declared(self, entry: Collection) -> Place:
        """Index the entry's fields; returns this generation's place with the entry."""
        self._shard.index_fields(entry.fields)
        return structs.replace(self.place, collection=entry)

    def take(self, place: Place) -> None:
        """Be what the catalog says by now."""
        self.place = place
        self.entry = self._entry()

    def join(self, beside: "LiveCollection | None") -> None:
        """Know the generation beside this one, the live one."""
        self.live, self.beside = self, beside
        if beside:
            beside.live, beside.beside = self, None

    def size(self) -> CollectionSize:
        state = self.documents.state
        return CollectionSize(state.documents, state.passages, used_bytes(self.folder))

    def values(self, field: str, field_type: FieldType, limit: int) -> list[ValueCount]:
        """Return the commonest values of a field; blocks, other threads run meanwhile where it takes long."""
        if field == "document_id":
            return self.documents.largest(limit)
        found = self.read(lambda shard: shard.values(field, field_type, limit))
        return self.documents.values(field, limit) if found is None else found

    def is_index_wanted(self, index_at: int) -> bool:
        """Tell whether another index should take over: too many passages to scan, or more room dead than used."""
        covered = self.documents.state.passages - self.uncovered
        most = max(index_at, covered) // TAIL_SHARE if covered > 0 else index_at
        return self.uncovered > most or self._shard.dead > max(self.documents.state.passages, DEAD_PASSAGES)

    def catch_up(self) -> None:
        """Replay what the index missed when taking over a write failed."""
        if self._shard.applied == self.documents.state.seq:
            return
        try:
            replay(self.documents, self._shard, self.fields)
        except DamagedShard:
            LOGGER.exception("building the index of collection %s again from its documents", self.entry.name)
            self._rebuild(self.place)
        self.entry = self._entry()

    def adopt(self, shard: Shard) -> Shard | None:
        """Take a step of bringing another index up to the documents, and return None where more are needed.

        Else search it from now on, and return the one it replaces: nothing can be written in between.
        """
        replay_step(self.documents, shard, self.fields)
        if shard.is_due():
            shard.settle()
            shard.flush()
        if shard.applied < self.documents.state.seq:
            return None
        shard.index_fields(self.fields)
        check_count(self.documents, shard)
        place = self._catalog.put(structs.replace(self.place, shard=shard.folder.name))
        return self._switch(shard, place)

    def close(self) -> None:
        """Flush and close; then the next open has nothing to replay."""
        self.writer.shutdown()
        try:
            self._shard.flush()
        except Exception:
            LOGGER.exception("the index of collection %s is brought up to date at the next start", self.entry.name)
        self._shard.close()
        self.documents.close()

    def discard(self) -> None:
        """Close and remove a collection that the catalog no longer names."""
        self._shard.close()
        self.documents.close()
        remove_folder(self.folder)

    @property
    def generations(self) -> tuple["LiveCollection", ...]:
        """This one, and the one beside it."""
        beside = self.beside
        return (self, beside) if beside else (self,)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to find; what is first written decides on the dimensions."""
        return not self.documents.state.passages

    @property
    def fields(self) -> dict[str, FieldType]:
        return self.place.collection.fields

    def _delete(self, ids: Sequence[str]) -> Deletion:
        deleted = self.documents.delete(ids)
        self._shard.apply([], deleted, set(), self.documents.state.seq)
        return Deletion(len(deleted), self._acknowledge())

    def _acknowledge(self) -> str:
        """Show the new version, now that the documents are durable and the index has them."""
        if self._shard.is_due() and not self.is_indexing:  # an index that is being replaced is not worth a flush
            self._shard.settle()
            self._shard.flush()
            self.documents.forget_deletions(self._shard.applied)
        self.uncovered = self._shard.uncovered()
        self.entry = self._entry()
        return self.entry.version

    def _rebuild(self, place: Place) -> None:
        """Build the index again, as the place says, and drop the one that there is."""
        old = self._switch(*rebuild(self.folder, self._catalog, place, self.documents))
        old.close()
        remove_folder(old.folder)

    def _switch(self, shard: Shard, place: Place) -> Shard:
        """Search another index, the one that the catalog names; returns the old."""
        old, self._shard, self.place = self._shard, shard, place
        self.uncovered = shard.uncovered()
        self.entry = self._entry()
        return old

    def _entry(self) -> Collection:
        """Return the entry with its version: half of the catalog, half of the documents."""
        placed = self.place.collection
        return structs.replace(placed, version=f"{placed.version}{self.documents.state.version}")

    def _fit_dimensions(self, documents: Sequence[EmbeddedDocument]) -> None:
        """Make the index one for these vectors, as long as it holds none; else raises Conflict."""
        made = {document.vectors.shape[1] for document in documents if len(document.passages)}
        if made <= {self.place.dimensions}:
            return
        if self.documents.state.passages or len(made) > 1:
            raise Conflict(
                f"Collection {self.entry.name!r} holds vectors of {self.place.dimensions} dimensions, the running "
                "embedding model makes others. Start the service with its model, or delete the collection and import "
                "again.",
            )
        self._rebuild(structs.replace(self.place, dimensions=made.pop()))
