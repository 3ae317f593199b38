from typing import Any

import pytest
from msgspec import structs
from tokenizers import Tokenizer

from service.errors import Conflict, InvalidRequest
from service.models import Collection
from service.stores.memory import MemoryStore
from tests.unit.ingest.fakes import TENANT, CountingEmbedder, Imports, counts, document, entry, lines, passages

pytestmark = pytest.mark.anyio
SENTENCE = "The quick brown fox jumps over the lazy dog. "


async def test_a_document_is_stored_with_its_passages(imports: Imports) -> None:
    report = await imports.run(document("a", f"# Part\n\n{SENTENCE * 20}", colour="red", size=None))
    assert counts(report) == {"received": 1, "created": 1, "passages": len(await passages(imports, "a"))}
    assert report.version == (await entry(imports)).version
    first, second = (await passages(imports, "a"))[:2]
    assert (first.title, first.context, first.metadata) == ("Title", "Title", {"colour": "red"})
    assert first.text.startswith("# Part")
    assert second.context == "Title\nPart"
    assert imports.embedder.texts[:2] == [first.content, second.content]
    (record,) = await imports.store.records(await entry(imports), ["a"])
    assert record.text == f"# Part\n\n{SENTENCE * 20}"
    assert record.updated_at == "2024-05-01T12:00:00Z"


async def test_the_same_again_embeds_and_writes_nothing(imports: Imports) -> None:
    first = await imports.run(document("a", colour="red"), document("b"))
    embedded = len(imports.embedder.texts)
    again = await imports.run(document("a", colour="red"), document("b"))
    assert counts(again) == {"received": 2, "unchanged": 2}
    assert len(imports.embedder.texts) == embedded
    assert again.version == first.version


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "a", "title": "Title", "text": "other"},
        {"id": "a", "title": "Other", "text": "text"},
        {"id": "a", "title": "Title", "text": "text", "metadata": {"colour": "red"}},
    ],
)
async def test_what_changed_is_embedded_again(imports: Imports, changed: dict[str, Any]) -> None:
    await imports.run(document("a"))
    assert counts(await imports.run(changed)) == {"received": 1, "updated": 1, "passages": 1}


async def test_lines_fail_alone_and_say_why(imports: Imports) -> None:
    await imports.run(document("old", size=1))
    report = await imports.run(
        document("a"), b"{", document("b", " "), document("c", size="large"), document("d", title=1), document("e")
    )
    assert counts(report) == {"received": 6, "created": 2, "failures": 4, "passages": 2}
    assert [(failed.line, failed.id) for failed in report.failed] == [(2, None), (3, "b"), (4, "c"), (5, "d")]
    assert "size (integer) must be a whole number" in report.failed[2].error
    assert "reserved" in report.failed[3].error


async def test_an_import_in_which_nothing_succeeds_creates_no_collection(imports: Imports) -> None:
    assert counts(await imports.run(document("a", ""), document("b", Bad=1))) == {"received": 2, "failures": 2}
    assert counts(await imports.run()) == {}
    assert await imports.store.collection(TENANT, "things") is None


async def test_undeclared_metadata_adds_fields(imports: Imports) -> None:
    await imports.run(document("a", word="x"), document("b", whole=1, many=["x"]))
    await imports.run(document("c", part=0.5, yes=True))
    assert (await entry(imports)).fields == {
        "word": "keyword",
        "whole": "integer",
        "many": "keyword[]",
        "part": "number",
        "yes": "boolean",
    }


async def test_a_line_that_fails_adds_no_fields(imports: Imports) -> None:
    await imports.run(document("a"), document("b", colour="red", title="reserved"))
    assert (await entry(imports)).fields == {}


async def test_fields_added_by_another_writer_meanwhile_are_kept(imports: Imports) -> None:
    class Raced(MemoryStore):
        is_first = True

        async def put_collection(self, collection: Collection, expected: Collection | None) -> Collection | None:
            if self.is_first:
                self.is_first = False
                await super().put_collection(structs.replace(collection, fields={"size": "keyword"}), expected)
            return await super().put_collection(collection, expected)

    raced = Imports(Raced(), imports.embedder)
    report = await raced.run(document("a", size=1), document("b", colour="red"))
    assert counts(report) == {"received": 2, "created": 1, "failures": 1, "passages": 1}
    assert (await entry(raced)).fields == {"size": "keyword", "colour": "keyword"}


async def test_a_faq_entry_has_a_passage_for_each_way_to_ask(imports: Imports) -> None:
    asked = {
        "id": "x",
        "question": "How?",
        "variants": ["Why?", "How?", "Why? "],
        "answer": "So.",
        "metadata": {"n": 1},
    }
    report = await imports.run(asked, kind="faq")
    assert counts(report) == {"received": 1, "created": 1, "passages": 2}
    found = await passages(imports, "x")
    assert [(one.text, one.title, one.context, one.answer) for one in found] == [
        ("How?", "How?", "", "So."),
        ("Why?", "How?", "", "So."),
    ]
    assert imports.embedder.texts == ["How?", "Why?"]
    (record,) = await imports.store.records(await entry(imports), ["x"])
    assert (record.title, record.text, record.variants) == ("How?", "So.", ["Why?", "How?", "Why?"])
    assert counts(await imports.run({**asked, "answer": "Thus."}, kind="faq"))["updated"] == 1


async def test_the_wrong_kind_is_refused_before_anything_is_read(imports: Imports) -> None:
    await imports.run(document("a"))
    with pytest.raises(Conflict, match="is of kind documents, not faq"):
        await imports.run({"question": "q", "answer": "a"}, kind="faq")


async def test_a_bad_collection_name_is_refused(imports: Imports) -> None:
    with pytest.raises(InvalidRequest):
        await anext(imports.importer.run(TENANT, "Bad-Name", "documents", lines()))


async def test_passages_leave_room_for_the_prefix_of_the_model(tokenizer: Tokenizer) -> None:
    imports = Imports(MemoryStore(), CountingEmbedder(tokenizer, prefix="this is a passage of a document: "))
    await imports.run(document("a", SENTENCE * 40))
    for text in imports.embedder.texts:
        assert len(tokenizer.encode(imports.embedder.card.passage_prefix + text).ids) <= imports.embedder.card.window


async def test_another_model_makes_everything_changed_and_takes_over_when_all_is_imported(
    imports: Imports, tokenizer: Tokenizer
) -> None:
    documents = [document(f"d{number:03}") for number in range(50)]
    await imports.run(*documents)
    before = (await entry(imports)).fingerprint
    other = Imports(imports.store, CountingEmbedder(tokenizer, revision="2"))
    assert counts(await other.run(*documents[:40]))["updated"] == 40
    assert (await entry(imports)).fingerprint not in {before, other.embedder.card.fingerprint}
    report = await other.run(*documents[40:])
    assert counts(report)["updated"] == 10
    assert (await entry(imports)).fingerprint == other.embedder.card.fingerprint
    assert report.version == (await entry(imports)).version
    assert counts(await other.run(*documents)) == {"received": 50, "unchanged": 50}
