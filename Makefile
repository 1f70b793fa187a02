# Two commands do everything on a machine with Python 3.11+ and make: `make reproduce` and `make test`.
# Each makes its own virtual environment in .venv, with the versions that constraints.txt pins, and keeps it until
# pyproject.toml or constraints.txt changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SCALE ?= cpu
OUT ?= results
# what `make bench` measures: ids or families, such as BENCH=transport; everything if empty
BENCH ?=

# what pins the versions; `make CONSTRAINTS=` takes the newest that pyproject.toml allows
CONSTRAINTS ?= constraints.txt
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) --editable
# kernels of OpenBLAS under which the numerically delicate tests must hold; those this processor cannot run are skipped
KERNELS ?= Haswell SkylakeX

.PHONY: reproduce verify bench test lint types floors doctest unit slow delicate docs lock clean

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

delicate: $(VENV)/.installed-test
	$(BIN)/python tests/delicate.py $(KERNELS)

docs: $(VENV)/.installed-docs
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html
	@echo docs/_build/html/index.html

# resolve pyproject.toml anew, for every Python from 3.11 on and every platform at once, into constraints.txt
lock: $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/python -m uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade --quiet \
		--extra reproduce --extra test --extra docs --extra peers --extra theory --extra distributed --extra parquet \
		--no-annotate --custom-compile-command "make lock" --output-file constraints.txt

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "optlab needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.x $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(INSTALL) '.[reproduce]'
	@touch $@

$(VENV)/.installed-test: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(INSTALL) '.[reproduce,test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-peers: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(INSTALL) '.[reproduce,peers]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-docs: pyproject.toml $(CONSTRAINTS) | $(VENV)/bin/python
	$(INSTALL) '.[reproduce,docs]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) results docs/_build docs/auto_examples docs/api/generated docs/api/_*.rst
