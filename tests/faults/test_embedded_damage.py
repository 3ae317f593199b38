"""The index is derived: damaged, gone or behind, it comes back from the documents, and takes nothing with it."""

import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from service.errors import StoreUnavailable
from service.stores.embedded import open_embedded_store
from tests.contract.library import DIMENSIONS
from tests.faults.checking import assert_no_rubbish, assert_searchable, assert_whole
from tests.faults.writing import open_collection, revised

pytestmark = pytest.mark.anyio

REVISIONS = {f"d{number}": number for number in range(60)}


def remove(shard: Path) -> None:
    shutil.rmtree(shard)


def empty(shard: Path) -> None:
    for entry in shard.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def lose_marker(shard: Path) -> None:
    (shard / "applied").unlink()


def lose_segments(shard: Path) -> None:
    shutil.rmtree(shard / "segments")
    (shard / "segments").mkdir()


def scribble(shard: Path) -> None:
    """Overwrite the beginnings of half of the files."""
    files = sorted(file for file in shard.rglob("*") if file.is_file())
    for file in random.Random(1).sample(files, len(files) // 2):
        with file.open("r+b") as stream:
            stream.write(b"\xa5" * 64)


def cut(shard: Path) -> None:
    """Cut the files of the points' ids and the configuration short."""
    for file in [*shard.rglob("*id_tracker*"), shard / "edge_config.json"]:
        if file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


async def fill(directory: Path) -> Path:
    """Write the documents and close; returns the shard's folder."""
    async with open_embedded_store(directory, dimensions=DIMENSIONS, index_at=50_000) as store:
        collection = await open_collection(store)
        await store.write(collection, [revised(*item) for item in REVISIONS.items()])
    return shard_of(directory)


def shard_of(directory: Path) -> Path:
    (marker,) = directory.glob("collections/*/*/applied")
    return marker.parent


@pytest.mark.parametrize("damage", [remove, empty, lose_marker, lose_segments, scribble, cut])
async def test_a_damaged_index_is_built_again(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(await fill(tmp_path))
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=50_000) as store:
        collection = await open_collection(store)
        await assert_whole(store, collection, REVISIONS)
        await assert_searchable(store, collection, REVISIONS)
        await store.write(collection, [revised("d1", 1000), revised("new", 1)])
        await assert_searchable(store, collection, REVISIONS | {"d1": 1000, "new": 1})
    assert "building the index of collection docs again" in caplog.text
    assert_no_rubbish(tmp_path)


async def test_an_index_that_lost_its_latest_writes_takes_them_over_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shard = await fill(tmp_path)
    shutil.copytree(shard, tmp_path.parent / "older")
    revisions = REVISIONS | {"d1": 1000, "d2": 1000, "new": 1}
    del revisions["d3"]
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=50_000) as store:
        collection = await open_collection(store)
        await store.write(collection, [revised("d1", 1000), revised("d2", 1000), revised("new", 1)])
        await store.delete(collection, ["d3"])
    shutil.rmtree(shard)
    shutil.copytree(tmp_path.parent / "older", shard)
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=50_000) as store:
        collection = await open_collection(store)
        await assert_whole(store, collection, revisions)
        await assert_searchable(store, collection, revisions)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_what_the_index_could_not_take_over_is_never_called_unchanged(tmp_path: Path) -> None:
    await fill(tmp_path)
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=50_000) as store:
        collection = await open_collection(store)
        store._live["acme", "docs"]._shard._shard.close()
        with pytest.raises(StoreUnavailable):
            await store.write(collection, [revised("new", 1)])
        with pytest.raises(StoreUnavailable):
            await store.content_hashes(collection, ["new"])
        entry = await store.collection("acme", "docs")
        assert entry is not None
        assert entry.version == collection.version
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=50_000) as store:
        await assert_searchable(store, await open_collection(store), REVISIONS | {"new": 1})


async def test_what_a_crash_left_of_other_collections_is_removed(tmp_path: Path) -> None:
    shard = await fill(tmp_path)
    (tmp_path / "collections" / "half_made" / "shard").mkdir(parents=True)
    shutil.copytree(shard, shard.parent / "half_built")
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=50_000) as store:
        await assert_whole(store, await open_collection(store), REVISIONS)
    assert_no_rubbish(tmp_path)


async def test_a_deleted_collection_leaves_nothing_on_disk(tmp_path: Path) -> None:
    await fill(tmp_path)
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=50_000) as store:
        await store.delete_collection("acme", "docs")
        assert [*(tmp_path / "collections").iterdir()] == []
