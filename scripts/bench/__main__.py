"""`make bench`: measures side by side in one run, prints ratios beside the goals, and says what falls short."""

import argparse
import asyncio
import os
import platform
import subprocess
import sys

from rich.console import Console

from scripts.bench import (
    affinity,
    cluster,
    http,
    imports,
    overload,
    peers,
    quality,
    reindex,
    rolling,
    start,
    stores,
    weaviate,
)
from scripts.bench.caches import frozen, hits, policy, published, redis_hits, suites, throughput
from scripts.bench.figures import Figure, table

PARTS = {
    "start": start.measure,
    "stores": stores.measure,
    "http": http.measure,
    "quality": quality.measure,
    "imports": imports.measure,
    "reindex": reindex.measure,
    "weaviate": weaviate.measure,
    "cluster": cluster.measure,
    "affinity": affinity.measure,
    "rolling": rolling.measure,
    "overload": overload.measure,
    "peers": peers.measure,
    "hits": hits.measure,
    "redis": redis_hits.measure,
    "policy": policy.measure,
    "throughput": throughput.measure,
    "suites": suites.measure,
    "published": published.measure,
    "frozen": frozen.measure,
}
GROUPS = {"caches": ("hits", "redis", "policy", "throughput", "suites", "published", "frozen")}
"""Names for several parts together."""


def main() -> int:
    """Run the parts named on the command line, or all of them."""
    parser = argparse.ArgumentParser(prog="make bench BENCH=", description=__doc__)
    names = [*PARTS, *GROUPS]
    parser.add_argument("parts", nargs="*", choices=[*names, []], default=[], help="what to measure; all by default")
    named = parser.parse_args().parts or list(PARTS)
    chosen = [part for name in named for part in GROUPS.get(name, (name,))]
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
