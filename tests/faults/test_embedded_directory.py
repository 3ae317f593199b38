"""A data directory has one owner and one format, and is never taken for one when it is not."""

import os
from pathlib import Path

import pytest

from service.errors import DataDirectoryError
from service.stores.embedded import open_embedded_store
from tests.contract.library import DIMENSIONS
from tests.faults.checking import assert_whole
from tests.faults.writing import Order, open_collection, revised, start

pytestmark = pytest.mark.anyio


async def refused(directory: Path) -> str:
    """Open a directory that must be refused, and return what the user is told."""
    with pytest.raises(DataDirectoryError) as refusal:
        async with open_embedded_store(directory, dimensions=DIMENSIONS, index_at=50_000):
            pass
    return str(refusal.value)


async def test_a_second_process_is_refused_and_told_who_owns_the_directory(tmp_path: Path) -> None:
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=50_000) as store:
        collection = await open_collection(store)
        second = start(Order(str(tmp_path), 1))
        said, complaint = second.communicate()
        assert second.returncode == 1
        assert said == b""
        assert str(tmp_path) in complaint.decode()
        assert f"the process {os.getpid()}" in complaint.decode()
        await store.write(collection, [revised("a", 1)])
        await assert_whole(store, collection, {"a": 1})
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=50_000) as store:
        await assert_whole(store, await open_collection(store), {"a": 1})


async def test_another_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=50_000):
        pass
    (tmp_path / "format").write_text("7\n")
    message = await refused(tmp_path)
    assert "has the format 7, this version reads the format 1" in message
    assert "RETRIEVAL_DATA_DIR" in message


async def test_a_directory_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("a cat")
    assert "it holds photos" in await refused(tmp_path)
    assert (tmp_path / "photos" / "cat.jpg").read_text() == "a cat"


async def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no directory")
    assert "cannot be used" in await refused(tmp_path / "data")


@pytest.mark.parametrize("file", ["catalog.sqlite", "collections/*/documents.sqlite"])
async def test_a_broken_database_is_refused_rather_than_begun_anew(tmp_path: Path, file: str) -> None:
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=50_000) as store:
        await store.write(await open_collection(store), [revised("a", 1)])
    database = break_file(tmp_path, file)
    assert "Restore it from a backup" in await refused(tmp_path)
    assert database.read_bytes() == b"broken" * 1000


def break_file(directory: Path, pattern: str) -> Path:
    (file,) = directory.glob(pattern)
    file.write_bytes(b"broken" * 1000)
    return file
