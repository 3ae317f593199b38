import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest
from tokenizers import Tokenizer

from service.errors import StoreUnavailable
from service.ingest.models import ImportReport
from service.ingest.preparation import MOST_LINES, MOST_PASSAGES
from service.ingest.streams import Line
from service.models import Collection
from service.stores.base import EmbeddedDocument
from service.stores.memory import MemoryStore
from tests.unit.ingest.fakes import TENANT, CountingEmbedder, Imports, counts, document, entry, lines, passages

pytestmark = pytest.mark.anyio
SENTENCE = "The quick brown fox jumps over the lazy dog. "


async def test_the_first_hundred_failures_are_listed_and_all_are_counted(imports: Imports) -> None:
    report = await imports.run(*[b"?"] * 130)
    assert counts(report) == {"received": 130, "failures": 130}
    assert [failed.line for failed in report.failed] == list(range(1, 101))


async def test_the_last_of_equal_ids_in_a_batch_wins(imports: Imports) -> None:
    report = await imports.run(document("a", "one"), document("b"), document("a", "two"), document("a", "three"))
    assert counts(report) == {"received": 4, "created": 2, "superseded": 2, "passages": 2}
    assert [passage.text for passage in await passages(imports, "a")] == ["three"]


@pytest.mark.parametrize("before", [[], ["one"], ["two"]])
async def test_the_last_of_equal_ids_in_different_batches_wins(imports: Imports, before: list[str]) -> None:
    for text in before:
        await imports.run(document("a", text))
    others = [document(f"other-{number}") for number in range(MOST_LINES)]
    report = await imports.run(document("a", "one"), *others, document("a", "two"))
    told = counts(report)
    assert told.pop("passages") >= MOST_LINES
    assert told == {
        "received": MOST_LINES + 2,
        "created": MOST_LINES + (not before),
        "superseded": 1,
        **({"updated": 1} if before else {}),
    }
    assert [passage.text for passage in await passages(imports, "a")] == ["two"]


async def test_going_back_to_what_is_stored_within_one_import_is_not_taken_for_unchanged(imports: Imports) -> None:
    await imports.run(document("a", "one"))
    others = [document(f"other-{number}") for number in range(MOST_LINES - 1)]
    await imports.run(document("a", "two"), *others, document("a", "one"))
    assert [passage.text for passage in await passages(imports, "a")] == ["one"]


async def test_each_report_follows_the_write_that_it_tells_of(imports: Imports) -> None:
    documents = [document(f"d{number:03}") for number in range(3 * MOST_LINES)]
    seen = 0
    async for report in imports.importer.run(TENANT, "things", "documents", lines(*documents)):
        assert report.created - seen <= MOST_LINES
        seen = report.created
        stored = await imports.store.size(await entry(imports))
        assert stored.documents == report.created
        assert stored.passages == report.passages
    assert seen == len(documents)


async def test_batches_are_bounded_in_passages_but_for_one_large_document(tokenizer: Tokenizer) -> None:
    written: list[list[int]] = []

    class Watched(MemoryStore):
        async def write(self, collection: Collection, documents: Sequence[EmbeddedDocument]) -> str:
            written.append([len(document.passages) for document in documents])
            return await super().write(collection, documents)

    imports = Imports(Watched(), CountingEmbedder(tokenizer))
    texts = [SENTENCE * 50] * 10 + ["\n\n".join([SENTENCE * 50] * 10)] + ["text"]
    await imports.run(*[document(str(number), text) for number, text in enumerate(texts)])
    assert len(written) > 2
    assert all(sum(batch) <= MOST_PASSAGES or len(batch) == 1 for batch in written)
    assert max(map(sum, written)) > MOST_PASSAGES


async def test_no_more_than_one_group_of_lines_is_read_ahead(imports: Imports) -> None:
    read = 0

    async def endless() -> AsyncIterator[Line]:
        nonlocal read
        while True:
            read += 1
            async for line in lines(document(f"d{read}")):
                yield Line(read, line.data)

    async with aclosing(imports.importer.run(TENANT, "things", "documents", endless())) as reports:
        async for report in reports:
            await asyncio.sleep(0.05)
            assert read <= report.received + 2 * MOST_LINES
            if report.received > 5 * MOST_LINES:
                break
    stopped = read
    await asyncio.sleep(0.05)
    assert read == stopped


async def test_a_cancelled_import_leaves_whole_documents(imports: Imports) -> None:
    reached = asyncio.Event()
    tasks = asyncio.all_tasks()

    async def run() -> None:
        documents = [document(f"d{number}") for number in range(20 * MOST_LINES)]
        async for _ in imports.importer.run(TENANT, "things", "documents", lines(*documents)):
            reached.set()

    task = asyncio.create_task(run())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    size = await imports.store.size(await entry(imports))
    assert size.documents == size.passages > 0
    assert asyncio.all_tasks() == tasks


async def test_a_store_that_fails_ends_the_import_after_what_was_acknowledged(tokenizer: Tokenizer) -> None:
    class Failing(MemoryStore):
        writes = 0

        async def write(self, collection: Collection, documents: Sequence[EmbeddedDocument]) -> str:
            self.writes += 1
            if self.writes == 3:
                raise StoreUnavailable("gone")
            return await super().write(collection, documents)

    imports = Imports(Failing(), CountingEmbedder(tokenizer))
    documents = [document(f"d{number}") for number in range(4 * MOST_LINES)]
    reports: list[ImportReport] = []
    with pytest.raises(StoreUnavailable):
        reports.extend(
            [report async for report in imports.importer.run(TENANT, "things", "documents", lines(*documents))]
        )
    assert (await imports.store.size(await entry(imports))).documents == 2 * MOST_LINES
    assert counts(await imports.run(*documents))["unchanged"] == 2 * MOST_LINES
