"""`python -m loadtests`: the load on a service of its own, or on that of `--host`; other arguments are Locust's."""

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from service.commands.temporary import temporary_service

LOCUSTFILE = Path(__file__).with_name("locustfile.py")


def main() -> None:
    """Run Locust without a page, until the plan is over; exits as Locust does."""
    arguments = sys.argv[1:]
    with ExitStack() as stack:
        if "--host" not in arguments:
            client = stack.enter_context(temporary_service())
            arguments += ["--host", client.url]
        command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary", *arguments]
        sys.exit(subprocess.run(command, check=False).returncode)


if __name__ == "__main__":
    main()
