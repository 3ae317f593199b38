"""A file of keys that changes is taken over; one that cannot be used changes nothing and is said once."""

import asyncio
import logging
import os
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

from service.access.keyring import Keyring, open_access
from service.access.loopback import LoopbackAccess
from service.errors import Forbidden, InvalidSettings, Unauthenticated
from tests.tools.keys import written_key


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def keyring_of(file: Path) -> Keyring:
    return Keyring(file, file.read_bytes())


def opens(keyring: Keyring, text: str) -> bool:
    try:
        keyring.tenant(f"Bearer {text}", "search")
    except Unauthenticated:
        return False
    return True


def test_a_key_opens_its_own_tenant_with_its_own_scopes(file: Path) -> None:
    acme, beta = written_key(file, "acme", "search"), written_key(file, "beta", "admin")
    keyring = keyring_of(file)
    assert keyring.tenant(f"Bearer {acme}", "search") == "acme"
    assert keyring.tenant(f"bearer   {beta} ", "admin") == "beta"
    assert keyring.tenants() == {"acme", "beta"}
    for text, scope in ((acme, "write"), (acme, "admin"), (beta, "search"), (beta, "write")):
        with pytest.raises(Forbidden, match=scope):
            keyring.tenant(f"Bearer {text}", scope)  # type: ignore[arg-type]  # they are scopes


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer{}", "Bearer {}, Bearer {}", "\xff"]
)
def test_anything_else_than_a_bearer_of_one_key_is_nobody(file: Path, header: str) -> None:
    text = written_key(file, "acme")
    keyring = keyring_of(file)
    with pytest.raises(Unauthenticated):
        keyring.tenant(header.format(text, text), "search")


def test_an_unknown_key_and_a_wrong_secret_are_told_the_same(file: Path) -> None:
    text = written_key(file, "acme")
    keyring = keyring_of(file)
    said = set()
    for wrong in (text[:-1] + ("0" if text[-1] != "0" else "1"), "rk_ffffffffffff_" + "0" * 48):
        with pytest.raises(Unauthenticated) as refusal:
            keyring.tenant(f"Bearer {wrong}", "search")
        said.add(str(refusal.value))
    assert len(said) == 1
    assert text not in said.pop()


def test_new_keys_open_and_revoked_ones_do_not_once_the_file_is_read_again(file: Path) -> None:
    first = written_key(file, "acme")
    keyring = keyring_of(file)
    file.unlink()
    second = written_key(file, "acme")
    assert (opens(keyring, first), opens(keyring, second)) == (True, False)
    asyncio.run(keyring.reread())
    assert (opens(keyring, first), opens(keyring, second)) == (False, True)


def test_a_change_that_keeps_size_and_time_is_noticed(file: Path) -> None:
    text = written_key(file, "acme")
    keyring = keyring_of(file)
    before = file.stat()
    file.write_text(file.read_text().replace('"acme"', '"beta"'))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    asyncio.run(keyring.reread())
    assert keyring.tenant(f"Bearer {text}", "search") == "beta"


def test_a_secret_that_kubernetes_swaps_is_noticed(tmp_path: Path) -> None:
    texts = [written_key(tmp_path / version / "keys", "acme") for version in _folders(tmp_path, "..v1", "..v2")]
    data, file = tmp_path / "..data", tmp_path / "keys"
    data.symlink_to("..v1")
    file.symlink_to("..data/keys")
    keyring = keyring_of(file)
    (tmp_path / "..data_tmp").symlink_to("..v2")
    (tmp_path / "..data_tmp").rename(data)
    asyncio.run(keyring.reread())
    assert [opens(keyring, text) for text in texts] == [False, True]


def _folders(parent: Path, *names: str) -> tuple[str, ...]:
    for name in names:
        (parent / name).mkdir()
    return names


def become_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "emptied": lambda file: file.write_bytes(b""),
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-20]),
    "rubbish": lambda file: file.write_bytes(os.urandom(64)),
    "a folder": become_a_folder,
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_a_file_that_cannot_be_used_keeps_the_keys_and_is_said_once(
    file: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    text = written_key(file, "acme")
    keyring = keyring_of(file)
    whole = file.read_bytes()
    DAMAGES[damage](file)
    for _ in range(3):
        asyncio.run(keyring.reread())
    assert opens(keyring, text)
    said = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 1
    assert str(file) in said[0].getMessage()
    if file.is_dir():
        file.rmdir()
    file.write_bytes(whole)
    asyncio.run(keyring.reread())
    assert opens(keyring, text)
    assert caplog.records[-1].levelno == logging.INFO


def test_an_empty_list_of_keys_shuts_everybody_out(file: Path) -> None:
    text = written_key(file, "acme")
    keyring = keyring_of(file)
    file.write_text('{"keys": []}')
    asyncio.run(keyring.reread())
    assert not opens(keyring, text)


async def tenants_of(setting: str) -> AbstractSet[str]:
    async with open_access(setting) as access:
        return access.tenants()


def test_a_start_without_a_usable_file_is_refused_and_says_what_to_do(file: Path) -> None:
    for content in (None, b"", b'{"keys": 7}'):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(InvalidSettings, match=r"RETRIEVAL_API_KEYS_FILE.*retrieval keys create"):
            asyncio.run(tenants_of(str(file)))


def test_without_a_file_everybody_is_the_one_tenant() -> None:
    assert asyncio.run(tenants_of("")) == {"default"}
    assert LoopbackAccess().tenant("", "admin") == "default"


def test_a_request_reads_no_file(file: Path) -> None:
    text = written_key(file, "acme")
    keyring = keyring_of(file)
    file.unlink()
    assert opens(keyring, text)
