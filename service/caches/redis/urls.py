"""Reads the address of Redis, and says what a good one looks like."""

from pathlib import Path
from typing import Any, Literal, NoReturn
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from msgspec import Struct

from service.errors import InvalidSettings

Kind = Literal["single", "sentinel", "cluster"]
Address = tuple[str, int]

EXAMPLES = (
    "write redis://host:6379/0, rediss://host:6379/0 (with TLS), "
    "sentinel://host1:26379,host2:26379/master_name/0 or cluster://host1:7000,host2:7001"
)
SCHEMES: dict[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "sentinel": ("sentinel", False),
    "redis+sentinel": ("sentinel", False),
    "sentinel+tls": ("sentinel", True),
    "rediss+sentinel": ("sentinel", True),
    "cluster": ("cluster", False),
    "redis+cluster": ("cluster", False),
    "cluster+tls": ("cluster", True),
    "rediss+cluster": ("cluster", True),
}
PORTS: dict[Kind, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
TLS_OPTIONS = (*TLS_FILES, "ssl_cert_reqs", "ssl_check_hostname")
VERIFICATIONS = ("none", "optional", "required")


class RedisAddress(Struct, frozen=True, kw_only=True):
    """Where Redis is, of what kind, and how to be let in."""

    kind: Kind
    hosts: list[Address]
    """Of the server, of the sentinels, or of some nodes of the cluster."""
    master: str = ""
    """By which the sentinels know it."""
    database: int = 0
    username: str | None = None
    password: str | None = None
    sentinel_password: str | None = None
    has_tls: bool = False
    tls: dict[str, Any] = {}
    """As redis-py names the options."""


def read_url(url: str, password: str = "") -> RedisAddress:
    """Read an address; a password given apart wins. Raises InvalidSettings, never with the password in it."""
    try:
        parts = urlsplit(url)
        hosts, user = _hosts(parts)
    except ValueError as error:
        _refuse(f"it cannot be read ({error})" if "port" in str(error) else "it cannot be read")
    if parts.scheme not in SCHEMES:
        _refuse(f"it begins with {parts.scheme!r}" if parts.scheme else "it has no scheme")
    kind, has_tls = SCHEMES[parts.scheme]
    if not hosts or (kind == "single" and len(hosts) > 1):
        _refuse("it names several hosts; only sentinel:// and cluster:// have several" if hosts else "it names no host")
    master, database = _path(kind, parts.path)
    options = _options(parts.query, kind, has_tls=has_tls)
    name, _, inside = user.partition(":")
    return RedisAddress(
        kind=kind,
        hosts=[(host, port or PORTS[kind]) for host, port in hosts],
        master=master,
        database=database,
        username=unquote(name) or None,
        password=password or unquote(inside) or None,
        sentinel_password=options.pop("sentinel_password", None),
        has_tls=has_tls,
        tls=options,
    )


def _hosts(parts: SplitResult) -> tuple[list[Address], str]:
    """Return hosts with their ports, 0 where none is given, and what stands before the @."""
    user, _, listed = parts.netloc.rpartition("@")
    found = [urlsplit(f"//{one.strip()}") for one in listed.split(",") if one.strip()]
    return [(one.hostname, one.port or 0) for one in found if one.hostname], user


def _path(kind: Kind, path: str) -> tuple[str, int]:
    """Return the master's name and the number of the database."""
    steps = [unquote(step) for step in path.split("/") if step]
    if kind == "sentinel" and not steps:
        _refuse("it does not name the master that the sentinels watch")
    master = steps.pop(0) if kind == "sentinel" else ""
    number = steps.pop(0) if steps else "0"
    if steps or not number.isdecimal():
        _refuse(f"its path {path!r} is not the number of a database")
    if kind == "cluster" and int(number):
        _refuse("a cluster has database 0 only")
    return master, int(number)


def _options(query: str, kind: Kind, *, has_tls: bool) -> dict[str, Any]:
    known = (TLS_OPTIONS if has_tls else ()) + (("sentinel_password",) if kind == "sentinel" else ())
    options: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
    for name, value in options.items():
        if name not in known:
            _refuse(f"it has the option {name!r}, where it can have {', '.join(known) or 'none'}")
        if name in TLS_FILES and not Path(value).is_file():
            _refuse(f"there is no file {value!r}, which {name} names")
    if options.get("ssl_cert_reqs", "required") not in VERIFICATIONS:
        _refuse(f"ssl_cert_reqs is one of {', '.join(VERIFICATIONS)}")
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"].lower() in ("1", "true", "yes")
    if options.get("ssl_cert_reqs") == "none":
        options.setdefault("ssl_check_hostname", False)
    return options


def _refuse(reason: str) -> NoReturn:
    raise InvalidSettings(f"RETRIEVAL_REDIS_URL is no address of Redis, {reason}: {EXAMPLES}.") from None
