"""The settings: environment variables read once, checked at start, then passed as one value."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from service.errors import InvalidSettings

PREFIX = "RETRIEVAL_"
CLIENT_PREFIX = "RETRIEVAL_CLIENT_"
"""Read by the commands that talk to a service, not by the service."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")

Positive = Annotated[int, Meta(ge=1)]
TimeToLive = Annotated[int, Meta(ge=1, le=86_400)]
"""Seconds. What was deleted is remembered a little longer than anything cached may live."""


class Settings(Struct, frozen=True, kw_only=True, rename="upper"):
    """One field for each `RETRIEVAL_*` variable; docs/configuration.md is tested against it."""

    listen: str = "127.0.0.1:8000"
    workers: Annotated[int, Meta(ge=1, le=1)] = 1
    store: Literal["embedded", "weaviate"] = "embedded"
    data_dir: Path = Path("data")
    embedded_index_at: Positive = 50_000
    weaviate_url: str = "http://127.0.0.1:8080"
    weaviate_grpc_address: str = "127.0.0.1:50051"
    weaviate_api_key: str = ""
    weaviate_replication: Annotated[int, Meta(ge=1, le=99)] = 1
    weaviate_consistency: Literal["one", "quorum", "all"] = "quorum"
    weaviate_budget_ms: Positive = 1000
    redis_url: str = ""
    redis_password: str = ""
    redis_max_connections: Positive = 50
    redis_health_check_seconds: Positive = 30
    redis_budget_ms: Positive = 50
    cache_enabled: bool = True
    cache_memory_mb: Positive = 256
    embedding_cache_ttl_seconds: TimeToLive = 3600
    faq_result_cache_ttl_seconds: TimeToLive = 300
    search_result_cache_ttl_seconds: TimeToLive = 600
    policy_result_cache_ttl_seconds: TimeToLive = 86_400
    memory_trust_seconds: Annotated[float, Meta(ge=0)] = 5.0
    settling_seconds: Annotated[float, Meta(ge=0)] = 10.0
    writes_without_redis: Literal["refuse", "allow"] = "refuse"
    warm_queries: Annotated[int, Meta(ge=0, le=1000)] = 20
    embedding_model: str = "all-MiniLM-L6-v2"
    embedding_runtime: Literal["onnx", "sentence-transformers"] = "onnx"
    embedding_price_per_1000: Annotated[float, Meta(ge=0)] = 0.0001
    embedding_query_prefix: str | None = None
    embedding_passage_prefix: str | None = None
    faq_enabled: bool = True
    faq_min_similarity: Annotated[float, Meta(ge=-1, le=1)] = 0.85
    faq_max_results: Annotated[int, Meta(ge=1, le=50)] = 10
    faq_batch_size: Annotated[int, Meta(ge=1, le=1000)] = 50
    api_keys_file: str = ""
    request_deadline_seconds: Annotated[float, Meta(gt=0)] = 10.0
    drain_seconds: Annotated[float, Meta(ge=0, le=300)] = 0.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    metrics_enabled: bool = True

    @property
    def weaviate_urls(self) -> list[str]:
        """The parts of `weaviate_url`."""
        return [url.strip() for url in self.weaviate_url.split(",")]

    @property
    def weaviate_grpc_addresses(self) -> list[str]:
        """The parts of `weaviate_grpc_address`."""
        return [address.strip() for address in self.weaviate_grpc_address.split(",")]

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of `listen`."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


def load_settings(environment: Mapping[str, str]) -> tuple[Settings, list[str]]:
    """Read the settings and the warnings about unknown names; raises InvalidSettings naming the bad variable."""
    given = {
        key.removeprefix(PREFIX): value
        for key, value in environment.items()
        if key.startswith(PREFIX) and not key.startswith(CLIENT_PREFIX)
    }
    known = Settings.__struct_encode_fields__
    values = {key: value for key, value in given.items() if key in known}
    try:
        settings = msgspec.convert(values, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise InvalidSettings(_explain(str(error), values)) from None
    check_listen(settings)
    check_weaviate(settings)
    return settings, [_unknown(name, known) for name in sorted(given.keys() - set(known))]


def exports_spans(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own variables name an endpoint to export spans to."""
    names = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(environment.get(name) for name in names) and environment.get("OTEL_SDK_DISABLED") != "true"


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(kind)


def _explain(message: str, values: Mapping[str, str]) -> str:
    """Turn msgspec's "... - at `$.WORKERS`" into a sentence that begins with the variable."""
    reason, _, place = message.partition(" - at `$.")
    name = place.rstrip("`")
    return f"{PREFIX}{name} is {values.get(name)!r}: {reason[0].lower()}{reason[1:]}."


def check_listen(settings: Settings) -> None:
    """Raise InvalidSettings where the address cannot be listened on."""
    try:
        host, port = settings.address
    except ValueError:
        raise InvalidSettings(f"{PREFIX}LISTEN: write host:port, for example 127.0.0.1:8000.") from None
    if not 0 <= port <= 65535:  # noqa: PLR2004  # the range of ports
        raise InvalidSettings(f"{PREFIX}LISTEN: the port must lie between 0 and 65535.")
    if host not in LOOPBACK and not settings.api_keys_file:
        raise InvalidSettings(
            f"{PREFIX}LISTEN is {settings.listen!r}: without API keys the service answers on loopback only; name a "
            f"file of keys in {PREFIX}API_KEYS_FILE (`retrieval keys create` writes one), or use 127.0.0.1:{port}.",
        )


def check_weaviate(settings: Settings) -> None:
    """Raise InvalidSettings where an address of Weaviate cannot be one."""
    if "@" in settings.weaviate_url + settings.weaviate_grpc_address:
        raise InvalidSettings(
            f"{PREFIX}WEAVIATE_URL and {PREFIX}WEAVIATE_GRPC_ADDRESS take no user and password; "
            f"give the key in {PREFIX}WEAVIATE_API_KEY."
        )
    for url in settings.weaviate_urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not _is_address(parts.netloc, needs_port=False):
            raise InvalidSettings(f"{PREFIX}WEAVIATE_URL: {url!r} is none; write for example http://127.0.0.1:8080.")
    for address in settings.weaviate_grpc_addresses:
        if not _is_address(address):
            raise InvalidSettings(
                f"{PREFIX}WEAVIATE_GRPC_ADDRESS: {address!r} is not host:port; write for example 127.0.0.1:50051."
            )


def _is_address(address: str, *, needs_port: bool = True) -> bool:
    try:
        parts = urlsplit(f"//{address}")
        is_complete = bool(parts.hostname) and (parts.port is not None or not needs_port)
    except ValueError:
        return False
    return is_complete and parts.netloc == address and "@" not in address


def _unknown(name: str, known: tuple[str, ...]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)
    return f"{PREFIX}{name} is not a setting and is ignored; the nearest is {PREFIX}{nearest[0]}."
