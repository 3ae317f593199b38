"""`retrieval serve`: the service itself, one process, on granian."""

import asyncio
import faulthandler
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import rich_click as click
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
from msgspec.structs import replace

from service.app import create_app
from service.errors import InvalidSettings, RetrievalError
from service.logs import configure_logging
from service.routes.envelope import Envelope
from service.settings import Settings, check_listen, exports_spans, load_settings
from service.telemetry import Telemetry
from service.wiring import OpenStore, Services, open_services, open_store

logger = logging.getLogger(__name__)

GRACE_SECONDS = 5.0
"""Added to the deadline of searches: what a stop waits for. Imports may take longer and are safe to repeat."""


@click.command()
@click.option("--host", help="Address to listen on; overrides RETRIEVAL_LISTEN.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on; overrides RETRIEVAL_LISTEN.")
def serve(host: str | None, port: int | None) -> None:
    """Run the service until it is told to stop (SIGTERM or Ctrl-C). Settings are RETRIEVAL_* variables."""
    try:
        settings, warnings = load_settings(os.environ)
        own_host, own_port = settings.address
        settings = replace(settings, listen=f"{host or own_host}:{port or own_port}")
        check_listen(settings)
        _check_free(settings)
        configure_logging(settings.log_level)
        faulthandler.enable()  # what kills the process from below Python leaves a trace in the log
        for warning in warnings:
            logger.warning(warning)
        telemetry = Telemetry(exports_spans=exports_spans(os.environ))
        uvloop.run(serve_until_told(settings, telemetry))
    except RetrievalError as error:
        click.echo(f"retrieval serve: {error}", err=True)
        sys.exit(1)


def _check_free(settings: Settings) -> None:
    """Raise InvalidSettings where another process listens already: granian would share the port with it."""
    host, port = settings.address
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InvalidSettings(f"Cannot listen on {settings.listen}: {error.strerror}.") from None


async def serve_until_told(settings: Settings, telemetry: Telemetry, open_store: OpenStore = open_store) -> None:
    """Serve until SIGTERM or SIGINT, then drain. A start that is told to stop ends there, whatever it waits for."""
    told_to_stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        try:
            async with _ended_when(told_to_stop):
                services = await stack.enter_async_context(open_services(settings, telemetry, open_store, told_to_stop))
        except _ToldToStop:
            logger.info("stopped before it was ready")
            return
        await _serve(services)
    logger.info("stopped")


class _ToldToStop(Exception):
    """The start was told to stop."""


@asynccontextmanager
async def _ended_when(told_to_stop: asyncio.Event) -> AsyncIterator[None]:
    """Let the signals set the event from now on, and cancel the block if one comes in it: raises _ToldToStop then."""
    try:
        async with asyncio.timeout(None) as block:

            def stop() -> None:
                if not told_to_stop.is_set():
                    told_to_stop.set()
                    block.reschedule(0)

            _when_told(stop)
            try:
                yield
            finally:
                _when_told(told_to_stop.set)
    except TimeoutError:
        if not block.expired():
            raise
        raise _ToldToStop from None


def _when_told(stop: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)


async def _serve(services: Services) -> None:
    settings = services.settings
    host, port = settings.address
    app = create_app(services)
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        log_enabled=False,
        backlog=1024,
        backpressure=10_000,
    )
    logger.info("ready", extra={"listen": settings.listen, "model": services.embedder.card.name})
    serving = asyncio.create_task(server.serve())
    waiting = asyncio.create_task(services.stopping.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    logger.info("stopping", extra={"requests": services.telemetry.active})
    await asyncio.wait({serving}, timeout=settings.drain_seconds)  # whoever sends requests here may not know yet
    server.stop()  # type: ignore[no-untyped-call]  # granian has no annotations here
    await _drain(serving, app, settings.request_deadline_seconds + GRACE_SECONDS)


async def _drain(serving: asyncio.Task[None], app: Envelope, seconds: float) -> None:
    """Wait for the requests in progress, so many seconds; then end them, whoever sends them.

    Granian waits for connections only: requests whose callers left run on, over what is closed next.
    """
    await asyncio.wait({serving}, timeout=seconds)
    if running := app.stop_requests():
        level = logging.INFO if serving.done() else logging.WARNING  # nobody waits for the former
        logger.log(level, "requests were still running and are ended", extra={"requests": len(running)})
    await asyncio.wait({serving, *running}, timeout=GRACE_SECONDS)
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving
