"""The house: imports point one way, and each library has one home."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "service"

LAYERS = [
    {"models", "errors", "settings"},
    {"telemetry", "stages", "logs", "timings", "machine"},
    {"resilience", "access"},
    {"stores", "embedders", "caches"},
    {"search", "ingest"},
    {"wiring"},
    {"routes"},
    {"app"},
    {"commands"},
    {"__main__"},
]
HOMES = {
    "Stemmer": ("stores/weaviate/",),
    "hiredis": ("caches/redis/",),
    "granian": ("commands/serve.py",),
    "google": ("stores/weaviate/",),
    "grpc": ("stores/weaviate/",),
    "httpx": ("commands/", "stores/weaviate/"),
    "litestar": ("app.py", "routes/"),
    "mammoth": ("ingest/",),
    "markdownify": ("ingest/",),
    "onnx": ("embedders/",),
    "onnxruntime": ("embedders/onnx.py",),
    "opentelemetry": ("telemetry.py",),
    "prometheus_client": ("telemetry.py",),
    "pypdf": ("ingest/",),
    "qdrant_edge": ("stores/embedded",),
    "redis": ("caches/redis/",),
    "rich": ("commands/",),
    "rich_click": ("commands/", "__main__.py"),
    "semantic_text_splitter": ("ingest/",),
    "sentence_transformers": ("embedders/sentence_transformers.py",),
    "sqlite3": ("stores/embedded",),
    "torch": ("embedders/",),
    "weaviate": ("stores/weaviate/",),
    "zstandard": ("caches/codec.py",),
}
FOLDERS_WITH_A_FACE = ("caches/redis", "ingest/chunking", "stores/embedded", "stores/filters", "stores/weaviate")
"""What their `__init__.py` names is for everybody; the modules beside it are theirs alone."""
FILES = sorted(PACKAGE.rglob("*.py"))


def imports_of(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            if node.module == "service":
                yield from (f"service.{alias.name}" for alias in node.names)


def layer_of(part: str) -> int:
    return next(number for number, layer in enumerate(LAYERS) if part in layer)


def own_part(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_one_way(file: Path) -> None:
    if own_part(file) == "__init__":
        return
    for name in imports_of(file):
        top, _, rest = name.partition(".")
        part = rest.partition(".")[0]
        if top == "service" and part and part != "__version__":
            assert layer_of(part) < layer_of(own_part(file)) or part in LAYERS[layer_of(own_part(file))], (
                f"{file.name} imports {name} from a layer above its own"
            )


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_each_library_has_one_home(file: Path) -> None:
    place = str(file.relative_to(PACKAGE))
    for name in imports_of(file):
        homes = HOMES.get(name.partition(".")[0])
        assert homes is None or place.startswith(homes), f"{place} imports {name}, whose home is {homes}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_inside_of_a_folder_is_its_own(file: Path) -> None:
    place = str(file.relative_to(PACKAGE))
    for name in imports_of(file):
        for folder in FOLDERS_WITH_A_FACE:
            is_inside = name.startswith(f"service.{folder.replace('/', '.')}.")
            assert not is_inside or place.startswith(folder), f"{place} imports {name} past its folder's __init__.py"


def test_every_part_of_the_package_has_a_layer() -> None:
    parts = {own_part(file) for file in FILES} - {"__init__"}
    assert parts <= set().union(*LAYERS)
