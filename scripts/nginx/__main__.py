"""Renders the nginx configuration: `python -m scripts.nginx ADDRESS...`, as `host:port` of each process."""

import argparse
import sys
from pathlib import Path

import msgspec

from scripts.nginx.rendering import UnusableUpstream, render
from scripts.nginx.settings import VALUES, Place, load_ingress

COMPOSED: tuple[str, ...] = ("172.16.238.10:8000",)
"""The service's address in compose.yaml."""
COMMAND = "python -m scripts.nginx --output compose/nginx.conf"


def main() -> int:
    """Write the configuration where it is wanted."""
    parser = argparse.ArgumentParser(prog="python -m scripts.nginx", description=__doc__)
    parser.add_argument("addresses", nargs="*", default=COMPOSED, help="of processes; that of compose.yaml by default")
    parser.add_argument("--values", type=Path, default=VALUES, help="a values file with `ingress`; the chart's own")
    parser.add_argument("--output", type=Path, help="a file; standard output by default")
    chosen = parser.parse_args()
    try:
        text = render(load_ingress(chosen.values), chosen.addresses, Place(), COMMAND)
    except (UnusableUpstream, msgspec.ValidationError) as error:
        sys.stderr.write(f"scripts.nginx: {error}\n")
        return 1
    if chosen.output:
        chosen.output.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
