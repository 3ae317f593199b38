"""Several processes over one store and one Redis never answer with anything older than promised, whatever dies.

The processes run the built-in model; all embeddings are cached before the clock starts.
"""

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.cluster.load import Load, Troubles
from tests.cluster.processes import shared_processes
from tests.cluster.traces import Broken, Trace
from tests.tools.servers import redis_server
from tests.tools.weaviate import settings_of

pytestmark = pytest.mark.anyio

SECONDS = float(os.environ.get("CLUSTER_SECONDS") or 60)
PROCESSES = 4
RUNS = 10
SETTLED = {"RETRIEVAL_SETTLING_SECONDS": "0"}
"""What is cached stays cached: nothing but the versions keeps answers fresh."""


@pytest.fixture(params=["shared", "weaviate"])
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Of processes on the store over one file, or on a real Weaviate."""
    if request.param == "shared":
        return SETTLED
    return SETTLED | settings_of(request.getfixturevalue("weaviate")) | {"RETRIEVAL_WEAVIATE_BUDGET_MS": "10000"}


@pytest.mark.slow
async def test_nothing_older_than_promised_is_answered_while_processes_and_redis_die(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    trace = Trace()
    with (
        redis_server("--appendonly", "yes") as redis,
        shared_processes(PROCESSES, redis.url, tmp_path, **settings) as processes,
    ):
        async with httpx.AsyncClient(timeout=10) as client:
            load, troubles = Load(processes, trace, client), Troubles(redis, trace)
            await load.fill()
            troubles.copy()
            await load.run(
                SECONDS,
                troubles.restart_older,
                lambda: processes[0].freeze(2),
                troubles.flush,
                troubles.freeze,
                troubles.restart,
                lambda: processes[1].freeze(2),
                troubles.restart_empty,
            )
            sys.stdout.write(f"\n{trace.summary()}\n")
            assert not trace.failures
            assert not trace.violations()
            await asyncio.sleep(2)
            trace.reads.clear()
            await load.last_numbers()
            assert len(trace.reads) == PROCESSES * len(load.numbers)
            assert not [read for read in trace.reads if read.number != load.numbers[read.document]]
    assert trace.counts["kills"] > 0


@pytest.mark.parametrize(("damage", "broken"), [("following", "elsewhere"), ("raising", "own"), ("proving", "minimum")])
async def test_a_protocol_without_one_of_its_parts_is_found_out(tmp_path: Path, damage: str, broken: Broken) -> None:
    trace = Trace()
    with (
        redis_server() as redis,
        shared_processes(2, redis.url, tmp_path, SHARED_BREAKS=damage, **SETTLED) as processes,
    ):
        async with httpx.AsyncClient(timeout=10) as client:
            asking = 0.25 if broken == "minimum" else 0.0
            load = Load(processes, trace, client, writing=processes[:1], asking_minimum=asking, documents=4)
            await load.fill()
            for _ in range(RUNS):  # one may be too short for it, on a busy machine
                await load.run(4)
                if any(violation.broken == broken for violation in trace.violations()):
                    break
    sys.stdout.write(f"\n{trace.summary()}\n")
    assert Counter(violation.broken for violation in trace.violations())[broken] > 0


async def test_a_write_whose_process_died_before_the_commit_is_seen_once_it_is_acknowledged_elsewhere(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    trace = Trace()
    with (
        redis_server() as redis,
        shared_processes(2, redis.url, tmp_path, **settings) as processes,
        shared_processes(1, redis.url, tmp_path, name="mortal", **settings, SHARED_DIES="d7") as (mortal,),
    ):
        async with httpx.AsyncClient(timeout=10) as client:
            load = Load(processes, trace, client)
            await load.fill()
            for process in processes:
                await load.read(process, 7)
            lost = Load([mortal], Trace(), client)
            writing = asyncio.create_task(lost.write(7))
            await asyncio.to_thread(mortal.wait_dead)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            assert not lost.trace.writes
            await load.write(7)
            for process in processes:
                await load.read(process, 7)
                await load.read(process, 7, trace.writes[-1])
            await asyncio.sleep(1.1)
            for process in processes:
                await load.read(process, 7)
    assert not trace.failures
    assert not trace.violations()
