"""Keys and passwords: made where none are given, and nowhere to be seen but in secrets."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.chart.rendering import ENVIRONMENTS, RefusedValues, of_kind, render
from service.access.files import decode_keys
from service.access.keys import key_of
from tests.chart.parts import Rendered, containers, one, secret_text, server, settings

PARTS = ("apiKeys", "redis", "weaviate", "tests")


def test_the_key_that_is_made_opens_everything_for_its_tenant(rendered: Rendered) -> None:
    objects = rendered(values={"apiKeys": {"tenant": "acme"}})
    text = secret_text(objects, "retrieval-generated-admin-key", "admin-key")
    file = secret_text(objects, "retrieval-generated-api-keys", "keys.json")
    key = key_of(text, decode_keys(file.encode(), Path("keys.json")))
    assert key is not None
    assert (key.tenant, {*key.scopes}) == ("acme", {"search", "write", "admin"})
    assert text not in file


@pytest.mark.usefixtures("rendered")
def test_no_two_installations_make_the_same_key() -> None:
    first, second = (secret_text(render(), "retrieval-generated-admin-key", "admin-key") for _ in range(2))
    assert first != second


def test_the_keys_are_mounted_as_a_folder_so_that_a_change_arrives(rendered: Rendered) -> None:
    objects = rendered("production")
    spec = server(objects)
    (mount,) = (found for found in spec["containers"][0]["volumeMounts"] if found["name"] == "keys")
    (volume,) = (found for found in spec["volumes"] if found["name"] == "keys")
    assert "subPath" not in mount
    assert volume["secret"] == {"secretName": "retrieval-api-keys", "defaultMode": 0o440}
    assert settings(objects)["RETRIEVAL_API_KEYS_FILE"] == f"{mount['mountPath']}/keys.json"


def test_the_service_itself_never_sees_the_text_of_the_admin_key(rendered: Rendered) -> None:
    assert "admin-key" not in json.dumps(server(rendered()))


def test_secrets_that_are_named_are_used_and_none_are_made(rendered: Rendered) -> None:
    objects = rendered("production")
    environment = {entry["name"]: entry["valueFrom"] for entry in server(objects)["containers"][0]["env"]}
    assert environment == {
        "RETRIEVAL_REDIS_PASSWORD": {"secretKeyRef": {"name": "retrieval-redis", "key": "redis-password"}},
        "RETRIEVAL_WEAVIATE_API_KEY": {"secretKeyRef": {"name": "retrieval-weaviate", "key": "weaviate-api-key"}},
    }
    assert not of_kind(objects, "Secret")


def test_servers_in_the_release_have_secrets_of_their_own_that_the_service_is_given(rendered: Rendered) -> None:
    objects = rendered("dev")
    referred = {
        (entry["valueFrom"]["secretKeyRef"]["name"], entry["valueFrom"]["secretKeyRef"]["key"])
        for name, container in containers(objects)
        for entry in container.get("env", [])
        if "secretKeyRef" in entry.get("valueFrom", {})
    }
    assert ("retrieval-generated-redis", "redis-password") in referred
    assert ("retrieval-generated-weaviate", "weaviate-api-key") in referred
    assert all(len(secret_text(objects, name, key)) >= 32 for name, key in referred)


def test_no_secret_stands_in_the_settings(rendered: Rendered) -> None:
    objects = rendered("dev")
    texts = [
        secret_text(objects, secret["metadata"]["name"], key)
        for secret in of_kind(objects, "Secret")
        for key in secret["data"]
    ]
    shown = json.dumps(one(objects, "ConfigMap", "retrieval-settings"))
    assert texts
    assert not [text for text in texts if text in shown]


@pytest.mark.parametrize("values", [{part: {"existingSecret": "retrieval-generated-x"}} for part in PARTS])
def test_a_name_of_secrets_that_the_chart_makes_is_not_taken_for_anothers(
    rendered: Rendered, values: dict[str, Any]
) -> None:
    with pytest.raises(RefusedValues, match="retrieval-generated-x is a name of secrets that the chart makes"):
        rendered(values=values)


def test_what_is_made_has_no_name_that_the_documentation_gives_to_secrets_of_ones_own(rendered: Rendered) -> None:
    made = {found["metadata"]["name"] for found in of_kind(rendered("dev"), "Secret")}
    production = yaml.safe_load((ENVIRONMENTS / "production.yaml").read_text())
    named = {production[part]["existingSecret"] for part in PARTS}
    assert len(named) == len(PARTS)
    assert made.isdisjoint(named)


def test_the_key_of_a_secret_is_refused_where_none_is_named(rendered: Rendered) -> None:
    with pytest.raises(RefusedValues, match=r"apiKeys\.key is a key of apiKeys\.existingSecret"):
        rendered(values={"apiKeys": {"key": "other.json"}})
