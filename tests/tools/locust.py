"""The load of `loadtests/` on a service, as long as a test needs it."""

import csv
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.tools.servers import wait_until

ROOT = Path(__file__).parents[2]
LONGEST_STOP_SECONDS = 60


class RunningLoad:
    """Users of the service; what they asked stands in Locust's own files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def requests(self) -> int:
        """How many were answered or failed, of those that Locust has written down."""
        rows = self._rows("load_stats.csv")
        return next((int(row["Request Count"]) for row in rows if row["Name"] == "Aggregated"), 0)

    @property
    def failures(self) -> list[str]:
        """What failed, each with how often."""
        return [f"{row['Name']}: {row['Error']} ({row['Occurrences']})" for row in self._rows("load_failures.csv")]

    def _rows(self, name: str) -> list[dict[str, str]]:
        file = self._directory / name
        if not file.exists():
            return []
        with file.open() as lines:
            return list(csv.DictReader(lines))


@contextmanager
def locust_load(url: str, users: int, directory: Path) -> Iterator[RunningLoad]:
    """Keep so many users busy from the first answers on; at the end all that they asked is written down."""
    command = [sys.executable, "-m", "loadtests", "--host", url, "--peak", str(users), "--steady"]
    command += ["--csv", str(directory / "load"), "--loglevel", "WARNING"]
    load = RunningLoad(directory)
    with (directory / "load.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(lambda: load.requests > 0 or process.poll() is not None, 120)
            yield load
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=LONGEST_STOP_SECONDS)
