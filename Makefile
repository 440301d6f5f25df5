# The menu. Every target does its own set-up; nothing else needs to be installed by hand.
PYTHON ?= python3.11
KEEP ?=
L ?= ingest,windows
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo up down test test-unit check bench lock golden-update clean

help:  ## this list
	@echo "Sagestream: two commands to know are 'make demo' and 'make test'."
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

setup: .venv/.ready .venv-flink/.ready  ## both Python environments (the rest is fetched by the first 'up')

demo: setup  ## the whole main job on real events; KEEP=1 leaves the platform running
	$(BIN)/sagestream demo $(if $(KEEP),--keep)

up: setup  ## start the platform on this machine
	$(BIN)/sagestream up

down:  ## stop what 'up' started
	$(BIN)/sagestream down

test: setup  ## every test, the integration tests on the real components included
	$(BIN)/python -m pytest

test-unit: .venv/.ready  ## the tests that need nothing running (seconds)
	$(BIN)/python -m pytest tests/unit tests/architecture

check: .venv/.ready  ## lint, format, types, import arrows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --config pyproject.toml

bench: setup  ## measure against peers: make bench L=ingest,windows
	$(BIN)/python -m bench --workloads $(L)

golden-update: .venv/.ready  ## rewrite the golden files after a deliberate change of a wire form
	$(BIN)/python -m tests.golden.update

lock: .venv/.ready  ## resolve the lock files again
	$(BIN)/uv pip compile -q --upgrade --no-header --no-annotate --generate-hashes -p 3.11 pyproject.toml --all-extras -o locks/platform.txt
	$(BIN)/uv pip compile -q --upgrade --no-header --no-annotate --generate-hashes -p 3.11 locks/flink.in -o locks/flink.txt
	$(BIN)/python -m infra.local.artifacts lock

clean:  ## remove environments and all local data (asks 'down' first)
	-$(BIN)/sagestream down
	rm -rf .venv .venv-flink .sagestream .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/.ready: locks/platform.txt locks/bootstrap.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 was not found as '$(PYTHON)'. Install it, or name it: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r locks/bootstrap.txt
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --no-deps -r locks/platform.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

.venv-flink/.ready: locks/flink.txt .venv/.ready
	$(PYTHON) -m venv .venv-flink
	$(BIN)/uv pip install --python .venv-flink/bin/python --require-hashes --no-deps -r locks/flink.txt
	@touch $@
