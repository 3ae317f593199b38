"""A text is a key only if it is the very one that was made."""

from hypothesis import given
from hypothesis import strategies as st

from service.access.keys import create_key, key_of

KEY, TEXT = create_key("acme", ("search", "write"))
KEYS = {KEY.id: KEY}


def test_a_key_is_known_again_by_its_text() -> None:
    assert key_of(TEXT, KEYS) == KEY


def test_what_is_kept_does_not_hold_the_secret() -> None:
    secret = TEXT.rpartition("_")[2]
    assert len(secret) == 48
    assert secret not in repr(KEY)


def test_no_two_keys_are_alike_and_taken_ids_are_not_given_again() -> None:
    made = [create_key("acme", ("search",), KEYS) for _ in range(50)]
    assert len({key.id for key, _ in made}) == len({text for _, text in made}) == 50
    assert KEY.id not in {key.id for key, _ in made}


@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_a_text_with_one_character_changed_is_none(place: int, character: str) -> None:
    changed = TEXT[:place] + character + TEXT[place + 1 :]
    assert (key_of(changed, KEYS) is None) == (changed != TEXT)


@given(st.text())
def test_any_other_text_is_none(text: str) -> None:
    for one in (text, f"rk_{text}", f"rk_{KEY.id}_{text}", TEXT + text[:1], TEXT[: len(text)], f"rk__{text}"):
        assert key_of(one, KEYS) is None or one == TEXT


def test_the_hash_itself_opens_nothing() -> None:
    assert key_of(KEY.sha256, KEYS) is None
    assert key_of(f"rk_{KEY.id}_{KEY.sha256}", KEYS) is None
