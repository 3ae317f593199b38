"""The file of API keys: read whole or refused, and replaced in one step."""

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from service.access.keys import Key
from service.errors import InvalidKeyFile
from service.models import TENANT_PATTERN

LARGEST_FILE: Final = 16_000_000
"""Bytes; some 60,000 keys."""
ID: Final = re.compile(r"[a-z0-9]{1,64}")
HASH: Final = re.compile(r"[0-9a-f]{64}")


class _KeyFile(Struct, forbid_unknown_fields=True):
    keys: list[Key]


def read_content(file: Path) -> bytes:
    """Return what the file holds; raises InvalidKeyFile."""
    try:
        if not file.is_file():  # a pipe would be waited for
            raise InvalidKeyFile(f"{file} is no file" if file.exists() else f"there is no file {file}")
        with file.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise InvalidKeyFile(f"{file} cannot be read: {error.strerror}") from None
    if len(content) > LARGEST_FILE:
        raise InvalidKeyFile(f"{file} has more than {LARGEST_FILE // 1_000_000} MB")
    return content


def decode_keys(content: bytes, file: Path) -> dict[str, Key]:
    """Return the keys by their ids; raises InvalidKeyFile where one of them cannot be used, for the file's sake."""
    try:
        listed = msgspec.json.decode(content, type=_KeyFile).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidKeyFile(f"{file} is no file of keys: {error}") from None
    for place, key in enumerate(listed):
        if wrong := _wrong_with(key):
            raise InvalidKeyFile(f"{file}: $.keys[{place}]: {wrong}")
    keys = {key.id: key for key in listed}
    if len(keys) < len(listed):
        raise InvalidKeyFile(f"{file}: two keys have the same id")
    return keys


@contextmanager
def changed_keys(file: Path) -> Iterator[dict[str, Key]]:
    """Yield the keys of the file, none where there is no file, and write what they have become.

    One change at a time, and readers see all of it or nothing. Raises InvalidKeyFile, without having changed anything.
    """
    file = file.resolve()  # of a link, what it leads to is replaced
    try:
        with _locked(file.parent):
            keys = decode_keys(read_content(file), file) if file.exists() else {}
            yield keys
            _replace(file, keys)
    except OSError as error:
        raise InvalidKeyFile(f"{file} cannot be written: {error.strerror}") from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(file: Path, keys: Mapping[str, Key]) -> None:
    partial = file.with_name(f".{file.name}.partial")
    partial.unlink(missing_ok=True)
    content = msgspec.json.format(msgspec.json.encode(_KeyFile([*keys.values()])), indent=2) + b"\n"
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:  # noqa: PTH123  # Path.open takes no descriptor
            opened.write(content)
            opened.flush()
            if file.exists():
                with suppress(PermissionError):  # only root may, and its file must stay the service's own
                    os.fchown(opened.fileno(), file.stat().st_uid, file.stat().st_gid)
            os.fsync(opened.fileno())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _wrong_with(key: Key) -> str:
    """Return what is wrong with a key, or ""."""
    if not ID.fullmatch(key.id):
        return "id is 1 to 64 of a-z and 0-9"  # not shown: somebody may have put a whole key there
    if not TENANT_PATTERN.fullmatch(key.tenant):
        return f"tenant is {TENANT_PATTERN.pattern}, not {key.tenant!r}"
    if not key.scopes:
        return "scopes are empty"
    return "" if HASH.fullmatch(key.sha256) else "sha256 has 64 hexadecimal digits"
