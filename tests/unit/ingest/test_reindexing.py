import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from service.errors import Conflict, InvalidRequest, ModelUnavailable
from service.ingest.reindexing import ReindexRequest, comparison_of
from service.models import Collection, Record, SearchRequest
from service.search.hottest import Hot
from service.stores.memory import MemoryStore
from tests.unit.ingest.fakes import TENANT, counts, document
from tests.unit.ingest.reindexes import Process, TakingTurns, contents

pytestmark = pytest.mark.anyio
WORDS = ["apple", "river", "engine", "music", "castle", "planet", "bread", "law", "paint", "snow", "horse", "glass"]


def many(count: int, text: str = "text") -> list[dict[str, Any]]:
    return [document(f"d{number}", f"{WORDS[number % 12]} {number} {text}", number=number) for number in range(count)]


@pytest.fixture
async def process() -> AsyncIterator[Process]:
    opened = Process(MemoryStore())
    await opened.imported(*many(60))
    yield opened
    await opened.reindexer.close()


async def test_the_next_generation_takes_over_with_every_document(process: Process) -> None:
    before = await process.entry()
    entry = await process.reindex(model="second")
    assert (entry.generation, entry.model, entry.fingerprint.partition(":")[0]) == (2, "second", "second")
    assert entry.version != before.version
    kept, live = await contents(process.store)
    assert kept == live
    assert len(live) == 60
    assert entry.other
    assert comparison_of(entry.other).overlap == 1
    assert entry.other.physical == before.physical


class AddingAField(MemoryStore):
    """Declares a field while a generation is built, and remembers which fields what is written beside was given."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[set[str]] = []

    async def list_records(self, collection: Collection, *arguments: Any) -> list[Record]:
        entry = await self.collection(collection.tenant, collection.name)
        if entry and entry.other and "added" not in entry.fields:
            await self.put_collection(structs.replace(entry, fields={**entry.fields, "added": "keyword"}), entry)
        return await super().list_records(collection, *arguments)

    async def write(self, collection: Collection, *arguments: Any) -> str:
        if collection.is_beside:
            self.written.append({*collection.fields})
        return await super().write(collection, *arguments)


async def test_a_field_that_is_declared_meanwhile_is_indexed_in_the_next_generation() -> None:
    store = AddingAField()
    process = Process(store)
    await process.imported(*many(60))
    await process.reindex(model="second")
    assert store.written
    assert all("added" in fields for fields in store.written)
    await process.reindexer.close()


async def test_shorter_passages_are_more_passages(process: Process) -> None:
    await process.imported(document("long", "A sentence of some words about nothing. " * 30))
    before = (await process.store.size(await process.entry())).passages
    entry = await process.reindex(passage_tokens=32, force=True)
    assert entry.passage_tokens == 32
    assert (await process.store.size(entry)).passages > before


async def test_what_is_imported_again_after_the_switch_is_unchanged(process: Process) -> None:
    await process.reindex(model="second", passage_tokens=32)
    assert counts(await process.imported(*many(60))) == {"received": 60, "unchanged": 60}


async def test_a_rollback_loses_no_write_and_can_be_taken_back(process: Process) -> None:
    switched = await process.reindex(model="second")
    await process.imported(document("new"), document("d1", "changed"))
    assert await process.delete("d2") == 1
    assert await process.delete_matching({"number": {"gte": 50}}) == 10
    expected = (await contents(process.store))[1]
    back = await process.reindexer.rollback(TENANT, "things")
    assert (back.generation, back.model) == (1, "")
    assert await contents(process.store) == [expected, expected]
    assert "d2" not in expected
    assert expected["d1"] == "changed"
    again = await process.reindexer.rollback(TENANT, "things")
    assert again.physical == switched.physical


async def test_a_filter_on_positions_deletes_the_same_documents_from_both(process: Process) -> None:
    await process.imported(document("long", "A sentence of some words about nothing. " * 30))
    await process.reindex(passage_tokens=32, force=True)
    assert await process.delete_matching({"position": {"gte": 8}}) == 1
    kept, live = await contents(process.store)
    assert kept == live
    assert len(live) == 60


async def test_the_next_reindex_drops_the_kept_generation(process: Process) -> None:
    first = await process.reindex(model="second")
    second = await process.reindex(passage_tokens=32, force=True)
    assert second.generation == 3
    assert second.other
    assert second.other.physical == first.physical


async def test_answers_that_differ_too_much_wait_for_a_word(process: Process) -> None:
    waiting = await process.reindex("waiting", model="noise")
    assert waiting.generation == 1
    assert waiting.other
    comparison = comparison_of(waiting.other)
    assert comparison.overlap is not None
    assert comparison.overlap < 0.5
    with pytest.raises(Conflict, match="waits"):
        await process.reindexer.start(TENANT, "things", ReindexRequest(model="noise"))
    with pytest.raises(Conflict, match="waits"):
        await process.reindexer.start(TENANT, "things", ReindexRequest(model="second", force=True))
    await process.imported(document("meanwhile"))
    forced = await process.reindexer.start(TENANT, "things", ReindexRequest(force=True))
    assert (forced.generation, forced.model) == (2, "noise")
    kept, live = await contents(process.store)
    assert kept == live
    assert "meanwhile" in live


async def test_what_callers_ask_is_asked_of_both(process: Process) -> None:
    asked = SearchRequest(query="river", collection="things", mode="vector")
    elsewhere = SearchRequest(query="river", collection="elsewhere")
    process.hot = [Hot(TENANT, "/search", msgspec.json.encode(request)) for request in [asked] * 25 + [elsewhere]]
    process.hot.append(Hot(TENANT, "/search", b'{"unknown": 1}'))
    entry = await process.reindex(model="second")
    assert entry.other
    assert comparison_of(entry.other).queries == 25


async def test_what_cannot_be_built_is_refused_with_what_can(process: Process) -> None:
    for request, words in (
        (ReindexRequest(model="nope"), "there are: second, noise"),
        (ReindexRequest(passage_tokens=5), "32 to 64"),
        (ReindexRequest(passage_tokens=65), "32 to 64"),
    ):
        with pytest.raises(InvalidRequest, match=words):
            await process.reindexer.start(TENANT, "things", request)
    assert (await process.entry()).other is None


async def test_entries_are_not_cut(process: Process) -> None:
    await process.imported({"id": "a", "question": "q?", "answer": "a"}, kind="faq", name="faq")
    with pytest.raises(InvalidRequest, match="not cut"):
        await process.reindexer.start(TENANT, "faq", ReindexRequest(passage_tokens=32))
    await process.reindexer.start(TENANT, "faq", ReindexRequest(model="second"))
    assert (await process.until(lambda entry: entry.generation == 2, "faq")).model == "second"


async def test_where_nothing_is_kept_there_is_nothing_to_go_back_to(process: Process) -> None:
    with pytest.raises(Conflict):
        await process.reindexer.rollback(TENANT, "things")
    with pytest.raises(Conflict):
        await process.reindexer.drop(TENANT, "things")
    await process.reindexer.start(TENANT, "things", ReindexRequest(model="second"))
    with pytest.raises(Conflict, match="under way"):
        await process.reindexer.start(TENANT, "things", ReindexRequest(model="second"))
    with pytest.raises(Conflict):
        await process.reindexer.rollback(TENANT, "things")
    assert (await process.reindexer.drop(TENANT, "things")).other is None
    assert await contents(process.store) == [{one["id"]: one["text"] for one in many(60)}]


async def test_a_write_that_the_kept_generation_cannot_take_is_refused_with_a_way_out(process: Process) -> None:
    await process.reindex(model="second")
    await process.reindexer.rollback(TENANT, "things")
    after_a_restart = Process(process.store)
    after_a_restart.models.gone.add("second")
    with pytest.raises(ModelUnavailable, match="DELETE /collections/things/reindex"):
        await after_a_restart.imported(document("lost"))
    with pytest.raises(ModelUnavailable):
        await after_a_restart.reindexer.rollback(TENANT, "things")
    assert "lost" not in (await contents(process.store))[1]
    await after_a_restart.reindexer.drop(TENANT, "things")
    assert counts(await after_a_restart.imported(document("saved")))["created"] == 1


async def test_a_live_generation_whose_model_is_gone_is_not_kept(process: Process) -> None:
    await process.reindex(model="second")
    await process.reindexer.drop(TENANT, "things")
    after_a_restart = Process(process.store)
    after_a_restart.models.gone.add("second")
    await after_a_restart.reindexer.start(TENANT, "things", ReindexRequest(model=""))
    assert (await after_a_restart.until(lambda entry: entry.generation == 3)).other is None
    assert len((await contents(process.store))[0]) == 60


async def test_a_write_that_failed_halfway_is_mended_by_the_same_again(process: Process) -> None:
    entry = await process.reindex(model="second")
    assert entry.other
    await process.store.delete(entry.at(entry.other), ["d1"])
    assert counts(await process.imported(document("d1", many(2)[1]["text"], number=1)))["updated"] == 1
    kept, live = await contents(process.store)
    assert kept == live


async def test_the_next_process_goes_on_with_what_was_being_built(process: Process) -> None:
    await process.reindexer.start(TENANT, "things", ReindexRequest(model="second"))
    await process.reindexer.close()
    entry = await process.entry()
    assert entry.other
    assert entry.other.state == "building"
    after_a_restart = Process(process.store)
    await after_a_restart.reindexer.resume({TENANT})
    assert (await after_a_restart.reached("kept")).model == "second"


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32), processes=st.integers(1, 3))
def test_every_acknowledged_write_of_the_meantime_is_in_both_generations(seed: int, processes: int) -> None:
    asyncio.run(_run_meanwhile(seed, processes))


async def _run_meanwhile(seed: int, number: int) -> None:
    """Several processes write documents of their own while one reindexes, switches, rolls back and reindexes again."""
    store, dice = TakingTurns(), random.Random(seed)
    processes = [Process(store) for _ in range(number)]
    await processes[0].imported(*many(dice.randrange(1, 50)))
    expected = {one["id"]: one["text"] for one in many(50)}
    acknowledged = (await contents(store))[0]
    assert acknowledged.items() <= expected.items()
    stopped = asyncio.Event()

    async def write(process: Process, place: int, lane: int) -> None:
        count = 0
        while not stopped.is_set() and count < 300:
            count += 1
            identifier = f"d{dice.randrange(0, 50) // (number * 2) * number * 2 + place * 2 + lane}"
            if dice.random() < 0.3:
                await process.delete(identifier)
                acknowledged.pop(identifier, None)
            else:
                await process.imported(document(identifier, f"{WORDS[count % 12]} {seed} {count}", number=1))
                acknowledged[identifier] = f"{WORDS[count % 12]} {seed} {count}"

    writers = [
        asyncio.create_task(write(process, place, lane)) for place, process in enumerate(processes) for lane in (0, 1)
    ]
    for step in range(3):
        await processes[step % number].reindex(model=dice.choice(["", "second"]), force=True)
        if dice.random() < 0.5:
            await processes[-1].reindexer.rollback(TENANT, "things")
    stopped.set()
    await asyncio.gather(*writers)
    kept, live = await contents(store)
    assert live == acknowledged
    assert kept == acknowledged
    for process in processes:
        await process.reindexer.close()
