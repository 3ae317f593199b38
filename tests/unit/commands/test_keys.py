"""`retrieval keys`: a key is printed once, and the file holds what opens nothing."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from service.access.files import decode_keys, read_content
from service.access.keyring import Keyring
from service.commands.keys import keys


def run(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(keys, [*arguments], env={"RETRIEVAL_API_KEYS_FILE": str(file)})


def test_a_created_key_is_all_that_goes_to_standard_output_and_opens_its_tenant(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    made = run(file, "create", "--tenant", "acme", "--scopes", "write, search")
    assert made.exit_code == 0, made.output
    keyring = Keyring(file, file.read_bytes())
    assert keyring.tenant(f"Bearer {made.stdout.strip()}", "write") == "acme"
    assert made.stdout.strip() not in made.stderr


def test_a_listed_key_can_be_revoked_and_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    secret = run(file, "create", "--tenant", "acme", "--scopes", "search").stdout.strip()
    identifier = secret.split("_")[1]
    listed = run(file, "list").stdout
    assert identifier in listed
    assert "acme" in listed
    assert secret.split("_")[2] not in listed
    assert run(file, "revoke", identifier).exit_code == 0
    assert decode_keys(read_content(file), file) == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "--tenant", "Acme", "--scopes", "search"),
        ("create", "--tenant", "acme\r\nbeta", "--scopes", "search"),
        ("create", "--tenant", "acme", "--scopes", "all"),
        ("create", "--tenant", "acme", "--scopes", ""),
        ("create", "--tenant", "acme"),
        ("create", "--scopes", "search"),
        ("revoke", "a1"),
        ("list",),
    ],
)
def test_what_cannot_be_done_is_said_and_writes_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    refused = run(tmp_path / "keys", *arguments)
    assert refused.exit_code in {1, 2}
    assert refused.stderr
    assert not [*tmp_path.iterdir()]


def test_without_a_file_the_option_is_asked_for() -> None:
    arguments = ["create", "--tenant", "acme", "--scopes", "search"]
    refused = CliRunner().invoke(keys, arguments, env={"RETRIEVAL_API_KEYS_FILE": None})
    assert refused.exit_code == 2
    assert "--file" in refused.stderr
