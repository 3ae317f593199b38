from pathlib import Path

import pytest
import rich_click as click

from service.commands.sources import find_sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "b.md",
        "a/c.PDF",
        "a/data.jsonl.gz",
        "a/photo.png",
        "table.csv",
        ".git/x.md",
        ".hidden.md",
        "Makefile",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    return tmp_path


def test_a_folder_is_searched_whole_and_what_is_not_known_is_counted(folder: Path) -> None:
    found = find_sources([folder], is_faq=False)
    assert {source.id for source in found.files if source.is_document} == {"b.md", "a/c.PDF"}
    assert {source.id for source in found.files if not source.is_document} == {"a/data.jsonl.gz", "table.csv"}
    assert found.skipped == 2


def test_faq_entries_come_only_from_files_of_lines(folder: Path) -> None:
    found = find_sources([folder], is_faq=True)
    assert {source.id for source in found.files} == {"a/data.jsonl.gz", "table.csv"}


def test_the_id_of_a_named_file_is_its_name(folder: Path) -> None:
    assert [source.id for source in find_sources([folder / "a" / "c.PDF"], is_faq=False).files] == ["c.PDF"]


@pytest.mark.parametrize("name", ["a/photo.png", "Makefile"])
def test_a_named_file_of_an_unknown_kind_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(click.UsageError, match=r"\.docx"):
        find_sources([folder / name], is_faq=False)


def test_a_folder_without_anything_to_import_is_refused(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="holds no file"):
        find_sources([tmp_path], is_faq=False)


def test_two_files_that_would_be_one_document_are_refused(folder: Path) -> None:
    (folder / "a" / "b.md").write_text("another")
    with pytest.raises(click.UsageError, match=r"b\.md"):
        find_sources([folder, folder / "a"], is_faq=False)


def test_one_file_named_twice_is_no_contradiction(folder: Path) -> None:
    assert len(find_sources([folder / "b.md", folder / "b.md"], is_faq=False).files) == 2
