"""What a collection's description says of its reindex."""

from typing import Literal

from msgspec import Struct

from service.ingest.comparing import Comparison
from service.ingest.reindexing import comparison_of
from service.models import Collection
from service.wiring import Services


class ReindexDescription(Struct, frozen=True, kw_only=True):
    """The generation beside the live one: the next, or the one that is kept for a rollback."""

    state: Literal["building", "comparing", "waiting", "switched"]
    generation: int
    embedding_model: str
    passage_tokens: int
    documents: int | None = None
    """That there were when the present process began to build; null where it builds nothing."""
    done: int | None = None
    """Of them, in the present pass."""
    passes: int | None = None
    overlap: float | None = None
    """Mean share of the ten best documents that both generations answer with."""
    queries: int = 0
    """That were asked of both."""
    detail: str


def describe_reindex(services: Services, collection: Collection) -> ReindexDescription | None:
    """Return what is known of the generation beside the live one."""
    other = collection.other
    if other is None:
        return None
    comparison, progress = comparison_of(other), services.reindexer.progress(collection)
    return ReindexDescription(
        state="switched" if other.state == "kept" else other.state,
        generation=other.number,
        embedding_model=other.fingerprint,
        passage_tokens=other.passage_tokens,
        documents=progress.documents if progress else None,
        done=progress.done if progress else None,
        passes=progress.passes if progress else None,
        overlap=comparison.overlap,
        queries=comparison.queries,
        detail=progress.problem if progress and progress.problem else _detail(collection, comparison, progress is None),
    )


def _detail(collection: Collection, comparison: Comparison, is_elsewhere: bool) -> str:  # noqa: FBT001  # private
    assert collection.other
    path, state = f"/collections/{collection.name}", collection.other.state
    if state == "kept":
        way = f"POST {path}/rollback goes back to generation {collection.other.number}, DELETE {path}/reindex drops it."
        return f"{comparison.reason} {way}".strip()
    if state == "waiting":
        return f"{comparison.reason} POST {path}/reindex with `force` switches, DELETE {path}/reindex gives it up."
    if is_elsewhere:
        return f"Another process builds it; if that one is gone, DELETE {path}/reindex and ask again."
    return f"DELETE {path}/reindex gives it up."
