"""Every store finds the nearest by cosine similarity and the matching by words."""

import asyncio

import numpy as np
import pytest

from tests.contract.library import Library, document, unit_vectors

pytestmark = pytest.mark.anyio


async def test_the_nearest_are_those_of_exact_cosine_similarity(library: Library) -> None:
    written = [document(f"d{number}", "text", "more text") for number in range(100)]
    await library.write(*written)
    passages = [passage for one in written for passage in one.passages]
    vectors = np.concatenate([one.vectors for one in written])
    for seed in ("first", "second", "third"):
        query = unit_vectors(seed)[0]
        expected = vectors @ query
        matches = await library.store.nearest(library.collection, query, 20, None)
        assert [match.id for match in matches] == [passages[index].id for index in np.argsort(-expected)[:20]]
        assert [match.score for match in matches] == pytest.approx(np.sort(-expected)[:20] * -1, abs=1e-4)


async def test_opposite_vectors_are_found_last_with_minus_one(library: Library) -> None:
    written = document("a")
    await library.write(written, document("b"))
    matches = await library.store.nearest(library.collection, -written.vectors[0], 10, None)
    assert matches[-1].id == written.passages[0].id
    assert matches[-1].score == pytest.approx(-1, abs=1e-4)


async def test_nearest_under_a_filter_fills_the_limit_with_what_meets_it(library: Library) -> None:
    written = [document(f"d{number:03}", metadata={"pep": number % 10}) for number in range(200)]
    await library.write(*written)
    query = unit_vectors("query")[0]
    every = await library.store.nearest(library.collection, query, 200, None)
    expected = [passage.id for passage in await library.passages_of(every) if passage.metadata["pep"] == 7][:10]
    matches = await library.store.nearest(library.collection, query, 10, library.parsed({"pep": 7}))
    assert [match.id for match in matches] == expected
    assert len(expected) == 10


async def test_an_empty_collection_finds_nothing(library: Library) -> None:
    assert await library.found() == []
    assert await library.found({"pep": 1}) == []
    assert await library.store.list_records(library.collection, "", 10) == []


CORPUS = {
    "typing": "PEP-484 introduced type hints and the typing module",
    "dataclasses": "PEP-557 added data classes generated from annotations",
    "imports": "The interpreter looks along sys.path for modules",
    "paths": "A path names a file in the system tree",
    "naming": "Call the variable snake_case_name in every function",
    "snakes": "A snake ate the mouse, in this case a large one",
    "runner": "She was running through the forest",
    "cafe": "Le café est fermé, señor",
    "version": "Released with Python 3.12.1 on Windows",
    "upper": "HTTP STATUS CODES ARE SHOUTED",
    "code": "Error E1234 means that the disk is full",
    "unicode": "Данные хранятся в таблице",
}


@pytest.fixture
async def corpus(library: Library) -> Library:
    await library.write(*(document(identifier, text) for identifier, text in CORPUS.items()))
    return library


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("PEP-484", "typing"),
        ("pep-557", "dataclasses"),
        ("sys.path", "imports"),
        ("snake_case_name", "naming"),
        ("run", "runner"),
        ("runs", "runner"),
        ("forests", "runner"),
        ("cafe", "cafe"),
        ("CAFÉ", "cafe"),
        ("senor", "cafe"),
        ("http status", "upper"),
        ("E1234", "code"),
        ("what does error E1234 mean?", "code"),
        ("3.12.1", "version"),
        ("таблице", "unicode"),
        ("type hint", "typing"),
    ],
)
async def test_the_best_match_is_the_text_with_the_words(corpus: Library, query: str, expected: str) -> None:
    assert (await corpus.matching_ids(query))[:1] == [expected]


@pytest.mark.parametrize("query", ["", "   ", "the", "what is the", "?!", "...", "zzzunseen", "\x01", "\U0001f600"])
async def test_a_query_without_words_that_count_matches_nothing(corpus: Library, query: str) -> None:
    assert await corpus.matching_ids(query) == []


async def test_words_of_title_and_headings_are_found(library: Library) -> None:
    await library.write(
        document("a", "Nothing of it here.", title="Zebra crossings", context="Zebra crossings\nStripes > Colours"),
        document("b", "Nothing either.", title="Roads", context="Roads"),
    )
    assert await library.matching_ids("zebra") == ["a"]
    assert await library.matching_ids("stripes") == ["a"]
    assert await library.matching_ids("roads") == ["b"]


async def test_rare_words_count_more_than_common_ones(library: Library) -> None:
    await library.write(
        *(document(f"common{number}", "gravel road") for number in range(20)), document("rare", "quartz road")
    )
    assert (await library.matching_ids("gravel quartz road"))[0] == "rare"


async def test_more_of_the_words_score_higher(library: Library) -> None:
    await library.write(
        document("both", "copper kettle by the window"),
        document("one", "copper lamp by the window"),
        document("none", "curtain by the window"),
    )
    matches = await library.store.matching(library.collection, "copper kettle", 10, None)
    assert await library.documents_of(matches) == ["both", "one"]
    assert matches[0].score > matches[1].score > 0


async def test_matching_returns_the_best_up_to_the_limit(library: Library) -> None:
    await library.write(*(document(f"d{number}", "kettle " * (number + 1)) for number in range(10)))
    everything = await library.store.matching(library.collection, "kettle", 50, None)
    scores = [match.score for match in everything]
    assert len(scores) == 10
    assert scores == sorted(scores, reverse=True)
    limited = await library.store.matching(library.collection, "kettle", 3, None)
    assert [match.score for match in limited] == pytest.approx(scores[:3])


async def test_matching_under_a_filter_leaves_the_others_out(library: Library) -> None:
    await library.write(
        document("a", "copper kettle", metadata={"status": "Final"}),
        document("b", "kettle", metadata={"status": "Draft"}),
    )
    assert await library.matching_ids("kettle", raw={"status": "Draft"}) == ["b"]
    assert await library.matching_ids("copper", raw={"status": "Draft"}) == []


async def test_a_long_query_is_answered(corpus: Library) -> None:
    words = " ".join(f"word{number}" for number in range(500))
    assert (await corpus.matching_ids(f"{words} kettle forest"))[:1] == ["runner"]


async def test_both_legs_at_once_and_many_of_them(corpus: Library) -> None:
    query = unit_vectors("query")[0]
    alone = (
        await corpus.store.nearest(corpus.collection, query, 5, None),
        await corpus.store.matching(corpus.collection, "error", 5, None),
    )
    answers = await asyncio.gather(
        *(corpus.store.nearest(corpus.collection, query, 5, None) for _ in range(20)),
        *(corpus.store.matching(corpus.collection, "error", 5, None) for _ in range(20)),
    )
    assert answers == [alone[0]] * 20 + [alone[1]] * 20


async def test_a_word_that_the_query_repeats_counts_each_time(library: Library) -> None:
    await library.write(document("whale", "whale songs in the sea"), document("shark", "shark teeth in the sea"))

    async def scores(query: str) -> dict[str, float]:
        matches = await library.store.matching(library.collection, query, 50, None)
        documents = await library.documents_of(matches)
        return {document: match.score for document, match in zip(documents, matches, strict=True)}

    once, thrice = await scores("whale shark"), await scores("whale shark whale whale")
    assert once["whale"] == pytest.approx(once["shark"])
    assert thrice == pytest.approx({"whale": 3 * once["whale"], "shark": once["shark"]})
