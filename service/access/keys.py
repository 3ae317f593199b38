"""API keys: how one is made, what is kept of it, and whether a text is one.

What is kept is a plain SHA-256 of the whole key, its id in front. Slow hashes are for passwords, which can be guessed;
a secret of 192 random bits cannot, however quick the hash, and a slow one would cost each request many milliseconds.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from secrets import token_hex
from typing import Final

from msgspec import Struct

from service.access.base import Scope

PREFIX: Final = "rk"
"""By which scanners of logs and repositories can tell a key."""
ID_BYTES: Final = 6
SECRET_BYTES: Final = 24


class Key(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of a key: all but its secret."""

    id: str
    tenant: str
    scopes: tuple[Scope, ...]
    sha256: str
    """In hexadecimal digits, of the key as callers send it."""
    created: str = ""
    """For people."""


NOBODY: Final = Key(id="", tenant="", scopes=(), sha256="0" * 64)
"""Stands in for keys that do not exist: what is compared with it takes as long, and no text has this hash."""


def create_key(tenant: str, scopes: Iterable[Scope], taken: Collection[str] = ()) -> tuple[Key, str]:
    """Return a new key, whose id is none of those taken, and the text that a caller sends."""
    identifier = token_hex(ID_BYTES)
    while identifier in taken:
        identifier = token_hex(ID_BYTES)
    text = f"{PREFIX}_{identifier}_{token_hex(SECRET_BYTES)}"
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Key(identifier, tenant, tuple(scopes), _hash(text), created), text


def key_of(text: str, keys: Mapping[str, Key]) -> Key | None:
    """Return the key, of those by their ids, that the text is; unknown ids and wrong secrets take the same path."""
    _, _, rest = text.partition("_")
    key = keys.get(rest.partition("_")[0], NOBODY)
    return key if compare_digest(_hash(text), key.sha256) else None


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
