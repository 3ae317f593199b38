import re
from pathlib import Path

import pytest

from service.errors import InvalidSettings
from service.settings import PREFIX, Settings, exports_spans, load_settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_defaults_hold_where_the_environment_says_nothing() -> None:
    assert load_settings({"PATH": "/bin"}) == (Settings(), [])


def test_values_are_read_by_their_type() -> None:
    settings, _ = load_settings(
        {"RETRIEVAL_DATA_DIR": "/srv/x", "RETRIEVAL_FAQ_ENABLED": "false", "RETRIEVAL_EMBEDDED_INDEX_AT": "7"},
    )
    assert (settings.data_dir, settings.faq_enabled, settings.embedded_index_at) == (Path("/srv/x"), False, 7)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LISTEN", "8000"),
        ("LISTEN", "127.0.0.1:99999"),
        ("LISTEN", "0.0.0.0:8000"),
        ("WORKERS", "2"),
        ("STORE", "oracle"),
        ("EMBEDDED_INDEX_AT", "0"),
        ("WEAVIATE_URL", "127.0.0.1:8080"),
        ("WEAVIATE_URL", "http://a:8080,ftp://b"),
        ("WEAVIATE_URL", "http://a:99999"),
        ("WEAVIATE_GRPC_ADDRESS", "localhost"),
        ("WEAVIATE_GRPC_ADDRESS", "a:50051,"),
        ("WEAVIATE_GRPC_ADDRESS", "http://a:50051"),
        ("WEAVIATE_GRPC_ADDRESS", "a:99999"),
        ("WEAVIATE_REPLICATION", "0"),
        ("WEAVIATE_CONSISTENCY", "two"),
        ("WEAVIATE_BUDGET_MS", "0"),
        ("FAQ_MIN_SIMILARITY", "high"),
        ("FAQ_MAX_RESULTS", "51"),
        ("REQUEST_DEADLINE_SECONDS", "nan"),
        ("LOG_LEVEL", "loud"),
        ("METRICS_ENABLED", "perhaps"),
    ],
)
def test_a_bad_value_stops_the_start_and_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=PREFIX + name):
        load_settings({PREFIX + name: value})


@pytest.mark.parametrize("name", ["RETRIEVAL_WEAVIATE_URL", "RETRIEVAL_WEAVIATE_GRPC_ADDRESS"])
def test_a_password_in_an_address_is_refused_and_not_told(name: str) -> None:
    environment = {"RETRIEVAL_STORE": "weaviate", name: "http://user:s3cr3t@127.0.0.1:8080"}
    with pytest.raises(InvalidSettings, match="RETRIEVAL_WEAVIATE_API_KEY") as refused:
        load_settings(environment)
    assert "s3cr3t" not in str(refused.value)


def test_weaviate_may_have_several_nodes() -> None:
    settings, _ = load_settings(
        {
            "RETRIEVAL_WEAVIATE_URL": "http://a:8080, https://weaviate",
            "RETRIEVAL_WEAVIATE_GRPC_ADDRESS": "a:50051, [::1]:50052,b.example:443",
        }
    )
    assert settings.weaviate_urls == ["http://a:8080", "https://weaviate"]
    assert settings.weaviate_grpc_addresses == ["a:50051", "[::1]:50052", "b.example:443"]


def test_beyond_loopback_the_service_listens_only_with_a_file_of_keys() -> None:
    settings, _ = load_settings({"RETRIEVAL_LISTEN": "0.0.0.0:8000", "RETRIEVAL_API_KEYS_FILE": "keys.json"})
    assert settings.address == ("0.0.0.0", 8000)  # noqa: S104  # nothing listens
    with pytest.raises(InvalidSettings, match="RETRIEVAL_API_KEYS_FILE"):
        load_settings({"RETRIEVAL_LISTEN": "0.0.0.0:8000", "RETRIEVAL_API_KEYS_FILE": ""})


def test_an_unknown_name_is_a_warning_with_the_nearest_known_one() -> None:
    _, warnings = load_settings({"RETRIEVAL_LOGLEVEL": "info"})
    assert len(warnings) == 1
    assert "RETRIEVAL_LOGLEVEL" in warnings[0]
    assert "RETRIEVAL_LOG_LEVEL" in warnings[0]


def test_no_setting_collides_with_what_kubernetes_injects() -> None:
    assert not [name for name in Settings.__struct_encode_fields__ if name.endswith("_PORT") or "_SERVICE_" in name]


def test_spans_are_exported_only_where_an_endpoint_is_named() -> None:
    assert not exports_spans({})
    assert exports_spans({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
    assert not exports_spans({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"})


def test_the_document_lists_exactly_the_settings_with_their_defaults() -> None:
    rows = re.findall(r"^\| `RETRIEVAL_(\w+)` \| (.*?) \|", DOCUMENT.read_text(), re.MULTILINE)
    defaults = {name.upper(): getattr(Settings(), name) for name in Settings.__struct_fields__}
    assert dict(rows).keys() == defaults.keys()
    for name, shown in rows:
        default = defaults[name]
        expected = str(default).lower() if isinstance(default, bool) else "" if default is None else str(default)
        assert shown.strip("`").replace(",", "") == expected, name
