# `make help` lists the targets. Everything runs in .venv, which the first target that needs it makes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo
EVIDENCE ?= evidence
LONG ?= long

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow faults long-run lint evidence benchmarks clean

include helm/targets.mk

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# torch and torchvision first: their wheels are the bulk, and a retry keeps them
$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mura-jobs needs Python 3.11 or newer; set PYTHON=/path/to/it")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/installed ## Run the whole pipeline on generated radiographs (CPU, minutes) into ./demo
	@mkdir -p "$(DEMO)"
	$(BIN)/mura-jobs run --config preset:demo --bucket "file://$(abspath $(DEMO))" --run-id demo --workers 2

lint: $(VENV)/installed ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

test: lint ## Check style and types and run the tests
	$(BIN)/pytest

test-slow: $(VENV)/installed ## Run the tests that take minutes each
	$(BIN)/pytest -m slow

faults: $(VENV)/installed ## Kill the pipeline in every stage and run it again
	$(BIN)/pytest -m faults

long-run: $(VENV)/installed ## Train for two hours, killed ten times at random, into ./long
	$(BIN)/python -m tests.faults.long_run "$(LONG)" --config tests/faults/long.yaml

evidence: $(VENV)/installed ## Run the controls, whose right verdict is known, into ./evidence
	$(BIN)/python -m tests.evidence.controls "$(EVIDENCE)"

benchmarks: $(VENV)/installed ## Measure and print ratios
	$(BIN)/python -m tests.benchmarks.gan_step
	$(BIN)/python -m tests.benchmarks.gan_processes
	$(BIN)/python -m tests.benchmarks.bucket

clean: ## Remove the environment, caches, the demonstration and the controls
	rm -rf $(VENV) $(DEMO) $(EVIDENCE) $(LONG) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
