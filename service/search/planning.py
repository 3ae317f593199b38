"""Plans for the flows: from what is known of a collection to a strategy, and what came of it to the metrics."""

from typing import Final

from msgspec import UNSET, UnsetType

from service.models import Collection, Match, Plan
from service.search.planner import UNFILTERED, Planned, Thresholds, counted, fields_of, plan
from service.search.prepared import Prepared
from service.search.refreshing import Refreshing
from service.stores.base import Store, Vector
from service.stores.filters import Filter
from service.telemetry import Telemetry

UNSEEN: Final = Plan(strategy="filtered", reason="searches are not planned here")
EMBEDDED: Final = Thresholds(exact_matches=8_000)
"""Measured with an index over 60,000 passages: ADR 0009."""
WEAVIATE: Final = Thresholds(exact_matches=20_000, is_expected=True)
"""It searches flat below the `flatSearchCutoff` of its classes."""


class Planning:
    """Makes the plan of each search."""

    def __init__(self, store: Store, refreshing: Refreshing, thresholds: Thresholds, telemetry: Telemetry) -> None:
        self._store = store
        self._refreshing = refreshing
        self._thresholds = thresholds
        self._telemetry = telemetry

    def plan(self, collection: Collection, where: Filter | None, minimum_version: str | None) -> Planned:
        """Decide how to search a collection with a filter; takes no call of the store."""
        statistics, is_current = None, False
        if where and not where.is_contradiction:
            statistics = self._refreshing.known(collection, fields_of(where))
            is_current = bool(
                statistics
                and statistics.version == collection.version
                and self._refreshing.is_current(collection, minimum_version)
            )
        planned = plan(where, statistics, self._thresholds, is_current=is_current)
        self._telemetry.observe_plan(planned.plan.strategy, planned.fraction)
        return planned

    async def explain(self, collection: Collection, where: Filter | None, planned: Planned) -> Plan:
        """Return the plan with the number of passages that meet the filter; raises StoreUnavailable."""
        matches = 0 if where and where.is_contradiction else await self._store.count(collection, where)
        self._compare(planned, matches)
        return counted(planned, matches)

    def _compare(self, planned: Planned, matches: int) -> None:
        estimated = planned.plan.estimated_matches
        if estimated is not None and planned.where:
            self._telemetry.observe_plan_error((estimated + 1) / (matches + 1))

    async def close(self) -> None:
        """Take no more statistics."""
        await self._refreshing.close()


def planned_for(planning: Planning | None, prepared: Prepared) -> Planned:
    """Return the plan of a search; where nobody plans, or there is nothing to plan, to search as it was asked.

    What is known is known of the live generation: searches of another one are not planned.
    """
    if prepared.where is None:
        return UNFILTERED
    if planning is None or prepared.collection.is_beside:
        return Planned(UNSEEN, prepared.where)
    return planning.plan(prepared.collection, prepared.where, prepared.minimum_version)


async def explained_for(
    planning: Planning | None, prepared: Prepared, planned: Planned, *, wanted: bool
) -> Plan | UnsetType:
    """Return the plan with what was counted, if it is wanted; raises StoreUnavailable."""
    if not wanted or planning is None:
        return UNSET
    return await planning.explain(prepared.collection, prepared.where, planned)


async def nearest_as(planned: Planned, store: Store, collection: Collection, vector: Vector, limit: int) -> list[Match]:
    """Answer the vector leg as planned."""
    return await store.nearest(collection, vector, limit, planned.where, exact=planned.is_exact)
