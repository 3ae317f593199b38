"""A folder as `retrieval model compile` writes it, without torch: around the built-in model's weights."""

import hashlib
from pathlib import Path

import pytest

from service.embedders.builtin import read_builtin
from service.embedders.compiled import MODEL, TOKENIZER, CompiledCard, write_card


@pytest.fixture
def compiled_folder(tmp_path: Path) -> Path:
    files = read_builtin()
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    tokenizer = files.tokenizer.to_str().encode()
    (folder / MODEL).write_bytes(files.weights)
    (folder / TOKENIZER).write_bytes(tokenizer)
    card = CompiledCard(
        name="mine",
        dimensions=384,
        window=256,
        pooling="mean",
        query_prefix="query: ",
        passage_prefix="passage: ",
        padding_id=0,
        model_sha256=hashlib.sha256(files.weights).hexdigest(),
        tokenizer_sha256=hashlib.sha256(tokenizer).hexdigest(),
        cosine_minimum=0.98,
        cosine_mean=0.995,
    )
    write_card(folder, card)
    return folder
