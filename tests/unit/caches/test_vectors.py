"""Embeddings there and back: half the bytes, the same numbers every time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.caches.vectors import from_bytes, rounded, to_bytes
from service.embedders.base import Vectors

COMPONENTS = st.floats(-1, 1, width=32)
MATRICES = st.tuples(st.integers(0, 5), st.integers(1, 400)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=COMPONENTS)
)


@given(MATRICES)
def test_what_is_found_equals_what_is_computed_to_the_last_bit(vectors: Vectors) -> None:
    computed = rounded(vectors)
    assert computed.dtype == np.float32
    assert computed.shape == vectors.shape
    for vector, row in zip(vectors, computed, strict=True):
        assert from_bytes(to_bytes(vector), len(vector)).tobytes() == row.tobytes()


def test_vectors_keep_their_length_and_their_direction() -> None:
    vectors = np.random.default_rng(3).standard_normal((200, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = rounded(vectors)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert (found * vectors).sum(axis=1).min() > 1 - 1e-6


def test_a_dimension_takes_two_bytes_and_the_other_order_of_bytes_is_not_used() -> None:
    assert to_bytes(np.array([1, 0, -0.5], np.float32)) == bytes.fromhex("003c 0000 00b8")


def test_a_vector_of_zeros_stays_one() -> None:
    assert from_bytes(bytes(8), 4).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("length", [0, 1, 767, 769, 1536])
def test_bytes_of_another_length_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match="are no vector of 384 dimensions"):
        from_bytes(bytes(length), 384)
