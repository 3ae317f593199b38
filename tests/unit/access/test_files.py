"""The file of keys is taken whole or not at all, and changed in one step."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from service.access.files import changed_keys, decode_keys, read_content
from service.access.keys import create_key
from service.errors import InvalidKeyFile
from tests.tools.keys import written_key

GOOD: dict[str, Any] = {"id": "a1", "tenant": "acme", "scopes": ["search"], "sha256": "0" * 64}


def read(file: Path) -> dict[str, Any]:
    return dict(decode_keys(read_content(file), file))


def file_with(folder: Path, *keys: object) -> Path:
    file = folder / "keys"
    file.write_bytes(msgspec.json.encode({"keys": keys}))
    return file


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    texts = [written_key(file, tenant, "search") for tenant in ("acme", "beta")]
    assert [key.tenant for key in read(file).values()] == ["acme", "beta"]
    assert not [text for text in texts if text.rpartition("_")[2] in file.read_text()]


def test_only_the_owner_may_read_the_file_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    file = file_with(tmp_path, GOOD)
    file.chmod(0o644)
    written_key(file, "acme")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [*tmp_path.iterdir()] == [file]


def test_behind_a_link_the_file_itself_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "keys"
    link.symlink_to(tmp_path / "real" / "keys")
    written_key(link, "acme")
    assert link.is_symlink()
    assert len(read(tmp_path / "real" / "keys")) == 1


def test_changes_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        [*pool.map(lambda number: written_key(tmp_path / "keys", f"t{number}"), range(40))]
    assert len(read(tmp_path / "keys")) == 40


def test_a_change_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    file = file_with(tmp_path, GOOD)
    before = file.read_bytes()
    with pytest.raises(KeyError), changed_keys(file) as keys:
        del keys["a1"], keys["unknown"]  # the first is gone, then it fails
    assert file.read_bytes() == before


def test_a_bad_file_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("rubbish")
    with pytest.raises(InvalidKeyFile, match="no file of keys"):
        written_key(file, "acme")
    assert file.read_text() == "rubbish"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidKeyFile, match="cannot be written"):
        written_key(tmp_path / "nowhere" / "keys", "acme")


@pytest.mark.parametrize(
    "tenant",
    [
        "",
        "Acme",
        "acme ",
        "acme\n",
        "acme\r\nX-Tenant: beta",
        "a'; DROP TABLE collections --",
        'acme"} beta {"',
        "{acme}",
        "acme/../beta",
        "redis.call('FLUSHALL')",
        "асme",  # noqa: RUF001  # Cyrillic
        "\uff41cme",
        "acme\u200b",
        "-acme",
        "a" * 49,
    ],
)
def test_a_tenant_of_another_name_than_a_tenant_has_is_refused(tmp_path: Path, tenant: str) -> None:
    with pytest.raises(InvalidKeyFile, match="tenant"):
        read(file_with(tmp_path, GOOD | {"tenant": tenant}))


@pytest.mark.parametrize(
    "key",
    [
        GOOD | {"scopes": []},
        GOOD | {"scopes": ["everything"]},
        GOOD | {"scopes": "search"},
        GOOD | {"sha256": "0" * 63},
        GOOD | {"sha256": "A" * 64},
        GOOD | {"id": "a_1"},
        GOOD | {"id": ""},
        GOOD | {"secret": "x"},
        {"id": "a1"},
        None,
        7,
    ],
    ids=str,
)
def test_a_key_that_cannot_be_used_refuses_the_whole_file(tmp_path: Path, key: object) -> None:
    with pytest.raises(InvalidKeyFile, match=r"keys\[1\]"):
        read(file_with(tmp_path, GOOD | {"id": "b2"}, key))


def test_two_keys_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidKeyFile, match="same id"):
        read(file_with(tmp_path, GOOD, GOOD))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"keys": [], "more": 1}', b"[" * 100_000])
def test_what_is_no_file_of_keys_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keys").write_bytes(content)
    with pytest.raises(InvalidKeyFile, match="no file of keys"):
        read(tmp_path / "keys")


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place, said in (("pipe", "is no file"), (".", "is no file"), ("nothing", "there is no file")):
        with pytest.raises(InvalidKeyFile, match=said):
            read_content(tmp_path / place)


def test_a_whole_key_put_where_its_id_belongs_is_not_said_again(tmp_path: Path) -> None:
    _, text = create_key("acme", ("search",))
    with pytest.raises(InvalidKeyFile) as refusal:
        read(file_with(tmp_path, GOOD | {"id": text}))
    assert text not in str(refusal.value)
