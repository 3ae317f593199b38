"""What the tests of ingest share."""

import pytest
from tokenizers import Tokenizer

from service.embedders.builtin import read_builtin
from service.stores.memory import MemoryStore
from tests.unit.ingest.fakes import CountingEmbedder, Imports


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """The built-in model's own."""
    return read_builtin().tokenizer


@pytest.fixture
def imports(tokenizer: Tokenizer) -> Imports:
    return Imports(MemoryStore(), CountingEmbedder(tokenizer))
