# Needs python3 (>= 3.11), make and a package index. Everything else it sets up in .venv.
#
#   make demo       show the main job on the embedded simulated host
#   make test       run the tests
#   make check      lint, types, generated files, tests, docs: what a change must pass
#   make lab        build the Domain 0 image and boot a real Xen in QEMU (root, Debian)
#   make e2e        the end-to-end tests on that Xen; make e2e-full: all of them,
#                   on Xen 4.17 and on 4.20
#   make bench      the benchmarks that need no lab; make bench-lab: those that do
#   make help       this list

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
STAMP  := $(VENV)/.stamp
RUN    := $(VENV)/.run

.PHONY: help demo test check lint types generate fresh lab e2e e2e-full bench bench-lab peers clean upgrade

help:
	@sed -n 's/^#   //p' Makefile

# A venv is made in one step or not at all: a half-made one is removed, and the missing package named.
$(VENV)/bin/python:
	@$(PYTHON) tools/bootstrap.py $(VENV)

$(RUN): $(VENV)/bin/python requirements/run.txt pyproject.toml
	@$(BIN)/python tools/bootstrap.py --install $(VENV) requirements/run.txt
	@touch $@

$(STAMP): $(VENV)/bin/python requirements/test.txt pyproject.toml
	@$(BIN)/python tools/bootstrap.py --install $(VENV) requirements/test.txt
	@touch $(RUN) $@

demo: $(RUN)
	@PYTHONPATH=src $(BIN)/python examples/demo.py

test: $(STAMP)
	$(PYTEST) -m "not e2e"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

generate: $(STAMP)
	$(BIN)/python tools/generate_sync.py
	$(BIN)/python tools/generate_docs.py

fresh: $(STAMP)
	$(BIN)/python tools/generate_sync.py --check
	$(BIN)/python tools/generate_docs.py --check

check: lint types fresh test

peers: $(STAMP)
	$(BIN)/python -m tests.peers install

lab: $(STAMP)
	$(BIN)/python -m lab boot

e2e: $(STAMP)
	$(PYTEST) -m "e2e and not full" tests/e2e

e2e-full: $(STAMP)
	$(PYTEST) -m e2e --xen 4.17 --xen 4.20 tests/e2e

bench: $(STAMP)
	$(BIN)/python -m benchmarks

bench-lab: $(STAMP)
	$(BIN)/python -m benchmarks.lab

upgrade: $(STAMP)
	$(BIN)/python tools/bootstrap.py --upgrade $(VENV)

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
