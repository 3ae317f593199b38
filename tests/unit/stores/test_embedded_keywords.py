"""The keyword leg asks for no more than the words that count."""

from collections.abc import Iterator

import pytest
import qdrant_edge as qdrant

from service.models import passage_id
from service.stores.embedded.keywords import MOST_REPETITIONS, keyword_request
from service.stores.embedded.shard import Shard
from service.stores.stopwords import STOPWORDS
from service.stores.words import WORD
from tests.tools.running import SHARED_DATA

TEXTS = ("banking77-train.csv", "cisi-queries.jsonl")


@pytest.fixture(scope="module")
def words() -> list[str]:
    """Every word of real questions, and every stop word."""
    found = {word for name in TEXTS for word in WORD.findall((SHARED_DATA / name).read_text().casefold())}
    return sorted(found | STOPWORDS)


@pytest.fixture(scope="module")
def shard(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shard]:
    """An index that holds each word as a text of its own."""
    shard = Shard.create(tmp_path_factory.mktemp("words") / "shard", 2, {})
    points = [qdrant.Point(passage_id(word, 0), [1.0, 0.0], {"content": word}) for word in words]
    shard._shard.update(qdrant.UpdateOperation.upsert_points(points))
    yield shard
    shard.close()


def test_stop_words_are_those_that_the_index_leaves_out(words: list[str], shard: Shard) -> None:
    assert {word for word in words if not shard.matching(word, 1, None)} == STOPWORDS


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("how is the moon in the sky", 1),
        ("the the the", 1),
        ("", 1),
        ("moon and moon", 2),
        ("Moon, moon and the MOON", 3),
        ("moon " * 100, MOST_REPETITIONS),
    ],
)
def test_a_query_has_a_part_for_each_time_that_a_word_that_counts_is_repeated(text: str, parts: int) -> None:
    assert len(keyword_request(text, 10, None).prefetches) == (parts if parts > 1 else 0)
