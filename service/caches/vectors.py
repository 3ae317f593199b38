"""Embeddings as the caches keep them: two bytes a dimension, the same numbers whether computed now or found."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from service.embedders.base import Vectors

HALF: Final = np.dtype("<f2")
SMALLEST_LENGTH: Final = 1e-9
"""A vector of zeros stays one."""

Vector = NDArray[np.float32]
"""Shape (dimensions,), of length 1."""


def rounded(vectors: Vectors) -> Vectors:
    """Return what the model computed as a cached copy would give it back, to the last bit."""
    return _of_length_one(vectors.astype(HALF))


def to_bytes(vector: Vector) -> bytes:
    """Return float16 in little endian, two bytes a dimension."""
    return vector.astype(HALF).tobytes()


def from_bytes(data: bytes, dimensions: int) -> Vector:
    """Return the vector; raises ValueError where the bytes are of another number of dimensions."""
    if len(data) != dimensions * HALF.itemsize:
        raise ValueError(f"{len(data)} bytes are no vector of {dimensions} dimensions")
    return _of_length_one(np.frombuffer(data, HALF))


def _of_length_one(halves: NDArray[np.float16]) -> NDArray[np.float32]:
    # The squares of float16 and their sum fit into float64 without rounding (multiples of 2^-48 up to about 1), so the
    # order of summing, and with it the shape and the processor, changes no bit.
    wide = halves.astype(np.float64)
    lengths = np.sqrt(np.square(wide).sum(axis=-1, keepdims=True))
    unit: NDArray[np.float32] = (wide / np.maximum(lengths, SMALLEST_LENGTH)).astype(np.float32)
    return unit
