from pathlib import Path
from typing import Any

import msgspec
import pytest
import rich_click as click

from service.commands.lines import Failure, Item
from service.commands.spreadsheets import Columns, field_name, read_rows
from service.models import NAME_PATTERN, FieldType

FAQ = Columns(is_faq=True)
BANK = Columns(is_faq=True, named={"question": "text", "answer": "category"}, group_by="category")


def read(
    path: Path,
    content: str | bytes,
    columns: Columns,
    types: dict[str, FieldType] | None = None,
) -> tuple[list[tuple[int, Any]], list[Failure]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = list(read_rows(path, columns, types or {}))
    items = [(item.line, msgspec.json.decode(item.data)) for item in found if isinstance(item, Item)]
    return items, [failure for failure in found if isinstance(failure, Failure)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.csv"


def test_columns_are_taken_by_name_and_the_rest_becomes_metadata(path: Path) -> None:
    content = "\ufeffid,title,text,Status,Created At\n7,Tea,Green tea,Final,2020-01-01\n8,,Coffee,,\n"
    items, failures = read(path, content, Columns())
    metadata = {"status": "Final", "created_at": "2020-01-01"}
    assert items == [
        (2, {"id": "7", "title": "Tea", "text": "Green tea", "metadata": metadata}),
        (3, {"id": "8", "text": "Coffee"}),
    ]
    assert failures == []


def test_a_row_over_several_lines_has_the_number_of_its_first(path: Path) -> None:
    items, _ = read(path, 'text\n"one\ntwo"\n\nthree\n', Columns())
    assert items == [(2, {"text": "one\ntwo"}), (5, {"text": "three"})]


def test_named_columns_are_mapped(path: Path) -> None:
    columns = Columns(named={"id": "key", "text": "body"})
    items, _ = read(path, "key,body,text\n1,Hello,other\n", columns)
    assert items == [(2, {"id": "1", "text": "Hello", "metadata": {"column_text": "other"}})]


def test_cells_are_read_as_the_declared_types(path: Path) -> None:
    types: dict[str, FieldType] = {
        "n": "integer",
        "x": "number",
        "b": "boolean",
        "a": "keyword[]",
        "c": "keyword[]",
        "k": "keyword",
        "d": "date",
        "bad": "integer",
    }
    content = 'text,n,x,b,a,c,k,d,bad\nhi,3,0.5,True,"[""p"", ""q""]",solo,4,2020-01-01,many\n'
    items, _ = read(path, content, Columns(), types)
    expected = {"n": 3, "x": 0.5, "b": True, "a": ["p", "q"], "c": ["solo"], "k": "4", "d": "2020-01-01", "bad": "many"}
    assert items[0][1]["metadata"] == expected


def test_rows_of_a_group_become_one_entry(path: Path) -> None:
    content = "text,category\nWhere is my card?,arrival\nA refund please,refund\nCard not here,arrival\n"
    items, failures = read(path, content, BANK)
    assert items == [
        (
            2,
            {
                "id": "arrival",
                "question": "Where is my card?",
                "answer": "arrival",
                "variants": ["Card not here"],
                "metadata": {},
            },
        ),
        (3, {"id": "refund", "question": "A refund please", "answer": "refund", "variants": [], "metadata": {}}),
    ]
    assert failures == []


def test_a_group_keeps_the_metadata_in_which_its_rows_agree(path: Path) -> None:
    columns = Columns(is_faq=True, group_by="group")
    content = "question,answer,group,topic,author\nq1,a,g,t,ann\nq2,a,g,t,bob\n"
    items, _ = read(path, content, columns)
    assert items[0][1]["metadata"] == {"topic": "t"}


def test_a_row_with_another_answer_than_its_group_fails(path: Path) -> None:
    items, failures = read(path, "question,answer,g\nq1,a,g\nq2,b,g\nq3,a,\n", Columns(is_faq=True, group_by="g"))
    assert [entry["variants"] for _, entry in items] == [[]]
    assert [failure.line for failure in failures] == [3, 4]


@pytest.mark.parametrize(
    ("content", "columns", "named"),
    [
        ("a,b\n1,2\n", Columns(), "'text'"),
        ("question\nx\n", FAQ, "'answer'"),
        ("text\nx\n", Columns(named={"id": "key"}), "'key'"),
        ("question,answer\nx,y\n", Columns(is_faq=True, group_by="category"), "'category'"),
        ("", Columns(), "none"),
    ],
)
def test_a_missing_column_is_named_with_those_there_are(path: Path, content: str, columns: Columns, named: str) -> None:
    with pytest.raises(click.UsageError, match=named):
        read(path, content, columns)


def test_rows_that_cannot_be_read_fail_alone(path: Path) -> None:
    items, failures = read(path, b"id,text\n1,one,more\n2,\xff\xfe\n3,three\n", Columns())
    assert [line for line, _ in items] == [4]
    assert [(failure.line, failure.error) for failure in failures] == [
        (2, "3 cells under 2 columns"),
        (3, "the row is not UTF-8"),
    ]


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("Status", "status"),
        ("Created At (UTC)", "created_at_utc"),
        ("title", "column_title"),
        ("2020", "column_2020"),
        ("Größe", "gr_e"),
        ("x" * 100, "x" * 63),
        ("€", "column_"),
    ],
)
def test_a_column_becomes_a_field_name_that_is_allowed(column: str, name: str) -> None:
    assert field_name(column) == name
    assert NAME_PATTERN.fullmatch(name)
