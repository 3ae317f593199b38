"""Kill -9 at random moments of imports and index builds: it opens again, and nothing acknowledged is lost."""

import logging
import random
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
import pytest

from service.models import Collection
from service.stores.base import Store
from service.stores.embedded import open_embedded_store
from tests.contract.library import DIMENSIONS
from tests.faults.checking import assert_no_rubbish, assert_searchable, assert_whole
from tests.faults.writing import Batch, Order, next_batch, open_collection, start, write

pytestmark = pytest.mark.anyio

KILLS_OF_IMPORTS = 12
KILLS_OF_INDEX_BUILDS = 8
SEARCHED = 80
"""Of the latest documents after each kill; all of them after the last."""


class Expected:
    """What was acknowledged so far: document id to revision; and the last write that was not."""

    def __init__(self) -> None:
        self.revisions: dict[str, int] = {}
        self.unanswered: Batch | None = None

    def take(self, lines: bytes) -> int:
        """Take over what the process said; returns how many writes were acknowledged."""
        acknowledged = 0
        for line in lines.splitlines():
            batch = msgspec.json.decode(line, type=Batch)
            self.unanswered = None if batch.is_acknowledged else batch
            if batch.is_acknowledged:
                self.revisions = after(self.revisions, batch)
                acknowledged += 1
        return acknowledged


def after(revisions: Mapping[str, int], batch: Batch) -> dict[str, int]:
    changed = {**revisions, **batch.revisions}
    return {identifier: changed[identifier] for identifier in changed if identifier not in batch.deleted}


def kill(process: subprocess.Popen[bytes]) -> bytes:
    """Kill -9 and return all that it had said, without a line cut short."""
    assert process.poll() is None, process.communicate()[1].decode()
    process.send_signal(signal.SIGKILL)
    said, _ = process.communicate()
    return said[: said.rfind(b"\n") + 1]


async def settled(store: Store, collection: Collection, expected: Expected) -> dict[str, int]:
    """Find out whether the write that was never answered is there; all of it is or nothing."""
    batch = expected.unanswered
    if batch is None:
        return expected.revisions
    records = await store.records(collection, [*batch.revisions, *batch.deleted])
    titles = {record.id: record.title for record in records}
    written = [titles.get(identifier) == f"revision {revision}" for identifier, revision in batch.revisions.items()]
    gone = [identifier not in titles for identifier in batch.deleted]
    assert len({*written, *gone}) == 1, "a write that was not acknowledged is there by half"
    return after(expected.revisions, batch) if all([*written, *gone]) else expected.revisions


async def reopen(directory: Path, expected: Expected, caplog: pytest.LogCaptureFixture) -> None:
    """Open after a crash, look at everything, and write once more."""
    async with open_embedded_store(directory, dimensions=DIMENSIONS, index_at=50_000) as store:
        collection = await open_collection(store)
        expected.revisions = await settled(store, collection, expected)
        expected.unanswered = None
        await assert_whole(store, collection, expected.revisions)
        latest = sorted(expected.revisions, key=lambda identifier: expected.revisions[identifier])[-SEARCHED:]
        await assert_searchable(
            store, collection, {identifier: expected.revisions[identifier] for identifier in latest}
        )
        again = next_batch(random.Random(0), {}, max(expected.revisions.values(), default=0) + 500_000)
        await write(store, collection, again)
        expected.revisions = after(expected.revisions, again)
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert_no_rubbish(directory)


async def test_twenty_kills_of_imports_and_index_builds_lose_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = Expected()
    chance = random.Random(2024)
    acknowledged = 0
    for number in range(1, KILLS_OF_IMPORTS + KILLS_OF_INDEX_BUILDS + 1):
        is_build = number > KILLS_OF_IMPORTS
        order = Order(str(tmp_path), number, expected.revisions, index_at=100 if is_build else 50_000)
        process = start(order)
        builder = wait_for_builder(process) if is_build else None
        said = kill_after(chance.uniform(0, 0.8), process, builder if number % 4 == 0 else None)
        acknowledged += expected.take(said)
        if builder:
            assert_dies(builder)
        await reopen(tmp_path, expected, caplog)
    assert acknowledged > 100
    assert len(expected.revisions) > 100
    async with open_embedded_store(tmp_path, dimensions=DIMENSIONS, index_at=50_000) as store:
        await assert_searchable(store, await open_collection(store), expected.revisions)


def kill_after(seconds: float, process: subprocess.Popen[bytes], builder: psutil.Process | None) -> bytes:
    """Kill the process after a while, where asked its index builder a little earlier; returns what it had said."""
    time.sleep(seconds)
    if builder:
        with suppress(psutil.NoSuchProcess):
            builder.kill()
        time.sleep(0.2)
    return kill(process)


def wait_for_builder(process: subprocess.Popen[bytes]) -> psutil.Process:
    for _ in range(600):
        if children := psutil.Process(process.pid).children():
            return children[0]
        time.sleep(0.05)
    raise AssertionError("no index was built")


def assert_dies(builder: psutil.Process) -> None:
    psutil.wait_procs([builder], timeout=10)
    assert not builder.is_running(), "the builder outlived its parent"
