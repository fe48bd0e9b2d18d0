# Everything runs in the project's own environment, with the versions of constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STUDY_DIR ?= runs/quick

.PHONY: study test test-all lint format bench clean

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "zipthought needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

study: $(VENV)/.installed  ## the main job: the quick study, to an HTML report
	$(BIN)/zipthought study run quick --output-dir $(STUDY_DIR)

test: $(VENV)/.installed  ## the default suite: no network, minutes
	$(BIN)/pytest -m "not slow and not integration"

test-all: $(VENV)/.installed
	$(BIN)/pytest

lint: $(VENV)/.installed  ## what pre-commit runs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/generate.py
	$(BIN)/python benchmarks/verify.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
