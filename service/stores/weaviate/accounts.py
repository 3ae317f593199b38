"""What an SRE sees of Weaviate's nodes."""

from collections.abc import Iterable, Sequence
from functools import partial

from service.stores.weaviate.nodes import Nodes
from service.telemetry import Telemetry

Values = Iterable[tuple[Sequence[str], float]]


def export_nodes(nodes: Nodes, telemetry: Telemetry) -> None:
    """Export which nodes are left alone, what is under way, and how many reads were sent twice for being late."""

    def hedges() -> Values:
        sent, won = nodes.hedges
        return [(("won",), won), (("lost",), sent - won)]

    def in_flight() -> Values:
        return [((node.address,), node.in_flight) for node in nodes.nodes]

    def late() -> Values:
        return [((), nodes.late_seconds())]

    for node in nodes.nodes:
        telemetry.add_breaker(f"weaviate {node.address}", partial(getattr, node.breaker, "is_open"))
    telemetry.add_source(
        "retrieval_store_hedges", "Reads sent to a second node for being late, by what that gained", ["outcome"], hedges
    )
    telemetry.add_source("retrieval_store_in_flight", "Calls under way", ["node"], in_flight, is_counter=False)
    telemetry.add_source(
        "retrieval_store_late_seconds", "After which a read is sent to a second node", [], late, is_counter=False
    )
