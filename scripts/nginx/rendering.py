"""From values to the text of an nginx configuration: a template, and what differs with affinity and upstreams."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import Final

from scripts.nginx.settings import Affinity, Ingress, Place, RateLimit

TEMPLATE: Final = Path(__file__).with_name("template.conf")
MOST_TRIES: Final = 3
KEPT_CONNECTIONS: Final = 32
KEPT_SECONDS: Final = 20
"""Less than the 30 s after which the service closes an idle connection: a request never meets one that just went."""
MOST_CONNECTIONS: Final = 100
"""Of one address at the same time; streams of HTTP/2 count as connections."""
MOST_HELD: Final = 8
"""Bodies of 100 kB and more that are held for one address at the same time: 80 MB at most."""
CONNECTIONS: Final = f"limit_conn connections {MOST_CONNECTIONS};"
AGAIN: Final = "searches and imports may be sent again, of anything else look first what has become"
PROBLEMS: Final = {
    "absent": (404, "Not found", "There is nothing here.", None),
    "too_large": (413, "The body is too large", "Send documents as NDJSON, which may be of any length.", None),
    "too_many": (429, "Too many requests", "This address sends more than its share: wait, then go on.", 1),
    "unavailable": (503, "The service does not answer", f"No process has answered; {AGAIN}.", 1),
    "late": (504, "The service did not answer in time", f"It may be done all the same; {AGAIN}.", 1),
}
"""What nginx answers by itself, as the service would: status, title, detail, seconds to wait, by named location."""


class UnusableUpstream(ValueError):
    """An address that affinity cannot tell from others."""


def render(ingress: Ingress, upstreams: Sequence[str], place: Place, command: str = "") -> str:
    """Return the configuration before processes at `host:port` addresses; raises UnusableUpstream."""
    for address in upstreams:
        _check(address)
    by = ingress.affinity.by
    values = {
        "command": command,
        "directory": place.directory,
        "access_log": place.access_log,
        "error_log": place.error_log,
        "affinity": indent(_affinity(ingress.affinity, upstreams), " " * 4),
        "upstream": "$affinity_upstream" if by == "cookie" else "retrieval",
        "cookie_header": "add_header Set-Cookie $affinity_cookie always;" if by == "cookie" else "",
        "clients": indent(_clients(ingress.rate_limit), " " * 4),
        "limit": indent(_limit(ingress.rate_limit), " " * 8),
        "held": indent(_held(ingress.rate_limit), " " * 12),
        "stream_megabytes": ingress.max_body_megabytes,
        "connect_seconds": ingress.timeouts.connect_seconds,
        "send_seconds": ingress.timeouts.send_seconds,
        "read_seconds": ingress.timeouts.read_seconds,
        "repeat_seconds": max(1, ingress.timeouts.read_seconds // 2),
        "tries": min(MOST_TRIES, len(upstreams)),
        "listen": indent(_listen(place), " " * 8),
        "problems": indent("\n\n".join(_problem(name) for name in PROBLEMS), " " * 8),
    }
    return _filled(TEMPLATE.read_text(), {name: str(value) for name, value in values.items()})


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Return the template with its places filled; a line that is left empty is left out."""
    lines = template.splitlines()
    filled = [re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], line).rstrip() for line in lines]
    return "".join(f"{new}\n" for new, old in zip(filled, lines, strict=True) if new or not old)


def _check(address: str) -> None:
    """Raise UnusableUpstream for a name: which process answered is told by its address alone."""
    host, _, port = address.rpartition(":")
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        raise UnusableUpstream(f"{address!r}: write an IP address and a port, such as 10.0.0.7:8000") from None
    if not port.isdecimal():
        raise UnusableUpstream(f"{address!r}: the port is missing")


def _affinity(affinity: Affinity, upstreams: Sequence[str]) -> str:
    if affinity.by == "cookie":
        return _by_cookie(affinity, upstreams)
    how = "hash $binary_remote_addr consistent;" if affinity.by == "address" else ""
    return _upstream("retrieval", [_server(address) for address in upstreams], how)


def _by_cookie(affinity: Affinity, upstreams: Sequence[str]) -> str:
    """Round robin spreads new clients evenly; the cookie that they get leads them to the same process from then on."""
    groups = [_upstream("retrieval", [_server(address) for address in upstreams])]
    # A cookie tells callers a process's place among these, and nothing about the network.
    for place, own in enumerate(upstreams, 1):
        others = [_server(address, "backup") for address in upstreams if address != own]
        groups.append(_upstream(f"retrieval_{place}", [_server(own), *others]))
    name = affinity.cookie_name
    chosen = [f"{place} retrieval_{place};" for place, _ in enumerate(upstreams, 1)]
    # The last of the addresses is the one that answered, where others were tried before.
    answered = [f'"~(^|[ ,]){re.escape(address)}$" {place};' for place, address in enumerate(upstreams, 1)]
    age = f" Max-Age={affinity.seconds};" if affinity.seconds else ""
    cookie = f"{name}=$affinity_route; Path=/;{age} HttpOnly; SameSite=Lax$affinity_secure"
    maps = [
        "# A client without a cookie gets the next process in turn. Its cookie names that, and the others stand by:",
        "# when it does not answer another does, and a new cookie names this.",
        _map(f"$cookie_{name}", "$affinity_upstream", ["default retrieval;", *chosen]),
        _map("$upstream_addr", "$affinity_route", answered),
        _map("$scheme", "$affinity_secure", ['https "; Secure";']),
        "# Nothing where nobody answered, or where the cookie says already who did.",
        _map(f'"$cookie_{name}>$affinity_route"', "$affinity_cookie", [f'default "{cookie}";', '"~^(.*)>(|\\1)$" "";']),
    ]
    return "\n".join([*groups, *maps])


def _server(address: str, role: str = "") -> str:
    # No process is passed over for its failures: an answer of 503 is one, and a store that is away would take all of
    # them out, though they go on answering what is cached. A client that met a dead one has a new cookie at once.
    return " ".join(part for part in ("server", address, "max_fails=0", role) if part) + ";"


def _upstream(name: str, servers: Sequence[str], how: str = "") -> str:
    lines = [
        f"zone {name} 64k;",
        *([how] if how else []),
        *servers,
        f"keepalive {KEPT_CONNECTIONS};",
        f"keepalive_timeout {KEPT_SECONDS}s;",
    ]
    return _block(f"upstream {name}", lines)


def _map(of: str, to: str, lines: Sequence[str]) -> str:
    return _block(f"map {of} {to}", lines)


def _block(head: str, lines: Sequence[str]) -> str:
    return f"{head} {{\n" + "".join(f"    {line}\n" for line in lines) + "}"


def _clients(limit: RateLimit) -> str:
    if not limit.requests_per_minute:
        return ""
    small = r'"~^\d{0,5}$" "";'
    checks = '"~^(GET|HEAD) /health/(live|ready)$" "";'
    lines = [
        "# By address: whoever invents keys is counted all the same. What watches the service asks often, and is never",
        "# refused for being too many.",
        _map('"$request_method $request_uri"', "$limited", ["default $binary_remote_addr;", checks]),
        "# Large bodies, and those of which nobody knows.",
        _map("$content_length$http_transfer_encoding", "$holding", ["default $binary_remote_addr;", small]),
        f"limit_req_zone $limited zone=clients:10m rate={limit.requests_per_minute}r/m;",
        "limit_conn_zone $limited zone=connections:10m;",
        "limit_conn_zone $holding zone=held:1m;",
        "limit_req_status 429;",
        "limit_conn_status 429;",
    ]
    return "\n".join(lines)


def _limit(limit: RateLimit) -> str:
    if not limit.requests_per_minute:
        return ""
    return f"limit_req zone=clients burst={limit.burst} nodelay;\n{CONNECTIONS}"


def _held(limit: RateLimit) -> str:
    return f"{CONNECTIONS}\nlimit_conn held {MOST_HELD};" if limit.requests_per_minute else ""


def _listen(place: Place) -> str:
    lines = [f"listen {place.listen};"]
    if place.tls_listen:
        lines += [
            f"listen {place.tls_listen} ssl http2;",
            f"ssl_certificate {place.certificate};",
            f"ssl_certificate_key {place.key};",
            "ssl_protocols TLSv1.2 TLSv1.3;",
            "ssl_session_cache shared:tls:1m;",
            "ssl_session_tickets off;",
        ]
    return "\n".join(lines)


def _problem(name: str) -> str:
    status, title, detail, seconds = PROBLEMS[name]
    body = (
        f'{{"title":"{title}","status":{status},"detail":"{detail}",'
        f'"request_id":"$kept_request_id","type":"about:blank"}}'
    )
    retry = [f"add_header Retry-After {seconds} always;"] if seconds else []
    lines = [
        "default_type application/problem+json;",
        "add_header X-Request-ID $kept_request_id always;",
        *retry,
        f"return {status} '{body}';",
    ]
    return _block(f"location @{name}", lines)
