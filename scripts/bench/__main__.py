"""`make bench`: measures side by side in one run, prints ratios beside the goals, and says what falls short."""

import argparse
import asyncio
import os
import platform
import subprocess
import sys

from rich.console import Console

from scripts.bench import http, imports, peers, quality, start, stores
from scripts.bench.figures import Figure, table

PARTS = {
    "start": start.measure,
    "stores": stores.measure,
    "http": http.measure,
    "quality": quality.measure,
    "imports": imports.measure,
    "peers": peers.measure,
}


def main() -> int:
    """Run the parts named on the command line, or all of them."""
    parser = argparse.ArgumentParser(prog="make bench BENCH=", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[], help="what to measure; all by default")
    chosen = parser.parse_args().parts or list(PARTS)
    console = Console(width=140)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607  # git of the PATH
    console.print(f"commit {commit.stdout.strip() or '?'}, {os.cpu_count()} cores, Python {platform.python_version()}")
    figures: list[Figure] = []
    for name in chosen:
        console.rule(name)
        found = asyncio.run(PARTS[name]())
        console.print(table(found))
        figures += found
    missed = [figure for figure in figures if figure.is_missed]
    console.print(f"{len(figures)} figures, {len(missed)} short of their goal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
