# Two commands do everything on a machine with Python 3.11+ and make: `make reproduce` and `make test`.
# Each makes its own virtual environment in .venv and keeps it until pyproject.toml changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCALE ?= cpu
OUT ?= results
# what `make bench` measures: ids or families, such as BENCH=transport; everything if empty
BENCH ?=

.PHONY: reproduce verify bench test lint types floors doctest unit slow docs clean

reproduce: $(VENV)/.installed
	$(BIN)/optlab reproduce --scale $(SCALE) --out $(OUT)

verify: $(VENV)/.installed
	$(BIN)/optlab verify --scale $(SCALE) --out $(OUT)

bench: $(VENV)/.installed-peers
	$(BIN)/optlab bench $(BENCH) --scale $(SCALE) --out $(OUT)

test: lint types floors doctest unit

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

floors: $(VENV)/.installed-test
	$(BIN)/lint-imports

doctest: $(VENV)/.installed-test
	$(BIN)/python -m pytest --doctest-modules optlab -n auto

unit: $(VENV)/.installed-test
	$(BIN)/python -m pytest tests -n auto

slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest tests -m slow

docs: $(VENV)/.installed-docs
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html
	@echo docs/_build/html/index.html

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "optlab needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.x $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-peers: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[peers]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) results docs/_build docs/auto_examples docs/api/generated docs/api/_*.rst
