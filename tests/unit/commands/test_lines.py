import gzip
from pathlib import Path

import pytest

from service.commands import lines
from service.commands.lines import Failure, Item, read_lines

CONTENT = b'{"id": "a"}\n\n  {"id": "b"}  \r\n{"id": "c"}'


def numbered(path: Path) -> list[tuple[int, bytes]]:
    return [(item.line, item.data) for item in read_lines(path) if isinstance(item, Item)]


def failures(path: Path) -> list[Failure]:
    return [failure for failure in read_lines(path) if isinstance(failure, Failure)]


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "X.JSONL.GZ"])
def test_lines_keep_their_numbers_and_blank_ones_are_passed_over(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(CONTENT) if name.lower().endswith(".gz") else CONTENT)
    assert numbered(path) == [(1, b'{"id": "a"}'), (3, b'{"id": "b"}'), (4, b'{"id": "c"}')]
    assert failures(path) == []


def test_a_byte_order_mark_is_not_part_of_the_first_document(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(b"\xef\xbb\xbf{}\n")
    assert numbered(tmp_path / "x.jsonl") == [(1, b"{}")]


def test_what_comes_before_the_end_of_a_truncated_archive_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    content = b"".join(b'{"id": "%d", "text": "%d"}\n' % (n, n * n * 7919) for n in range(20_000))
    path.write_bytes(gzip.compress(content)[:-40_000])
    read = numbered(path)
    assert [data for _, data in read] == content.splitlines()[: len(read)]
    assert len(read) > 1000
    (failure,) = failures(path)
    assert (failure.source, failure.line) == (str(path), len(read) + 1)
    assert "cannot be read from here on" in failure.error


def test_an_archive_with_a_wrong_checksum_keeps_its_lines_and_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    whole = gzip.compress(b'{"id": "a"}\n{"id": "b"}\n')
    path.write_bytes(whole[:-8] + b"\0\0\0\0" + whole[-4:])
    assert [line for line, _ in numbered(path)] == [1, 2]
    assert [failure.line for failure in failures(path)] == [3]


def test_what_is_no_archive_fails_at_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl.gz").write_bytes(b"plain text")
    assert [failure.line for failure in failures(tmp_path / "x.jsonl.gz")] == [1]


def test_a_line_that_is_too_long_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 20)
    (tmp_path / "x.jsonl").write_bytes(b"{}\n" + b"x" * 75 + b"\n" + b"y" * 19 + b"\n{}")
    assert [line for line, _ in numbered(tmp_path / "x.jsonl")] == [1, 3, 4]
    assert [failure.line for failure in failures(tmp_path / "x.jsonl")] == [2]


def test_progress_ends_at_the_size_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(CONTENT)
    *_, last = read_lines(path)
    assert isinstance(last, Item)
    assert last.read == len(CONTENT)
