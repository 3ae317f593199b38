# Each target sets up what it needs, once: a fresh machine needs Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip
UV_VERSION := 0.13.8
SOURCES := service tests scripts loadtests charts
CI ?=

.PHONY: demo serve test servers check bench load lock clean

demo: $(VENV)/.core ## Start the service on temporary data, import its own documentation, search it
	$(BIN)/retrieval demo

serve: $(VENV)/.core ## Run the service on 127.0.0.1:8000, data in ./data
	$(BIN)/retrieval serve

test: servers ## Run all tests
	$(BIN)/pytest $(ARGUMENTS)

servers: $(VENV)/.dev ## Install the servers and tools that tests need beside Python, where they are missing
	$(BIN)/python -m tests.tools.install

check: $(VENV)/.dev ## Lint, format, types, architecture
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/pytest -q tests/unit/test_architecture.py

bench: servers ## Measure, side by side in one run; BENCH=name for one part, --help for their names
	$(BIN)/python -m scripts.bench $(BENCH)

load: $(VENV)/.dev ## A hundred users for five minutes; ARGUMENTS="--host URL --peak 200 --stretch 0.1" are Locust's
	$(BIN)/python -m loadtests $(ARGUMENTS)

lock: $(VENV)/.uv ## Resolve the locked requirements anew
	$(UV) compile -q pyproject.toml --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 $(UPGRADE) -o requirements.lock
	$(UV) compile -q pyproject.toml --extra sentence-transformers --group dev -c requirements.lock \
		--generate-hashes --no-emit-index-url --no-header --python-version 3.11 $(UPGRADE) -o requirements-dev.lock
	echo hatchling | $(UV) compile -q - --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 $(UPGRADE) -o requirements-build.lock

clean: ## Remove what the other targets made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	touch $@

$(VENV)/.core: $(VENV)/.uv requirements.lock pyproject.toml
	$(UV) install -q --require-hashes -r requirements.lock
	$(UV) install -q --no-deps -e .
	touch $@

$(VENV)/.dev: $(VENV)/.uv requirements-dev.lock pyproject.toml
	$(UV) install -q --require-hashes -r requirements-dev.lock
	$(UV) install -q --no-deps -e .
	touch $@ $(VENV)/.core
