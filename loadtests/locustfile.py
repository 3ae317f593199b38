"""Users of the service for Locust: `make load`, or `locust -f loadtests/locustfile.py --host URL`."""

import logging
import os
import signal
import sys
from pathlib import Path

import gevent  # type: ignore[import-untyped]  # Locust's
import httpx
from locust import FastHttpUser, LoadTestShape, between, events, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

sys.path.insert(0, str(Path(__file__).parents[1]))

from loadtests import corpus, plan

logger = logging.getLogger(__name__)

KEY = os.environ.get("RETRIEVAL_CLIENT_API_KEY", "")
HEADERS = {"Authorization": f"Bearer {KEY}"} if KEY else {}
QUESTIONS = corpus.Questions()
LONGEST_REQUEST_SECONDS = 60
LONGEST_FILL_SECONDS = 300


class RetrievalUser(FastHttpUser):
    """Somebody who searches, asks the FAQ, and now and then uploads."""

    wait_time = between(plan.SHORTEST_WAIT_SECONDS, plan.LONGEST_WAIT_SECONDS)
    default_headers = HEADERS
    network_timeout = LONGEST_REQUEST_SECONDS
    connection_timeout = LONGEST_REQUEST_SECONDS

    @task(plan.RAG_QUERY)
    def rag_query(self) -> None:
        """Search for something that was hardly asked before."""
        self.client.post("/search", json={"query": QUESTIONS.rag(), "collection": corpus.DOCUMENTS}, name="rag_query")

    @task(plan.UPLOAD_DOCUMENT)
    def upload_document(self) -> None:
        """Import a document."""
        path = f"/collections/{corpus.DOCUMENTS}/documents"
        self.client.post(path, json=QUESTIONS.document(), name="upload_document")

    @task(plan.CACHED_QUERY)
    def cached_query(self) -> None:
        """Search for what everybody searches for: every upload makes it a miss once."""
        for query in corpus.CACHED:
            self.client.post("/search", json={"query": query, "collection": corpus.DOCUMENTS}, name="cached_query")

    @task(plan.FAQ)
    def faq(self) -> None:
        """Ask the FAQ."""
        self.client.post("/faq/search", json={"query": QUESTIONS.faq(), "collection": corpus.FAQ}, name="faq")


class Ramp(LoadTestShape):
    """The stages of the plan. SIGTERM ends them early: Locust's own handler comes only after them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Locust's
        self._is_over = False
        gevent.signal_handler(signal.SIGTERM, self._end)

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there are to be now, and how many may start in a second."""
        options = self.runner.environment.parsed_options if self.runner else None
        if options is None or self._is_over:
            return None
        if options.steady:
            return options.peak, options.peak
        seconds: float = self.get_run_time()  # type: ignore[no-untyped-call]  # Locust's
        users = plan.users_at(seconds, options.peak, options.stretch)
        return None if users is None else (users, max(10.0, options.peak / 5))

    def _end(self) -> None:
        self._is_over = True


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]  # Locust's
def _add_options(parser: LocustArgumentParser) -> None:
    parser.add_argument("--peak", type=int, default=plan.PEAK_USERS, help="Users while the load holds.")
    parser.add_argument("--stretch", type=float, default=1.0, help="Scales the durations: 0.1 is a short run.")
    parser.add_argument("--steady", action="store_true", help="The peak from the start, until told to stop.")


@events.init.add_listener  # type: ignore[untyped-decorator]  # Locust's
def _fill(environment: Environment, **_: object) -> None:
    """Import what the users will ask for: safe to repeat, and free the second time."""
    host = environment.parsed_options.host if environment.parsed_options else None
    documents = [{"id": name, "text": text} for name, text in corpus.texts().items()]
    imports = {f"{corpus.DOCUMENTS}/documents": documents, f"{corpus.FAQ}/entries": corpus.entries()}
    try:
        with httpx.Client(base_url=host or "", headers=HEADERS, timeout=LONGEST_FILL_SECONDS) as client:
            for path, body in imports.items():
                client.post(f"/collections/{path}", json=body).raise_for_status()
    except httpx.HTTPError as error:
        sys.exit(f"{host} does not take what the users would ask for: {error}")


@events.quitting.add_listener  # type: ignore[untyped-decorator]  # Locust's
def _judge(environment: Environment, **_: object) -> None:
    """Fail the run where too many requests failed."""
    share = environment.stats.total.fail_ratio
    if share > plan.MOST_FAILURES or not environment.stats.total.num_requests:
        logger.error("%.2f %% of the requests failed, or none was sent", 100 * share)
        environment.process_exit_code = 1
