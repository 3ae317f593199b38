"""What an SRE sees of the embedded store's disk."""

import shutil
from pathlib import Path

from service.telemetry import Telemetry


def export_room(directory: Path, telemetry: Telemetry) -> None:
    """Export what the file system of the data directory has left: below `SPARE_BYTES` writes are refused."""
    telemetry.add_source(
        "retrieval_data_free_bytes",
        "Free space of the data directory's file system",
        [],
        lambda: [((), shutil.disk_usage(directory).free)],
        is_counter=False,
    )
