"""Sources as requests to a running service, and its reports as lines of the user's files."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from service.commands.batches import Batch, Job, Outcome, cut
from service.commands.client import Client, RequestRefused
from service.commands.lines import Failure, Item, read_lines
from service.commands.sources import Source, has_suffix
from service.commands.spreadsheets import Columns, read_rows
from service.models import FieldType

COUNTS = ("received", "created", "updated", "unchanged", "superseded", "passages", "failures")
OF_THE_FILE = frozenset({400, 413, 422})
"""Statuses that say something of the file that was sent; others would come for the next one too."""
NDJSON = {"Content-Type": "application/x-ndjson"}
FORBIDDEN, NOT_FOUND = 403, 404


class Target(Struct, frozen=True):
    """Where an import goes."""

    client: Client
    collection: str
    columns: Columns

    @property
    def path(self) -> str:
        """Below the service's address."""
        return f"/collections/{quote(self.collection, safe='')}"

    @property
    def lines_path(self) -> str:
        """Where lines are sent."""
        return f"{self.path}/{'entries' if self.columns.is_faq else 'documents'}"


def declared_fields(target: Target, sources: list[Source]) -> Mapping[str, FieldType]:
    """Return the collection's fields, none where it does not exist yet; raises as Client.get does.

    Only CSV is read by them: a key that may not read collections imports the rest.
    """
    unreadable = {NOT_FOUND} if any(has_suffix(one.path, (".csv",)) for one in sources) else {NOT_FOUND, FORBIDDEN}
    try:
        fields: Mapping[str, FieldType] = target.client.get(target.path).data["fields"]
    except RequestRefused as refusal:
        if refusal.status not in unreadable or not refusal.problem.get("request_id"):
            raise
        return {}
    return fields


def jobs_for(target: Target, sources: list[Source], types: Mapping[str, FieldType]) -> Iterator[Job]:
    """Yield the requests that import the sources, read as they are asked for."""
    before = 0
    for source in sources:
        size = source.path.stat().st_size
        if source.is_document:
            yield Job({source.id}, partial(_send_file, target, source, before + size))
        else:
            for batch in cut(_read(source, target.columns, types)):
                yield Job(batch.keys, partial(_send_batch, target, source, batch, before))
        before += size


def _read(source: Source, columns: Columns, types: Mapping[str, FieldType]) -> Iterator[Item | Failure]:
    return read_rows(source.path, columns, types) if has_suffix(source.path, (".csv",)) else read_lines(source.path)


def _send_batch(target: Target, source: Source, batch: Batch, before: int) -> Outcome:
    items, failures = batch.items, list(batch.failures)
    if not items:
        return Outcome({"failures": len(failures)}, failures, before)
    content = b"".join(item.data + b"\n" for item in items)
    try:
        report = target.client.post_import(target.lines_path, content=content, headers=NDJSON).data
    except RequestRefused as refusal:
        if "failed" not in refusal.problem:
            raise
        report = refusal.problem
    failures += [
        Failure(str(source.path), items[failed["line"] - 1].line, failed["id"], failed["error"])
        for failed in report["failed"]
    ]
    return Outcome(_counts(report, len(batch.failures)), failures, before + items[-1].read)


def _send_file(target: Target, source: Source, read: int) -> Outcome:
    content = source.path.read_bytes()
    name = source.path.name.encode(errors="replace").decode()
    try:
        report = target.client.post_import(
            f"{target.path}/files",
            files={"file": (name, content)},
            data={"id": source.id.encode(errors="replace").decode()},
        ).data
    except RequestRefused as refusal:
        if refusal.status not in OF_THE_FILE:
            raise
        failure = Failure(str(source.path), None, source.id, _reason(refusal.problem))
        return Outcome({"received": 1, "failures": 1}, [failure], read)
    return Outcome(_counts(report, 0), [], read)


def _reason(problem: Mapping[str, Any]) -> str:
    failed = problem.get("failed") or [{"error": problem.get("detail", "refused")}]
    return str(failed[0]["error"])


def _counts(report: Mapping[str, Any], unreadable: int) -> dict[str, int]:
    counts = {name: report.get(name, 0) for name in COUNTS}
    counts["received"] += unreadable
    counts["failures"] += unreadable
    return counts
