"""`python -m loadtests`: the load on a service of its own, or on that of `--host`; other arguments are Locust's."""

import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from service.__main__ import end_at_sigterm
from service.commands.temporary import temporary_service

LOCUSTFILE = Path(__file__).with_name("locustfile.py")


def main() -> None:
    """Run Locust without a page, until the plan is over; exits as Locust does."""
    end_at_sigterm()
    arguments = sys.argv[1:]
    with ExitStack() as stack:
        if "--host" not in arguments:
            client = stack.enter_context(temporary_service())
            arguments += ["--host", client.url]
        command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary", *arguments]
        sys.exit(_run(command))


def _run(command: list[str]) -> int:
    """Run a command to its end; a SIGTERM is passed on, for Locust then tells what it has seen."""
    with subprocess.Popen(command) as process:
        signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
        return process.wait()


if __name__ == "__main__":
    main()
