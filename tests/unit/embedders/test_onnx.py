"""Loading models for onnxruntime: what is taken, and what is refused with which words."""

from pathlib import Path

import numpy as np
import pytest

from service.embedders.compiled import CARD, MODEL, TOKENIZER
from service.embedders.onnx import load_onnx_model
from service.errors import ModelUnavailable


def test_a_compiled_folder_gives_the_vectors_of_its_weights(compiled_folder: Path) -> None:
    texts = ["a text", "a longer text to be padded to"]
    compiled = load_onnx_model(str(compiled_folder)).encode(texts)
    np.testing.assert_allclose(compiled, load_onnx_model("all-MiniLM-L6-v2").encode(texts), atol=1e-5)


def test_the_built_in_model_goes_by_its_full_name_too() -> None:
    name = "sentence-transformers/all-MiniLM-L6-v2"
    assert load_onnx_model(name).card == load_onnx_model("all-MiniLM-L6-v2").card


def test_given_prefixes_replace_the_models_own(compiled_folder: Path) -> None:
    own = load_onnx_model(str(compiled_folder)).card
    given = load_onnx_model(str(compiled_folder), query_prefix="", passage_prefix="text: ").card
    assert (own.query_prefix, own.passage_prefix) == ("query: ", "passage: ")
    assert (given.query_prefix, given.passage_prefix) == ("", "text: ")
    assert own.fingerprint != given.fingerprint


@pytest.mark.parametrize("name", [MODEL, TOKENIZER])
def test_a_changed_file_is_refused(compiled_folder: Path, name: str) -> None:
    content = (compiled_folder / name).read_bytes()
    (compiled_folder / name).write_bytes(content + b" ")
    with pytest.raises(ModelUnavailable, match=f"{name} is damaged or another file"):
        load_onnx_model(str(compiled_folder))


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="not a model that `retrieval model compile` wrote"):
        load_onnx_model(str(tmp_path))


@pytest.mark.parametrize("card", [b"", b"[]", b'{"format": 2}', b"\xff"])
def test_a_card_that_says_something_else_is_refused(compiled_folder: Path, card: bytes) -> None:
    (compiled_folder / CARD).write_bytes(card)
    with pytest.raises(ModelUnavailable, match=r"card.json cannot be read"):
        load_onnx_model(str(compiled_folder))


def test_a_card_with_the_wrong_dimensions_is_refused(compiled_folder: Path) -> None:
    card = (compiled_folder / CARD).read_text()
    (compiled_folder / CARD).write_text(card.replace("384", "768"))
    with pytest.raises(ModelUnavailable, match="does not run"):
        load_onnx_model(str(compiled_folder))


def test_weights_that_are_no_graph_are_refused(compiled_folder: Path) -> None:
    card = (compiled_folder / CARD).read_text()
    hash_of_nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    old_hash = card.partition('"model_sha256": "')[2].partition('"')[0]
    (compiled_folder / CARD).write_text(card.replace(old_hash, hash_of_nothing))
    (compiled_folder / MODEL).write_bytes(b"")
    with pytest.raises(ModelUnavailable, match="onnxruntime cannot open"):
        load_onnx_model(str(compiled_folder))


def test_a_name_that_is_not_known_is_told_what_there_is() -> None:
    with pytest.raises(ModelUnavailable, match="takes all-MiniLM-L6-v2 or a folder"):
        load_onnx_model("BAAI/bge-small-en")
