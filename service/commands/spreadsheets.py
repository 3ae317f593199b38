"""CSV as documents or FAQ entries: columns by name, a document a row, or rows grouped into entries."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click
from msgspec import Struct

from service.commands.lines import LONGEST_LINE, Failure, Item
from service.models import RESERVED_FIELDS, FieldType

LONGEST_FIELD_NAME = 63
JSON_TYPES = frozenset({"integer", "number", "boolean", "keyword[]"})


class Columns(Struct, frozen=True, kw_only=True):
    """Which column holds what, as the user said."""

    is_faq: bool = False
    named: dict[str, str] = {}
    """Part (`id`, `title`, `text`, `question`, `answer`) to column; a part not named is the column of that name."""
    group_by: str | None = None
    """Rows with one value here become one entry, with that value as id."""


class Layout(Struct, frozen=True):
    """What the columns of one file hold."""

    header: list[str]
    parts: dict[str, str]
    """Part to column."""
    fields: dict[str, str]
    """Column to the metadata field that it fills."""


class Row(Struct, frozen=True):
    """One row, which may span lines."""

    line: int
    read: int
    cells: dict[str, str]
    """Column to its text, empty ones left out."""


def read_layout(path: Path, columns: Columns) -> Layout:
    """Read the header; raises click.UsageError where a column that is needed is not there."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        header = [name.strip() for name in next(csv.reader(text), [])]
    needed, optional = (["question", "answer"], ["id"]) if columns.is_faq else (["text"], ["id", "title"])
    parts = {part: columns.named.get(part, part) for part in needed + optional}
    wanted = [*(parts[part] for part in needed), *columns.named.values(), *filter(None, [columns.group_by])]
    if missing := [name for name in dict.fromkeys(wanted) if name not in header]:
        there = ", ".join(header) or "none"
        options = ", ".join(f"--{part}" for part in parts)
        absent = " or ".join(map(repr, missing))
        raise click.UsageError(f"{path} has no column {absent}; its columns are: {there}. Name them with {options}.")
    parts = {part: column for part, column in parts.items() if column in header}
    rest = [name for name in header if name not in {*parts.values(), columns.group_by}]
    return Layout(header, parts, {name: field_name(name) for name in rest if name})


def read_rows(path: Path, columns: Columns, types: Mapping[str, FieldType]) -> Iterator[Item | Failure]:
    """Yield the rows as documents or entries; `types` are the collection's declared fields.

    Memory is bounded by a row; with `group_by`, by the file's questions.
    """
    layout = read_layout(path, columns)
    documents = _documents(_rows(path, layout), layout, types)
    for found in documents if columns.group_by is None else _grouped(path, documents, columns.group_by):
        if isinstance(found, Failure):
            yield found
            continue
        row, document = found
        try:
            yield Item(row.line, msgspec.json.encode(document), row.read)
        except UnicodeEncodeError:
            yield Failure(str(path), row.line, None, "the row is not UTF-8")


def field_name(column: str) -> str:
    """Return the name of the metadata field for a column: `Created At` fills `created_at`."""
    name = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")
    if not name[:1].isalpha() or name in RESERVED_FIELDS:
        name = f"column_{name}"
    return name[:LONGEST_FIELD_NAME]


Document = tuple[Row, dict[str, Any]]


def _rows(path: Path, layout: Layout) -> Iterator[Row | Failure]:
    csv.field_size_limit(LONGEST_LINE)
    with path.open("rb") as raw, TextIOWrapper(raw, "utf-8-sig", "surrogateescape", newline="") as text:
        reader = csv.reader(text)
        next(reader, None)
        line = reader.line_num + 1
        try:
            for cells in reader:
                if len(cells) > len(layout.header):
                    yield Failure(str(path), line, None, f"{len(cells)} cells under {len(layout.header)} columns")
                elif cells:
                    named = zip(layout.header, cells, strict=False)
                    yield Row(line, raw.tell(), {name: cell for name, cell in named if cell})
                line = reader.line_num + 1
        except csv.Error as error:
            yield Failure(str(path), line, None, f"the file cannot be read from here on: {error}")


def _documents(
    rows: Iterable[Row | Failure],
    layout: Layout,
    types: Mapping[str, FieldType],
) -> Iterator[Document | Failure]:
    for row in rows:
        if isinstance(row, Failure):
            yield row
            continue
        document: dict[str, Any] = {
            part: row.cells[column] for part, column in layout.parts.items() if column in row.cells
        }
        filled = {name: row.cells[column] for column, name in layout.fields.items() if column in row.cells}
        if filled:
            document["metadata"] = {name: _typed(text, types.get(name)) for name, text in filled.items()}
        yield row, document


def _grouped(path: Path, documents: Iterable[Document | Failure], group_by: str) -> Iterator[Document | Failure]:
    """Join rows of one group: the first question leads, the others are variants; metadata in which rows differ goes."""
    groups: dict[str, Document] = {}
    for found in documents:
        if isinstance(found, Failure):
            yield found
            continue
        row, document = found
        group = row.cells.get(group_by, "")
        if not group or "question" not in document:
            yield Failure(str(path), row.line, None, f"no question, or nothing in column {group_by!r}")
            continue
        _, entry = groups.setdefault(group, (row, {"metadata": {}} | document | {"id": group, "variants": []}))
        if entry.get("answer") != document.get("answer"):
            yield Failure(str(path), row.line, group, "its answer is not that of the group's first row")
        elif entry["question"] != document["question"]:
            entry["variants"].append(document["question"])
        metadata = document.get("metadata", {})
        entry["metadata"] = {name: value for name, value in entry["metadata"].items() if metadata.get(name) == value}
    yield from groups.values()


def _typed(text: str, field_type: FieldType | None) -> Any:
    """Read a cell as its declared type; what does not fit stays text, and the service says what is wrong."""
    if field_type not in JSON_TYPES:
        return text
    try:
        return msgspec.json.decode(text.lower() if field_type == "boolean" else text)
    except msgspec.DecodeError:
        return [text] if field_type == "keyword[]" else text
