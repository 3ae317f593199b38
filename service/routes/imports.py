"""Bodies of documents, entries or files to the importer, and its reports to an answer."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Response
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.response import Stream
from litestar.response.base import ASGIResponse
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Receive, Send

from service.errors import CallerLeft, FieldError, Stopping
from service.ingest.ending import Ending
from service.ingest.models import FailedLine, ImportReport
from service.ingest.streams import Line, lines_of
from service.models import Kind
from service.routes.problems import MEDIA_TYPE, Problem, headers_of_problem, problem_of
from service.routes.requests import LARGEST_BODY, ServiceRequest, bounded_body, decode_json
from service.telemetry import IMPORT_OUTCOMES, REQUEST_ID, Telemetry
from service.wiring import Services

NDJSON = "application/x-ndjson"


@dataclass
class ImportOperation(Operation):
    """Describes the bodies that an import takes, for the OpenAPI document; they are read as they arrive."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(
            description="One object, an array of objects, or a line an object.",
            content={
                "application/json": OpenAPIMediaType(schema=Schema(type=[OpenAPIType.OBJECT, OpenAPIType.ARRAY])),
                NDJSON: OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING)),
            },
            required=True,
        )


class Reports(Stream):
    """Reports sent while the body is still being read."""

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        super().__init__(lines, media_type=NDJSON)
        self._lines = lines

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        return _ReportsSent(iterator=self._lines, media_type=NDJSON, status_code=200)


class _ReportsSent(ASGIStreamingResponse):
    """Does not listen for a disconnect: that would take messages of the body away from the importer."""

    async def send_body(self, send: Send, receive: Receive) -> None:  # noqa: ARG002  # the importer receives
        await self._stream(send)


class FailedImport(Problem, kw_only=True):
    """The problem of an import in which no line succeeded, or which was cut short, with its report."""

    collection: str
    received: int
    failures: int
    failed: list[FailedLine]


async def import_body(
    request: ServiceRequest,
    services: Services,
    tenant: str,
    name: str,
    kind: Kind,
) -> Response[Any]:
    """Import what the body holds: one object, an array of them, or NDJSON of any length, read as it arrives."""
    ending, body = Ending(services.stopping), request.stream()
    is_lines = _media_type(request, "content-type") == NDJSON
    lines = lines_of(ending.pieces(body), LARGEST_BODY) if is_lines else _elements(await bounded_body(body))
    return await import_lines(request, services, tenant, name, kind, lines, ending)


async def import_lines(
    request: ServiceRequest,
    services: Services,
    tenant: str,
    name: str,
    kind: Kind,
    lines: AsyncIterator[Line],
    ending: Ending | None = None,
) -> Response[Any]:
    """Import lines; answers with the last report, or with a report a line where the caller accepts NDJSON."""
    ending = ending or Ending(services.stopping)
    imported = _counted(services.importer.run(tenant, name, kind, ending.lines(lines)), services.telemetry)
    reports = _while_wanted(request, _all_of(imported, ending))
    # What refuses the whole import is raised before its first report: no answer has begun yet.
    report = await anext(reports)
    if _media_type(request, "accept") == NDJSON:
        return Reports(_report_lines(request, report, reports))
    try:
        async for later in reports:
            report = later
    except Stopping as stopping:
        problem = request.scope["state"]["problem"] = problem_of(stopping)
        return _unfinished(report, problem)
    return _answer(report)


async def as_lines(documents: Iterable[bytes]) -> AsyncIterator[Line]:
    """Give encoded documents the numbers of lines, as the importer wants them."""
    for number, data in enumerate(documents, start=1):
        yield Line(number=number, data=data)


def _media_type(request: ServiceRequest, header: str) -> str:
    return request.headers.get(header, "").partition(";")[0].strip().lower()


def _elements(body: bytes) -> AsyncIterator[Line]:
    """Split a JSON body into its documents without decoding each twice."""
    decode_json(body)
    if body.lstrip()[:1] == b"[":
        return as_lines(bytes(element) for element in msgspec.json.decode(body, type=list[msgspec.Raw]))
    return as_lines([body])


async def _counted(reports: AsyncGenerator[ImportReport], telemetry: Telemetry) -> AsyncGenerator[ImportReport]:
    counted = dict.fromkeys(IMPORT_OUTCOMES, 0)
    async with aclosing(reports):
        async for report in reports:
            for outcome, before in counted.items():
                counted[outcome] = getattr(report, outcome)
                telemetry.imports.labels(outcome).inc(max(0, counted[outcome] - before))
            yield report


async def _all_of(reports: AsyncGenerator[ImportReport], ending: Ending) -> AsyncGenerator[ImportReport]:
    """Pass on the reports; raises Stopping at the end where the import was cut short, and at once if it did nothing."""
    async with aclosing(reports):
        async for report in reports:
            if report.received or not ending.has_cut:
                yield report
    if ending.has_cut:
        raise Stopping("The service stops before the import is done. What it acknowledged is kept; send all again.")


async def _while_wanted(request: ServiceRequest, reports: AsyncGenerator[ImportReport]) -> AsyncGenerator[ImportReport]:
    """Pass on the reports; raises CallerLeft after the next one where nobody waits: callers who send again add up."""
    async with request.leaving() as leaving, aclosing(reports):
        async for report in reports:
            yield report
            if leaving.done():
                raise CallerLeft("The caller left before the import was done; what was acknowledged is kept.")


async def _report_lines(
    request: ServiceRequest, first: ImportReport, rest: AsyncIterator[ImportReport]
) -> AsyncIterator[bytes]:
    """Encode a line for each acknowledged batch; an error in the middle is the last line, as a problem."""
    yield msgspec.json.encode(first) + b"\n"
    try:
        async for report in rest:
            yield msgspec.json.encode(report) + b"\n"
    except Exception as error:  # noqa: BLE001  # the answer has begun: only a line can still say what happened
        problem = request.scope["state"]["problem"] = problem_of(error)
        yield msgspec.json.encode(problem) + b"\n"


def _answer(report: ImportReport) -> Response[Any]:
    if report.received > report.failures:
        return Response(report)
    detail = "Every line failed; see `errors`." if report.received else "The body holds no document."
    nothing = Problem(title="No document was imported", status=422, detail=detail, request_id=REQUEST_ID.get())
    return _unfinished(report, nothing)


def _unfinished(report: ImportReport, problem: Problem) -> Response[Any]:
    failed = FailedImport(
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        request_id=problem.request_id,
        errors=[FieldError(f"/{line.line - 1}", line.error) for line in report.failed],
        collection=report.collection,
        received=report.received,
        failures=report.failures,
        failed=report.failed,
    )
    headers = headers_of_problem(problem)
    return Response(failed, status_code=failed.status, media_type=MEDIA_TYPE, headers=headers)
