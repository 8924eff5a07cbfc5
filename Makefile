# One command each to install, show, test, check, measure and release.
# Everything runs from .venv, which make builds from the hash locks when it is missing or older than they are.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3.11
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install -qq --no-input --require-virtualenv

.PHONY: help
help: ## say what there is
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "make %-10s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: venv
venv: .venv/.installed ## make or renew .venv from the hash locks

# In two steps, because durable-rules has no wheel and a build that pip isolates would fetch unpinned tools:
# first the build tools, then the rest with them. Every archive is checked against its hash.
.venv/.locked: requirements-build.txt requirements-dev.txt
	$(PYTHON) -m venv --clear .venv
	$(INSTALL) --require-hashes --only-binary :all: -r requirements-build.txt
	$(INSTALL) --require-hashes --no-build-isolation -r requirements-dev.txt
	touch $@

.venv/.installed: .venv/.locked pyproject.toml
	$(INSTALL) --no-deps --no-build-isolation --editable .
	$(PIP) check
	touch $@

.PHONY: demo
demo: venv ## show what it does
	$(BIN)/mscprotocol demo

.PHONY: test
test: venv ## run the tests
	scripts/test-extras
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: check
check: venv ## format, lint, types, layers, rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/mscprotocol rules check

.PHONY: bench
bench: venv ## measure
	$(BIN)/python bench/bench.py
	$(BIN)/python bench/doors.py
	$(BIN)/python bench/screening.py

.PHONY: assurance
assurance: venv ## prove: mutants of the rules, the engine against the oracle, refinement and order
	$(BIN)/python assurance/mutation.py
	$(BIN)/python assurance/agreement.py
	$(BIN)/python assurance/invariance.py

.PHONY: format
format: venv ## put the code in shape
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# Keeps what is pinned unless pyproject.toml says otherwise; `make lock UPGRADE=1` takes the newest of all.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

.PHONY: lock
lock: venv ## make the hash locks again from pyproject.toml (UPGRADE=1: newest of all)
	$(LOCK) $(if $(UPGRADE),--upgrade) --extra pdf --extra postgresql --group dev --output-file requirements-dev.txt pyproject.toml
	$(LOCK) --upgrade --constraint requirements-dev.txt --extra pdf --extra postgresql --output-file requirements.txt pyproject.toml
	$(LOCK) --upgrade --constraint requirements-dev.txt --extra spark --output-file requirements-spark.txt pyproject.toml
	$(LOCK) --upgrade --constraint requirements-dev.txt --group build --output-file requirements-build.txt

.PHONY: wheel
wheel: venv ## build the sdist, and from it the wheel, into dist/
	$(BIN)/python -m build --no-isolation

.PHONY: clean
clean: ## remove .venv and everything else that was made
	rm -rf .venv dist build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -path ./.git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

.PHONY: docs
docs: venv ## write what follows from the code: modules, README's session
	$(BIN)/python scripts/write_docs.py
