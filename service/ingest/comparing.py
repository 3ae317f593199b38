"""How alike two generations of a collection answer: asked before the next one takes over."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct, structs

from service.errors import Conflict, ModelUnavailable, RetrievalError
from service.models import Collection, Kind, SearchRequest, SearchResponse
from service.search.faq import FaqRequest, FaqResponse
from service.search.hottest import Hot
from service.search.prepared import Prepared
from service.stages import Stages
from service.telemetry import Telemetry

logger = logging.getLogger(__name__)

COMPARED: Final = 10
"""Documents at the top of an answer."""
FEWEST_QUERIES: Final = 20
"""Of callers; where there are fewer, titles of documents are asked too."""
MOST_QUERIES: Final = 100
LOWEST_OVERLAP: Final = 0.5


class Comparison(Struct, frozen=True):
    """What came of asking both generations the same."""

    overlap: float | None = None
    """Mean share of the ten best documents that both answer with; None where nothing could be asked."""
    queries: int = 0
    reason: str = ""

    @property
    def is_poor(self) -> bool:
        """Whether the next generation should not take over unseen."""
        return self.overlap is not None and self.overlap < LOWEST_OVERLAP


class Flow(Protocol):
    """A search, without caches."""

    async def prepare(self, tenant: str, request: Any) -> Any: ...

    async def run(self, prepared: Any, keeper: str | None, stages: Stages) -> Any: ...


class Comparer:
    """Compares generations. `hottest` gives what callers of a tenant ask most: all that is kept of queries."""

    def __init__(
        self,
        flows: Mapping[Kind, Flow],
        hottest: Callable[[str], Awaitable[Sequence[Hot]]],
        telemetry: Telemetry,
    ) -> None:
        self._flows = flows
        self._hottest = hottest
        self._telemetry = telemetry

    async def compare(self, entry: Collection, titles: Sequence[str]) -> Comparison:
        """Ask both generations of the entry what callers ask most; raises what searches raise of the next one."""
        requests = await self._asked(entry)
        recent = len(requests)
        if recent < FEWEST_QUERIES:
            requests += [_request(entry, title) for title in titles]
        overlaps: list[float] = []
        for request in requests[:MOST_QUERIES]:
            try:
                prepared = await self._flows[entry.kind].prepare(entry.tenant, request)
            except (Conflict, ModelUnavailable) as error:
                return Comparison(reason=f"The live generation cannot be searched, so nothing was compared: {error}")
            except RetrievalError as error:  # a request of an older time
                logger.info("a query is not compared: %s", error)
                continue
            if (overlap := await self._overlap(entry, prepared)) is not None:
                overlaps.append(overlap)
        if not overlaps:
            return Comparison(reason="There was nothing to ask.")
        mean = round(sum(overlaps) / len(overlaps), 3)
        what = f"{min(recent, len(overlaps))} of them recent, the others titles of documents; none judged"
        return Comparison(mean, len(overlaps), f"overlap@{COMPARED} is {mean} over {len(overlaps)} queries, {what}.")

    async def _asked(self, entry: Collection) -> list[SearchRequest | FaqRequest]:
        kind: type[SearchRequest | FaqRequest]
        path, kind = ("/search", SearchRequest) if entry.kind == "documents" else ("/faq/search", FaqRequest)
        requests: list[SearchRequest | FaqRequest] = []
        for hot in await self._hottest(entry.tenant):
            if hot.path != path or hot.tenant != entry.tenant:
                continue
            try:
                request = msgspec.json.decode(hot.body, type=kind)
            except msgspec.MsgspecError:  # of another release
                continue
            if request.collection == entry.name:
                requests.append(_widened(request))
        return requests

    async def _overlap(self, entry: Collection, prepared: Prepared) -> float | None:
        """Return the share of the best documents that both have; None where neither has any."""
        assert entry.other
        live = await self._best(entry, prepared)
        beside = await self._best(entry.at(entry.other), prepared)
        most = max(len(live), len(beside))
        return len(live & beside) / most if most else None

    async def _best(self, generation: Collection, prepared: Prepared) -> set[str]:
        """Return the best documents of a generation; nobody's query is kept."""
        asked = structs.replace(prepared, collection=generation)
        answer: SearchResponse | FaqResponse = await self._flows[generation.kind].run(
            asked, None, Stages(self._telemetry)
        )
        if isinstance(answer, FaqResponse):
            return {found.id for found in answer.answers}
        return set(list(dict.fromkeys(hit.document_id for hit in answer.hits))[:COMPARED])


def _request(entry: Collection, title: str) -> SearchRequest | FaqRequest:
    query = " ".join(title.split())[:1000]
    if entry.kind == "faq":
        return _widened(FaqRequest(query=query, collection=entry.name))
    return _widened(SearchRequest(query=query, collection=entry.name, mode="vector"))


def _widened(request: SearchRequest | FaqRequest) -> SearchRequest | FaqRequest:
    """Ask for so much that ten documents come; thresholds are made for one model."""
    if isinstance(request, FaqRequest):
        return structs.replace(request, limit=COMPARED, minimum_score=-1.0, minimum_version=None)
    return structs.replace(request, limit=50, minimum_vector_score=None, minimum_version=None)
