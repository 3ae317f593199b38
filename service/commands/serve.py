"""`retrieval serve`: the service itself, one process, on granian."""

import asyncio
import logging
import os
import signal
import sys

import rich_click as click
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
from msgspec.structs import replace

from service.app import create_app
from service.errors import RetrievalError
from service.settings import Settings, check_listen, exports_spans, load_settings
from service.telemetry import Telemetry, configure_logging
from service.wiring import open_services

logger = logging.getLogger(__name__)

LONGEST_STOP_SECONDS = 30


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
        configure_logging(settings.log_level)
        for warning in warnings:
            logger.warning(warning)
        telemetry = Telemetry(exports_spans=exports_spans(os.environ))
        uvloop.run(_serve(settings, telemetry))
    except RetrievalError as error:
        click.echo(f"retrieval serve: {error}", err=True)
        sys.exit(1)


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
