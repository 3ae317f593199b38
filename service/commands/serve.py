"""`retrieval serve`: the service itself, one process, on granian."""

import asyncio
import logging
import os
import signal
import socket
import sys

import rich_click as click
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
from msgspec.structs import replace

from service.app import create_app
from service.errors import InvalidSettings, RetrievalError
from service.settings import Settings, check_listen, exports_spans, load_settings
from service.telemetry import Telemetry, configure_logging
from service.wiring import open_services

logger = logging.getLogger(__name__)


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
        for warning in warnings:
            logger.warning(warning)
        telemetry = Telemetry(exports_spans=exports_spans(os.environ))
        uvloop.run(_serve(settings, telemetry))
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


async def _serve(settings: Settings, telemetry: Telemetry) -> None:
    async with open_services(settings, telemetry) as services:
        host, port = settings.address
        server = Server(
            create_app(services),
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            log_enabled=False,
            backlog=1024,
            backpressure=10_000,
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        logger.info("ready", extra={"listen": settings.listen, "model": services.embedder.card.name})
        await server.serve()
        logger.info("stopped")
