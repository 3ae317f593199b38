"""What searches count, as metrics."""

from service.resilience.admission import Admission
from service.telemetry import Telemetry


def export_admission(admission: Admission, telemetry: Telemetry) -> None:
    """Export how many searches are admitted, and how many were refused."""
    telemetry.add_source(
        "retrieval_concurrency_limit",
        "Searches that may be computed at once, at present",
        [],
        lambda: [((), admission.limit)],
        is_counter=False,
    )
    telemetry.add_source(
        "retrieval_shed",
        "Searches refused because more was asked than can be computed",
        ["reason"],
        lambda: [((reason,), number) for reason, number in admission.shed.items()],
    )
