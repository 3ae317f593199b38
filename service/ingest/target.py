"""The collection that an import writes to: made by its first document, given the fields and the model of the import."""

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from service.errors import InvalidDocument, StoreUnavailable
from service.ingest.fields import fit_metadata
from service.ingest.models import FailedLine, Fitted, Item
from service.ingest.shapes import Shape, Shapes
from service.models import Collection, FieldType, Kind
from service.stores.base import Store
from service.stores.catalog import check_kind, check_name

MOST_ATTEMPTS: Final = 100
"""Of compare-and-set against other writers, who take milliseconds each."""
RECORDS_AT_ONCE: Final = 20
"""Each may be of ten megabytes."""
IN_PART: Final = ", in part "


class Target:
    """One collection of one tenant, existing or not, to which documents of one kind are imported with its model."""

    def __init__(self, store: Store, shapes: Shapes, tenant: str, name: str, kind: Kind) -> None:
        check_name(name)
        self._store = store
        self._shapes = shapes
        self._new = Collection(tenant=tenant, name=name, kind=kind)

    async def entry(self) -> Collection | None:
        """Return the catalog's entry now; raises Conflict where it is of the other kind."""
        entry = await self._store.collection(self._new.tenant, self._new.name)
        if entry:
            check_kind(entry, self._new.kind)
        return entry

    async def shape(self, entry: Collection | None) -> Shape:
        """Return the shape of what the collection searches; raises ModelUnavailable."""
        return await self._shapes.of(entry or self._new)

    async def fit(self, items: Sequence[Item]) -> tuple[Collection | None, list[Fitted], list[FailedLine]]:
        """Fit the documents to the collection, which is created or given fields for those that can be taken.

        The collection is None only where it does not exist and nothing can be taken.
        """
        for _ in range(MOST_ATTEMPTS):
            entry = await self.entry()
            fitted, failures, fields = self._fit_all(items, entry.fields if entry else {})
            wanted = self._wanted(entry, fields, (await self.shape(entry)).fingerprint)
            if not fitted or wanted == entry:
                return entry, fitted, failures
            if stored := await self._store.put_collection(wanted, entry):
                return stored, fitted, failures
        raise StoreUnavailable(f"Collection {self._new.name!r} is being changed all the time; try again.")

    async def finish_change_of_model(self, checked: dict[str, str]) -> Collection | None:
        """Make a collection searchable again once all its documents were imported with the new model.

        Returns its entry where this came to be now. `checked` holds, by physical name, the id up to which this was
        seen before: each record is looked at once.
        """
        entry = await self.entry()
        if entry is None or IN_PART not in entry.fingerprint:
            return None
        shape = await self.shape(entry)
        after = checked.get(entry.physical, "")
        while records := await self._store.list_records(entry, after, RECORDS_AT_ONCE):
            for record in records:
                if not record.content_hash.startswith(shape.tag):
                    checked[entry.physical] = after
                    return None
                after = record.id
        return await self._store.put_collection(structs.replace(entry, fingerprint=shape.fingerprint), entry)

    def _fit_all(
        self, items: Sequence[Item], fields: dict[str, FieldType]
    ) -> tuple[list[Fitted], list[FailedLine], dict[str, FieldType]]:
        fitted, failures = [], []
        for item in items:
            try:
                metadata, fields = fit_metadata(item.metadata, fields)
            except InvalidDocument as error:
                failures.append(FailedLine(item.line, item.id, str(error)))
            else:
                fitted.append(Fitted(item, metadata))
        return fitted, failures, fields

    def _wanted(self, entry: Collection | None, fields: dict[str, FieldType], own: str) -> Collection:
        if entry is None:
            return structs.replace(self._new, fields=fields, fingerprint=own)
        # Vectors of two models cannot be compared: until the last one is replaced, no model may search them.
        mixed = f"{entry.fingerprint.partition(IN_PART)[0]}{IN_PART}{own}"
        return structs.replace(entry, fields=fields, fingerprint=own if entry.fingerprint == own else mixed)
