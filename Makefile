# Everything runs from .venv, made from the locked dependencies; nothing here changes the system
# except `make test` and `make rehearsal`, which install missing system packages (podman, mmdebstrap, chromium, ...).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
BIN := .venv/bin
# Where bytecode isn't kept each process compiles the plugin's 200 modules anew, and pytest rewrites their asserts: seconds.
export PYTHONDONTWRITEBYTECODE :=
GATE := $(BIN)/pytest scenarios/ --bg-install-packages

.DEFAULT_GOAL := help
.PHONY: help check test rehearsal nightly mutants bench lock format setup clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.venv/.locked: requirements/dev.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

.venv/.installed: .venv/.locked pyproject.toml
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

setup: .venv/.installed ## the Python environment in .venv/

check: .venv/.installed ## lint, types, and the tests that need no cluster (about a minute)
	@$(BIN)/ruff format --check --quiet . || { echo "not formatted: run 'make format'"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/pytest tests -q -n 2 --dist worksteal -m "not processes"

format: .venv/.installed ## format and mend what ruff can
	@$(BIN)/ruff format --quiet . ; $(BIN)/ruff check --fix .

test: check ## check, the tests of whole programs, then the fast tier on a real cluster
	@$(BIN)/python -m tests.browser
	@$(BIN)/pytest tests -q -n 2 --dist worksteal -m processes
	@$(GATE) -m fast --bg-rerun-inconclusive --bg-rate 0.7

rehearsal: .venv/.installed ## the gate: everything set up, then pytest scenarios/
	@$(GATE)

nightly: .venv/.installed ## every scenario, sixty cutovers; the pull path and docker for real
	@$(GATE) --bg-tier nightly --bg-cutovers 60 --bg-rerun-inconclusive
	@$(BIN)/pytest platforms

mutants: .venv/.installed ## releases broken on purpose: each must turn the gate red, for the right reason
	@$(GATE) -m mutants --bg-tier nightly

bench: .venv/.installed ## numbers, to artifacts/latest/bench/
	@$(BIN)/python -m benchmarks

lock: .venv/.installed ## write requirements/*.txt anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-header --no-annotate --upgrade --extra kind --extra otel --extra dev pyproject.toml -o requirements/dev.txt

clean: ## remove everything this project ever made: clusters, cache, artifacts, .venv
	@PYTHONDONTWRITEBYTECODE=1 $(or $(wildcard $(BIN)/python),$(PYTHON)) -m harness.cli clean --all  # needs no package
	@rm -rf .venv artifacts .pytest_cache .ruff_cache .mypy_cache .hypothesis dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
