"""Text ready for a prompt: the hits of a search with their neighbours, packed into a token budget, with citations."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from service.caches.base import Demands
from service.embedders.base import Embedders
from service.models import Collection, Hit, Passage, Plan, SearchRequest, SearchResponse, passage_id
from service.search.answering import Answering
from service.search.pipeline import PreparedSearch
from service.stages import Stages
from service.stores.base import Store
from service.stores.catalog import find_collection

BLOCK_GAP = "\n\n"


class ContextRequest(SearchRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `POST /search/context` takes: a search, and how much text to make of it."""

    token_budget: Annotated[int, Meta(ge=1, le=100_000, description="in tokens of the embedding model")] = 1500
    neighbours: Annotated[int, Meta(ge=0, le=10, description="passages before and after each hit")] = 1


class Citation(Struct, frozen=True):
    """Where the text behind a mark comes from."""

    mark: str
    document_id: str
    title: str
    positions: list[int]


class ContextResponse(Struct, frozen=True, kw_only=True):
    """What `POST /search/context` answers."""

    context: str
    citations: list[Citation]
    tokens: int
    version: str
    plan: Plan | UnsetType = UNSET
    """Of the search, for whoever asked for it."""


class ContextBuilder:
    """Turns a search's hits into context."""

    def __init__(self, searching: Answering[SearchRequest, PreparedSearch], store: Store, embedders: Embedders) -> None:
        self._searching = searching
        self._store = store
        self._embedders = embedders

    async def build(self, tenant: str, request: ContextRequest, demands: Demands, stages: Stages) -> ContextResponse:
        """Search, fetch the neighbours of the hits, pack them; raises as a search does."""
        answer = await self._searching.answer(tenant, request, demands, stages)
        found = msgspec.json.decode(answer.body, type=SearchResponse)
        collection = await find_collection(self._store, tenant, request.collection)
        candidates = await self._candidates(collection, found.hits, request.neighbours)
        tokenizer = (await self._embedders.of(collection.model)).tokenizer

        def count_tokens(text: str) -> int:
            return len(tokenizer.encode(text, add_special_tokens=False).ids)

        # Counting tokens takes milliseconds: off the event loop.
        text, citations, tokens = await asyncio.to_thread(pack, candidates, request.token_budget, count_tokens)
        return ContextResponse(context=text, citations=citations, tokens=tokens, version=found.version, plan=found.plan)

    async def _candidates(self, collection: Collection, hits: Sequence[Hit], neighbours: int) -> list[Passage]:
        """Return the hits' passages, best first, then their neighbours, nearest to the best hits first."""
        wanted = [
            passage_id(hit.document_id, position)
            for distance in range(neighbours + 1)
            for hit in hits
            for position in dict.fromkeys((hit.position - distance, hit.position + distance))
            if position >= 0
        ]
        unique = list(dict.fromkeys(wanted))
        found = {passage.id: passage for passage in await self._store.passages(collection, unique)}
        return [found[identifier] for identifier in unique if identifier in found]


def pack(
    candidates: Sequence[Passage],
    budget: int,
    count_tokens: Callable[[str], int],
) -> tuple[str, list[Citation], int]:
    """Take candidates in order while the whole fits `budget` tokens; returns the text, its citations, its tokens.

    Passages that follow each other in a document become one block under one mark; blocks stand in the order of their
    best passage; a passage whose text was taken already is left out.
    """
    taken: list[Passage] = []
    seen: set[str] = set()
    spent = 0
    for passage in candidates:
        # Each passage is charged a mark of its own, so merging blocks can only make the text shorter.
        cost = count_tokens(_block(len(candidates), [passage]) + BLOCK_GAP)
        if passage.text not in seen and spent + cost <= budget:
            taken.append(passage)
            seen.add(passage.text)
            spent += cost
    blocks = list(_blocks(taken))
    text = BLOCK_GAP.join(_block(number, block) for number, block in enumerate(blocks, start=1))
    citations = [
        Citation(f"[{number}]", block[0].document_id, block[0].title, [passage.position for passage in block])
        for number, block in enumerate(blocks, start=1)
    ]
    return text, citations, count_tokens(text) if text else 0


def _blocks(taken: Sequence[Passage]) -> Iterable[list[Passage]]:
    """Group passages into runs of consecutive positions, ordered by where their first taken passage stood."""
    rank = {passage.id: number for number, passage in enumerate(taken)}
    blocks = [
        block
        for _, document in groupby(sorted(taken, key=_place), key=lambda passage: passage.document_id)
        for block in _runs(list(document))
    ]
    return sorted(blocks, key=lambda block: min(rank[passage.id] for passage in block))


def _runs(document: Sequence[Passage]) -> Iterator[list[Passage]]:
    for _, run in groupby(enumerate(document), key=lambda pair: pair[1].position - pair[0]):
        yield [passage for _, passage in run]


def _place(passage: Passage) -> tuple[str, int]:
    return passage.document_id, passage.position


def _block(number: int, passages: Sequence[Passage]) -> str:
    heading = passages[0].context.replace("\n", " > ") or passages[0].title
    return f"[{number}] {heading}\n" + "\n".join(passage.text for passage in passages)
