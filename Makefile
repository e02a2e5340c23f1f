# demo and test set everything up themselves; all of it lives in .venv. Quick the second time.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SHELL := /bin/bash

.PHONY: demo test quick fix docs serve bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    train on bundled photos, deploy, predict photos it has not seen (a few minutes)"
	@echo "make test    everything CI checks: style, types, arrows, all tests with the real clients"
	@echo "make quick   style, types, arrows and the fast tests (about a minute)"
	@echo "make serve   start the server in the foreground"
	@echo "make fix     format and mend style"
	@echo "make docs    write the generated reference pages"
	@echo "make bench   measure against the peers (ONLY=name for one), write docs/results.md"

$(READY): pyproject.toml setup.py constraints.txt $(wildcard src/darkroom/*/*.[ch] src/darkroom/*/*/*.[ch])
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and was not found"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (once; a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)
	@$(BIN)/python examples/demo.py

test: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest

quick: $(READY)
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports
	@$(BIN)/python -m pytest -q --numprocesses auto --dist loadfile -m "not clients and not slow"

fix: $(READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: $(READY)
	@$(BIN)/python -m darkroom.services.reference > docs/reference/operations.md
	@$(BIN)/python -m darkroom.algorithm.hyperparameters > docs/reference/hyperparameters.md
	@$(BIN)/python -m darkroom.settings > docs/reference/settings.md
	@$(BIN)/python -m darkroom.compiler.options > docs/reference/compiler-options.md

serve: $(READY)
	@$(BIN)/darkroom up --foreground

bench: $(READY)
	@$(BIN)/python -m benchmarks $(ONLY)

clean:
	rm -rf $(VENV)
