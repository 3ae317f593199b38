"""A real Prometheus on a free port of 127.0.0.1, which scrapes what a test tells it to, and answers queries."""

import json
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tests.tools.running import end, free_port
from tests.tools.servers import missing, wait_until


class Target(msgspec.Struct, frozen=True):
    """What is scraped, with the labels that Kubernetes would give it: namespace, pod, service, job."""

    address: str
    """Host and port; the path is /metrics."""
    labels: Mapping[str, str] = {}


class Sample(msgspec.Struct, frozen=True):
    """One series' value at one time."""

    labels: dict[str, str]
    value: float


class Line(msgspec.Struct, frozen=True):
    """One series' values over time, in seconds since 1970."""

    labels: dict[str, str]
    points: list[tuple[float, float]]


class RunningPrometheus:
    """A Prometheus that answers."""

    def __init__(self, directory: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process = process
        self._directory = directory

    def scrape(self, targets: Sequence[Target]) -> None:
        """Scrape these from now on, and none of those before."""
        _write_targets(self._directory, targets)
        self.process.send_signal(signal.SIGHUP)

    def query(self, expression: str) -> list[Sample]:
        """Evaluate an expression now; a lone number has no labels. Raises ValueError with Prometheus' complaint."""
        data = self.ask("query", query=expression)
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(one["metric"], float(one["value"][1])) for one in data["result"]]

    def query_range(self, expression: str, start: float, end: float, step_seconds: float) -> list[Line]:
        """Evaluate an expression at each step between two times, in seconds since 1970."""
        data = self.ask("query_range", query=expression, start=str(start), end=str(end), step=str(step_seconds))
        return [
            Line(one["metric"], [(float(at), float(value)) for at, value in one["values"]]) for one in data["result"]
        ]

    def metric_names(self) -> set[str]:
        """Return the names of all series there have been."""
        return set(self.ask("label/__name__/values"))

    def wait_for(self, expression: str, seconds: float = 30) -> list[Sample]:
        """Return what the expression gives as soon as it gives something; raises TimeoutError."""
        wait_until(lambda: bool(self.query(expression)), seconds)
        return self.query(expression)

    def ask(self, path: str, **parameters: str) -> Any:
        """Return `data` of a call of the HTTP API under /api/v1; raises ValueError where Prometheus refuses."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310  # the server that this test started
                return json.load(response)["data"]
        except urllib.error.HTTPError as refusal:
            raise ValueError(f"{json.load(refusal)['error']}: {parameters}") from None


@contextmanager
def running_prometheus(
    directory: Path, targets: Sequence[Target] = (), rules: Sequence[Path] = (), interval: str = "1s"
) -> Iterator[RunningPrometheus]:
    """Run Prometheus with its data in `directory`, scraping and evaluating rules once an interval."""
    binary = shutil.which("prometheus") or missing("prometheus", "make servers")
    directory.mkdir(parents=True, exist_ok=True)
    configuration = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": [str(rule.resolve()) for rule in rules],
        "scrape_configs": [{"job_name": "retrieval", "file_sd_configs": [{"files": ["targets.json"]}]}],
    }
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    _write_targets(directory, targets)
    port = free_port()
    command = [
        *(binary, "--config.file=prometheus.yaml", "--storage.tsdb.path=data"),
        *("--storage.tsdb.retention.time=1d", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"),
    ]
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
    try:
        running = RunningPrometheus(directory, port, process)
        wait_until(lambda: _is_ready(running), 60)
        yield running
    finally:
        end(process, 60)


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `promtool` and return what became of it; its output is text."""
    binary = shutil.which("promtool") or missing("promtool", "make servers")
    return subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, check=False)


def _write_targets(directory: Path, targets: Sequence[Target]) -> None:
    groups = [{"targets": [target.address], "labels": dict(target.labels)} for target in targets]
    new = directory / "targets.new"
    new.write_text(json.dumps(groups))
    new.replace(directory / "targets.json")


def _is_ready(running: RunningPrometheus) -> bool:
    """Whether it answers; raises RuntimeError with the log if it has ended."""
    if running.process.poll() is not None:
        raise RuntimeError(f"prometheus ended: {(running._directory / 'log').read_text()}")
    with suppress(OSError), urllib.request.urlopen(f"{running.url}/-/ready", timeout=5):  # noqa: S310  # our own
        return True
    return False
