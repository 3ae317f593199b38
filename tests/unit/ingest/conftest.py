"""What the tests of ingest share."""

import pytest
from tokenizers import Tokenizer

from service.embedders.builtin import read_builtin


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """The built-in model's own."""
    return read_builtin().tokenizer
