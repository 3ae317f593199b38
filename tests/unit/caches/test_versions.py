"""What a process believes of versions, and for how long."""

import math

import pytest

from service.caches.versions import GHOST, TRUST_SECONDS, Ledger, Server, Table, Version, proves

RUN = "0123456789abcdef"


def test_a_version_says_little() -> None:
    assert Version(RUN, 42).text == "0123456789ab.42"


def test_nothing_is_known_at_first() -> None:
    table = Table()
    assert table.current("books", 0.0) is None
    assert table.last("books") is None
    assert table.raised("books") == math.inf


def test_trust_counts_from_the_question() -> None:
    table = Table()
    table.learn("books", Version(RUN, 1), 10.0, 10.9)
    assert table.current("books", 10.95) == "0123456789ab.1"
    assert table.current("books", 10.0 + TRUST_SECONDS) is None
    assert table.last("books") == "0123456789ab.1"


def test_the_greater_number_of_a_run_wins_in_whatever_order_answers_come() -> None:
    table = Table()
    table.learn("books", Version(RUN, 2), 10.0, 10.1)
    table.learn("books", Version(RUN, 1), 10.2, 10.3)
    assert table.current("books", 10.4) == "0123456789ab.2"
    table.learn("books", Version(RUN, 3), 9.9, 10.5)
    assert table.current("books", 10.6) == "0123456789ab.3"
    assert table.current("books", 11.0) is None


def test_another_run_is_believed_only_if_it_was_asked_for_later() -> None:
    table = Table()
    table.learn("books", Version(RUN, 2), 10.0, 10.2)
    table.learn("books", Version("another", 1), 10.1, 10.3)
    assert table.current("books", 10.3) is None
    table.learn("books", Version("another", 1), 10.4, 10.5)
    assert table.current("books", 10.5) == "another.1"


def test_what_is_distrusted_is_the_last_known() -> None:
    table = Table()
    table.distrust("books")
    table.learn("books", Version(RUN, 1), 10.0, 10.0)
    table.distrust("books")
    assert table.current("books", 10.0) is None
    assert table.last("books") == "0123456789ab.1"
    table.learn("books", Version(RUN, 1), 10.1, 10.2)
    assert table.current("books", 10.2) == "0123456789ab.1"


def test_a_table_knows_when_it_learned_of_a_change() -> None:
    table = Table()
    table.learn("books", Version(RUN, 1), 10.0, 10.1)
    table.learn("books", Version(RUN, 1), 20.0, 20.1)
    assert table.raised("books") == 10.1
    table.learn("books", Version(RUN, 2), 30.0, 30.1)
    assert table.raised("books") == 30.1


@pytest.mark.parametrize(
    ("known", "minimum", "is_proven"),
    [
        ("a.2", "a.2", True),
        ("a.10", "a.9", True),
        ("a.9", "a.10", False),
        ("b.10", "a.9", False),
        ("local-1.1", "local-1.1", True),
        ("local-1.1", "local-2.1", False),
        ("unknown", "a.1", False),
        ("a.1", "nonsense", False),
        ("a.1", "a.", False),
        ("a.1", "a.²", False),
        ("a.1", "a.-1", False),
        ("a.1", "", False),
    ],
)
def test_only_a_later_version_of_the_same_run_proves(known: str, minimum: str, is_proven: bool) -> None:  # noqa: FBT001  # a table's column
    assert proves(known, minimum) is is_proven


def test_seeing_what_a_pending_write_did_raises_the_version() -> None:
    server = Server(RUN, 5_000_000)
    quiet = Ledger().refresh(server).commit(server, GHOST)
    assert quiet.settle(server) == quiet
    pending = quiet.begin(server, "token")
    assert pending.settle(server).n == pending.n + 1
