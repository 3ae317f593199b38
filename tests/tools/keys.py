"""API keys for tests, in a file as `retrieval keys create` writes it."""

from pathlib import Path

from service.access.base import SCOPES, Scope
from service.access.files import changed_keys
from service.access.keys import create_key


def written_key(file: Path, tenant: str, *scopes: Scope) -> str:
    """Add a key to the file, with all scopes where none is named, and return it as callers send it."""
    with changed_keys(file) as keys:
        key, text = create_key(tenant, scopes or SCOPES, keys)
        keys[key.id] = key
    return text


def bearing(key: str) -> dict[str, str]:
    """Return the header that carries a key."""
    return {"Authorization": f"Bearer {key}"}
