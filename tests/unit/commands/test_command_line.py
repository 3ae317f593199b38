import subprocess
import sys
from pathlib import Path

import pytest

from service.__main__ import COMMANDS

ROOT = Path(__file__).parents[3]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"COLUMNS": "200", **environment},
    )


def test_help_lists_every_command_and_loads_none_of_them() -> None:
    code = (
        "import sys; from service.__main__ import cli; cli(['--help'], standalone_mode=False); "
        "print(sorted({'httpx', 'numpy', 'onnxruntime', 'litestar', 'asyncio'} & sys.modules.keys()))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert [name for name in COMMANDS if name not in printed] == []
    assert printed.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_answers_help(name: str) -> None:
    answered = run(name, "--help")
    assert answered.returncode == 0, answered.stderr
    assert f"retrieval {name}" in answered.stdout


def test_a_client_command_loads_neither_model_nor_server() -> None:
    code = (
        "import sys; import service.commands.search, service.commands.ingest, service.commands.evaluate; "
        "print(sorted({'numpy', 'onnxruntime', 'litestar', 'granian', 'qdrant_edge'} & sys.modules.keys()))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert printed.strip() == "[]"


def test_the_version_is_told() -> None:
    assert "0." in run("--version").stdout


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "127.0.0.1:1", "http://exa mple", "ftp://127.0.0.1"])
def test_where_nothing_answers_it_says_what_to_start(url: str) -> None:
    for options in (["--url", url], []):
        answered = run("search", "tea", *options, RETRIEVAL_CLIENT_URL=url)
        assert answered.returncode == 2
        assert "retrieval serve" in answered.stderr
        assert "make serve" in answered.stderr
        assert "Traceback" not in answered.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "tea", "--filter", "{no json"),
        ("search", "tea", "--filter", "[1]"),
        ("search", "tea", "--limit", "51"),
        ("search", "tea", "--faq", "--mode", "vector"),
        ("ingest", "nowhere", "--collection", "x"),
        ("ingest", "Makefile", "--collection", "x"),
        ("ingest", "docs", "--collection", "x", "--group-by", "y"),
        ("ingest", "docs", "--collection", "x", "--faq"),
        ("ingest", "docs", "--collection", "x", "--question", "y"),
        ("evaluate", "Makefile", "--collection", "x"),
        ("nonsense",),
    ],
)
def test_wrong_usage_is_explained_and_exits_with_2(arguments: tuple[str, ...]) -> None:
    answered = run(*arguments)
    assert answered.returncode == 2, answered.stderr
    assert "Error" in answered.stderr
    assert "Traceback" not in answered.stderr
