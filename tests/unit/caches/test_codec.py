"""What Redis keeps: it comes back as it was, or not at all."""

import pickle
import zlib
from hashlib import sha256
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from service.caches.base import Cached
from service.caches.codec import (
    BODY,
    COMPRESSED,
    DICTIONARY,
    FIELDS,
    HEAD,
    LARGEST_VALUE,
    MAGIC,
    PLAIN,
    SEEDS,
    START,
    decode,
    encode,
    is_of_another_release,
    owner_in,
)

SAMPLE = Cached(value=b'{"hits":[]}' * 9, version="f00d.12", epoch=7, owner="ab" * 16, stored=1.5e9, ttl_seconds=600.0)
SHORT = st.text(max_size=40)
CACHED = st.builds(
    Cached,
    value=st.binary(max_size=3000),
    version=SHORT,
    epoch=st.integers(0, 2**64 - 1),
    owner=SHORT,
    stored=st.floats(0, 1e11),
    ttl_seconds=st.integers(0, 2**32 - 1).map(lambda milliseconds: milliseconds / 1000),
)


def forged(layout: int, body: bytes, *, seed: int | None = None) -> bytes:
    """What somebody writes who knows the checksum."""
    return START.pack(MAGIC, layout, zlib.crc32(body, SEEDS[layout] if seed is None else seed)) + body


def fields(*, version_bytes: int = 0, owner_bytes: int = 0, stored: float = 1.0) -> bytes:
    return FIELDS.pack(0, stored, 1000, version_bytes, owner_bytes)


@given(CACHED, st.booleans())
def test_a_value_comes_back_as_it_was(cached: Cached, compress: bool) -> None:  # noqa: FBT001  # drawn
    found = decode(encode(cached, compress=compress))
    assert found
    assert abs(found.ttl_seconds - cached.ttl_seconds) <= 0.001
    expected = (cached.value, cached.version, cached.epoch, cached.owner, cached.stored)
    assert (found.value, found.version, found.epoch, found.owner, found.stored) == expected


@pytest.mark.parametrize(("given", "kept"), [(0.0015, 0.001), (1e9, 4294967.295), (-1.0, 0.0)])
def test_a_time_to_live_is_never_longer_than_it_was_nor_than_there_is_room_for(given: float, kept: float) -> None:
    found = decode(encode(Cached(value=b"", stored=1, ttl_seconds=given), compress=False))
    assert found
    assert found.ttl_seconds == kept


@pytest.mark.parametrize("compress", [False, True])
def test_every_flipped_bit_is_noticed(compress: bool) -> None:  # noqa: FBT001  # a case
    data = encode(SAMPLE, compress=compress)
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            assert decode(bytes(flipped)) is None


@pytest.mark.parametrize("compress", [False, True])
def test_what_is_cut_or_longer_is_noticed(compress: bool) -> None:  # noqa: FBT001  # a case
    data = encode(SAMPLE, compress=compress)
    assert all(decode(data[:length]) is None for length in range(len(data)))
    assert decode(data + b"\0") is None
    assert decode(data + data) is None


@given(st.binary(max_size=200))
def test_foreign_bytes_are_no_value(data: bytes) -> None:
    assert decode(data) is None


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.file,)


def test_a_pickle_is_no_value_and_runs_nothing(tmp_path: Path) -> None:
    file = tmp_path / "ran"
    data = pickle.dumps(Bomb(file))
    assert decode(data) is None
    for layout in (PLAIN, COMPRESSED):
        decode(forged(layout, data))
        decode(forged(layout, fields() + data))
    assert not file.exists()
    pickle.loads(data)  # noqa: S301  # shows that it would have
    assert file.exists()


@pytest.mark.parametrize(
    "body",
    [
        fields(version_bytes=9),
        fields(version_bytes=3, owner_bytes=3) + b"abcde",
        fields(version_bytes=2) + b"\xff\xff",
        fields(owner_bytes=2) + b"\xff\xff",
        fields(stored=float("nan")),
        fields(stored=float("inf")),
    ],
)
def test_a_forged_header_is_a_miss(body: bytes) -> None:
    assert decode(forged(PLAIN, body)) is None


def test_a_bomb_is_refused_before_it_takes_memory() -> None:
    bomb = zstandard.ZstdCompressor(write_content_size=True).compress(bytes(LARGEST_VALUE + 1))
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(100))
    liar = bytearray(zstandard.ZstdCompressor(write_content_size=True).compress(bytes(70_000)))
    liar[5:9] = (LARGEST_VALUE - 1).to_bytes(4, "little")
    for frame in (bomb, unsized, bytes(liar), b"", b"no frame"):
        assert decode(forged(COMPRESSED, fields() + frame)) is None


def test_a_frame_with_more_behind_it_is_a_miss() -> None:
    data = encode(Cached(value=b"x" * 100, stored=1, ttl_seconds=1), compress=True)
    assert decode(forged(COMPRESSED, data[START.size :]))
    assert decode(forged(COMPRESSED, data[START.size :] + b"\0")) is None


def test_what_another_dictionary_compressed_is_a_miss() -> None:
    assert SEEDS[COMPRESSED] == zlib.crc32(DICTIONARY) != SEEDS[PLAIN]
    body = encode(SAMPLE, compress=True)[START.size :]
    assert decode(forged(COMPRESSED, body, seed=zlib.crc32(b"another dictionary"))) is None


def test_an_embedding_costs_thirty_bytes_beside_its_numbers_at_most() -> None:
    assert len(encode(Cached(value=bytes(768), stored=1.5e9, ttl_seconds=3600.5), compress=False)) - 768 == BODY <= 30


def test_a_result_shrinks_by_more_than_half() -> None:
    hit = '{"id":"8db90f03-db44-5577-9c3b-ee0c1fb81%d","document_id":"pep-%d","title":"Backing up","text":"Our records '
    hit += 'of what was changed have been kept since they could be found again by subject number %d, as it was usual",'
    hit += '"position":%d,"score":0.9%d,"vector_score":0.5%d,"keyword_score":null,"metadata":{}}'
    hits = ",".join(hit % ((number * 37,) * 6) for number in range(10))
    value = f'{{"collection":"documents","version":"x","mode":"hybrid","degraded":[],"hits":[{hits}]}}'.encode()
    assert len(encode(Cached(value=value, stored=1, ttl_seconds=1), compress=True)) < 0.5 * len(value)


def test_a_version_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="255 bytes"):
        encode(Cached(value=b"", version="v" * 256, stored=1, ttl_seconds=1), compress=False)


def test_the_layout_is_that_of_the_releases_before() -> None:
    """Where this fails, two releases on one Redis misread each other: give PLAIN and COMPRESSED new numbers."""
    assert encode(SAMPLE, compress=False)[:BODY].hex() == "c37210117dcc950700000000000000000000c00b5ad641c02709000720"
    assert sha256(DICTIONARY).hexdigest() == "5bb4c603efbcb8f26d6a9f1df08a8fd6359b4be89c25f6297b40e2c30cfe46fc"


@pytest.mark.parametrize("compress", [True, False])
def test_the_owner_is_read_from_the_head_alone(compress: bool) -> None:  # noqa: FBT001  # a case
    cached = Cached(value=b"x" * 5000, version="v" * 255, owner="o" * 255, stored=1.0, ttl_seconds=1.0)
    data = encode(cached, compress=compress)
    assert owner_in(data[:HEAD]) == cached.owner
    assert [owner_in(foreign) for foreign in (b"", b"short", b"\x80\x04" + b"." * 100)] == ["", "", ""]


def test_a_format_of_another_release_is_told_from_rubbish() -> None:
    data = encode(Cached(value=b"x", stored=1.0, ttl_seconds=1.0), compress=False)
    assert is_of_another_release(data[:2] + b"\x77" + data[3:])
    assert not any(is_of_another_release(other) for other in (data, b"", b"\xc3r", b"\x80\x04rubbish"))
