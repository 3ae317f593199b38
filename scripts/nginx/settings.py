"""What the nginx configuration is rendered from: the chart's `ingress` values, and the place where nginx runs."""

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import yaml
from msgspec import Meta, Struct

VALUES: Final = Path(__file__).parents[2] / "charts" / "retrieval" / "values.yaml"

Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]


class _Values(Struct, frozen=True, kw_only=True, rename="camel"):
    """Values that nginx has no use for, such as the class of an ingress, are not looked at."""


class Affinity(_Values, frozen=True):
    """How a client stays with the process that it was given first."""

    by: Literal["cookie", "address", "none"]
    cookie_name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]+$")]
    seconds: NotNegative
    """0: as long as the browser runs."""


class RateLimit(_Values, frozen=True):
    """Of one client, told by its address."""

    requests_per_minute: NotNegative
    """0: no limit."""
    burst: NotNegative


class Timeouts(_Values, frozen=True):
    """Between nginx and a process of the service."""

    connect_seconds: Positive
    send_seconds: Positive
    read_seconds: Positive


class Ingress(_Values, frozen=True):
    """The chart's `ingress` values."""

    affinity: Affinity
    rate_limit: RateLimit
    timeouts: Timeouts
    max_body_megabytes: NotNegative
    """0: no limit but those of JSON and files."""


class Place(Struct, frozen=True, kw_only=True):
    """Where nginx listens and writes; the defaults are those of compose.yaml."""

    listen: str = "8080"
    tls_listen: str = "8443"
    """Empty: no TLS, and so no HTTP/2."""
    certificate: str = "/run/tls/tls.crt"
    key: str = "/run/tls/tls.key"
    directory: str = "/tmp"  # noqa: S108  # of the container, where nothing else can be written
    access_log: str = "/dev/stdout"
    error_log: str = "/dev/stderr"


def load_ingress(file: Path = VALUES) -> Ingress:
    """Read the `ingress` values of a values file; raises msgspec.ValidationError naming the value that is wrong."""
    return msgspec.convert(yaml.safe_load(file.read_text())["ingress"], Ingress)
