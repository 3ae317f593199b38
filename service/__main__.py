"""`retrieval`, also `python -m service`: the commands, each loaded only when it is the one that is called."""

import signal
import sys
from importlib import import_module
from typing import Any

import rich_click as click

from service import __version__

COMMANDS = {
    "serve": ("service.commands.serve:serve", "Run the service until it is told to stop."),
    "demo": ("service.commands.demo:demo", "Start the service on temporary data, import its documentation, search it."),
    "ingest": ("service.commands.ingest:ingest", "Import files, folders, JSON Lines or CSV into a collection."),
    "search": ("service.commands.search:search", "Search a collection, or ask a FAQ."),
    "evaluate": ("service.commands.evaluate:evaluate", "Measure the search quality over judged queries."),
    "keys": ("service.commands.keys:keys", "Create, list and revoke API keys."),
    "model": ("service.commands.model:model", "List embedding models, or compile one."),
}


class Deferred(click.RichCommand):
    """Stands in the list of commands for one whose module is not loaded until it is called."""

    def __init__(self, name: str, place: str, summary: str) -> None:
        super().__init__(name=name, help=summary)
        self._place = place

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """Hand over to the command itself: its context names it, and click goes on with that."""
        module, _, attribute = self._place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command.make_context(info_name, args, *rest, **extra)


@click.group(
    commands=[Deferred(name, place, summary) for name, (place, summary) in COMMANDS.items()],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, "-V", "--version", prog_name="retrieval")
def cli() -> None:
    """Search documents and answer FAQs: a retrieval service and what talks to it.

    `retrieval demo` shows it in a minute. `retrieval serve` runs it on 127.0.0.1:8000; then
    `retrieval ingest docs --collection documents` and `retrieval search "..."` use it from another terminal.
    """


def main() -> None:
    """Run the command line."""
    end_at_sigterm()
    cli(prog_name="retrieval")


def end_at_sigterm() -> None:
    """Let SIGTERM unwind, so that nothing that a command has started outlives it.

    The first process of a container would ignore it: such a one gets only signals that it has a handler for.
    """
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


if __name__ == "__main__":
    main()
