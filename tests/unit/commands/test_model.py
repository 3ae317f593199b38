"""`retrieval model` as a user types it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from service.commands.model import model
from service.embedders.compiled import MODEL, CompiledCard, write_card


@pytest.fixture
def unusable_folder(tmp_path: Path) -> Path:
    """A compiled model whose weights are another file than its card says."""
    folder = tmp_path / "models" / "broken"
    folder.mkdir(parents=True)
    card = CompiledCard(
        name="broken",
        dimensions=384,
        window=256,
        pooling="mean",
        query_prefix="",
        passage_prefix="",
        padding_id=0,
        model_sha256="0" * 64,
        tokenizer_sha256="0" * 64,
        cosine_minimum=1,
        cosine_mean=1,
    )
    write_card(folder, card)
    (folder / MODEL).write_bytes(b"other weights")
    return folder


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(model, arguments, env={"COLUMNS": "200"})
    return result.exit_code, result.output


def test_list_shows_the_built_in_model_as_verified(tmp_path: Path) -> None:
    code, output = run("list", "--data-dir", str(tmp_path))
    assert code == 0
    row = next(line for line in output.splitlines() if "all-MiniLM-L6-v2" in line)
    assert row.split() == ["all-MiniLM-L6-v2", "onnx", "384", "256", "8199be6f699a395f", "verified"]


def test_list_finds_models_in_the_data_directory_and_says_what_is_wrong_with_them(
    tmp_path: Path, unusable_folder: Path
) -> None:
    code, output = run("list", "--data-dir", str(tmp_path))
    assert code == 0
    assert f"{unusable_folder}" in output
    assert "unusable" in output
    assert f"{unusable_folder / MODEL} is damaged or another file" in output


def test_list_takes_folders(tmp_path: Path) -> None:
    code, output = run("list", "--data-dir", str(tmp_path), str(tmp_path))
    assert code == 0
    assert f"{tmp_path} is not a model that `retrieval model compile` wrote" in output


def test_compile_refuses_a_folder_that_is_in_use(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("here before")
    code, output = run("compile", "all-MiniLM-L6-v2", "--output", str(tmp_path))
    assert code == 1
    assert f"{tmp_path} exists already and is not an empty folder." in output
