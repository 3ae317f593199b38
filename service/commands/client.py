"""The way from the command line to a running service, and what to say when it refuses or does not answer."""

import functools
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
import rich_click as click
from msgspec import Struct

from service.errors import RetrievalError
from service.settings import LOOPBACK

DEFAULT_URL = "http://127.0.0.1:8000"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
IMPORT_SECONDS = 1800.0
"""A single document may be 10 MB of text."""
PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
RETRIES = 5
BUSY = frozenset({429, 503})
ADVICE = {
    401: "Name a key with --api-key or RETRIEVAL_CLIENT_API_KEY; who runs the service makes one: retrieval keys create",
    403: "Name another key with --api-key or RETRIEVAL_CLIENT_API_KEY.",
}


class ServiceUnreachable(RetrievalError):
    """Nothing answers at the address."""

    exit_code = 2

    def __init__(self, url: str, reason: object) -> None:
        super().__init__(
            f"No retrieval service answers at {url} ({reason}).\n"
            "Start one with `retrieval serve` or `make serve`, or name another with --url.",
        )


class RequestRefused(RetrievalError):
    """The service answered with an error."""

    exit_code = 1

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: str = "") -> None:
        lines = [f"{problem.get('title', 'The service answered')} ({status}).", str(problem.get("detail", ""))]
        errors = problem.get("errors", [])
        if errors:  # the detail joins them in one line; one a line reads better
            lines[1:] = [f"  {error['pointer'] or '/'}: {error['detail']}" for error in errors]
        lines.append(ADVICE.get(status, ""))
        if problem.get("request_id"):
            lines.append(f"Request id: {problem['request_id']}")
        super().__init__("\n".join(line for line in lines if line))
        self.status = status
        self.problem = problem
        asked = float(retry_after) if retry_after.isdecimal() else PAUSE_SECONDS
        self.pause_seconds = min(asked, LONGEST_PAUSE_SECONDS)


class Answer(Struct, frozen=True):
    """A successful answer: its JSON, and the stages of Server-Timing in milliseconds."""

    data: Any
    milliseconds: dict[str, float]


class Client:
    """One service over HTTP; raises ServiceUnreachable for what is no URL. Several threads may call it at once."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._sleep = sleep
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            # A proxy of the environment does not lead to this machine's own loopback.
            trust_env=_host(self.url) not in LOOPBACK,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    def get(self, path: str) -> Answer:
        """GET a path below the service's address; raises ServiceUnreachable and RequestRefused."""
        return self._call("GET", path, seconds=ANSWER_SECONDS)

    def post(self, path: str, body: Mapping[str, Any], *, is_cached: bool = True) -> Answer:
        """POST a JSON object; raises as get does. Where `is_cached` is False the service computes the answer anew."""
        headers = {"Content-Type": "application/json"} | ({} if is_cached else {"Cache-Control": "no-store"})
        return self._call("POST", path, seconds=ANSWER_SECONDS, content=msgspec.json.encode(body), headers=headers)

    def post_import(self, path: str, **request: Any) -> Answer:
        """POST what is safe to repeat: again while the service is busy, after the pause that it asks for."""
        for _ in range(RETRIES):
            try:
                return self._call("POST", path, seconds=IMPORT_SECONDS, **request)
            except RequestRefused as refusal:
                if refusal.status not in BUSY:
                    raise
                self._sleep(refusal.pause_seconds)
        return self._call("POST", path, seconds=IMPORT_SECONDS, **request)

    def _call(self, method: str, path: str, *, seconds: float, **request: Any) -> Answer:
        timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
        try:
            response = self._http.request(method, self.url + path, timeout=timeout, **request)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise ServiceUnreachable(self.url, str(error) or type(error).__name__) from None
        data = _decoded(response)
        if response.is_success and data is not None:
            return Answer(data, _milliseconds(response.headers.get("server-timing", "")))
        problem = data if isinstance(data, dict) else {"detail": f"Is {self.url} a retrieval service?"}
        raise RequestRefused(response.status_code, problem, response.headers.get("retry-after", ""))


def talks_to_service(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command a `client` and the options that say which; its errors become one message and an exit code."""

    @click.option(
        "--url",
        default=DEFAULT_URL,
        show_default=True,
        envvar="RETRIEVAL_CLIENT_URL",
        show_envvar=True,
        help="Address of the service.",
    )
    @click.option("--api-key", envvar="RETRIEVAL_CLIENT_API_KEY", show_envvar=True, help="Key, where it asks for one.")
    @functools.wraps(command)
    def connected(*, url: str, api_key: str | None, **arguments: Any) -> None:
        api_key = api_key.strip() if api_key else None
        if api_key and not (api_key.isascii() and api_key.isprintable()):
            raise click.UsageError("--api-key holds characters that no key has.")
        try:
            with Client(url, api_key) as client:
                command(client=client, **arguments)
        except (ServiceUnreachable, RequestRefused) as error:
            click.echo(str(error), err=True)
            sys.exit(error.exit_code)

    return connected


def _host(url: str) -> str:
    try:
        return httpx.URL(url).host
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ServiceUnreachable(url, error) from None


def _decoded(response: httpx.Response) -> Any:
    try:
        return msgspec.json.decode(response.content)
    except ValueError:
        return None


def _milliseconds(server_timing: str) -> dict[str, float]:
    entries = (entry.strip().partition(";dur=") for entry in server_timing.split(","))
    return {name: float(duration) for name, separator, duration in entries if separator}
