# Two commands on a fresh machine: `make demo` and `make test`. Needs Python 3.11 or newer and make, nothing else.

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
# Extra words for the installation of torch, such as --index-url and the address of PyTorch's CPU or CUDA wheels (see README).
TORCH_OPTIONS ?=
PYTEST_OPTIONS ?=
# How many processes run tests at a time; 0 runs all of them in one.
TEST_PROCESSES ?= 2
BENCH_OPTIONS ?=
CAMPAIGN_OPTIONS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# On a terminal pip shows its progress.
PIP_SHOWS := $(shell test -t 2 || echo --quiet)

.PHONY: help demo test check format bench bench-pipeline bench-runtime bench-reading bench-receive bench-results bench-delivery bench-hl7 bench-notes campaigns campaign-kill campaign-fuzz campaign-torture campaign-hl7 clean

help:
	@echo "make demo    run the node with a simulated hospital (DEMO=folder)"
	@echo "make test    run the tests (TEST_PROCESSES=2 at a time)"
	@echo "make test-federated   the tests of federated averaging over a network, with Flower in an environment of its own"
	@echo "make check   formatting, lint, strict types"
	@echo "make bench   measure everything; results are printed as JSON (see docs/benchmarks.md)"
	@echo "make campaigns   attack the receiver and the HL7 port: campaign-kill, -fuzz, -torture, -hl7 (CAMPAIGN_OPTIONS='--seed 7')"
	@echo "make bench-receive   measure the receiver beside its peers (BENCH_OPTIONS='--quick --cases ct1,ct4')"

$(VENV)/.node: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Overread needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing torch into $(VENV), then the rest: minutes, and with a CUDA build some gigabytes (README: the CPU build)."
	$(PIP) install $(PIP_SHOWS) --constraint constraints.txt $(TORCH_OPTIONS) torch
	$(PIP) install $(PIP_SHOWS) --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.node
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/.node
	@$(BIN)/overread demo --folder $(DEMO)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) $(PYTEST_OPTIONS)

# Federated averaging over a network: Flower asks for older packages than the node's, so it has an environment of its own.
FEDERATED := .venv-federated
.PHONY: test-federated
$(FEDERATED)/.dev: pyproject.toml constraints.txt constraints-federated.txt
	$(PYTHON) -m venv $(FEDERATED)
	$(FEDERATED)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt $(TORCH_OPTIONS) torch
	$(FEDERATED)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt --editable . pytest pytest-timeout pytest-xdist hypothesis
	$(FEDERATED)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints-federated.txt --editable '.[federated]'
	@touch $@

test-federated: $(FEDERATED)/.dev
	$(FEDERATED)/bin/python -m pytest tests/models/training/framework/test_flower*.py

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: bench-pipeline bench-runtime bench-reading bench-receive bench-results bench-delivery bench-hl7 bench-notes

bench-pipeline: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.pipeline

bench-runtime: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.runtime $(BENCH_OPTIONS)

bench-reading: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.reading $(BENCH_OPTIONS)

bench-receive: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.receive $(BENCH_OPTIONS)

bench-results: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.results $(BENCH_OPTIONS)

bench-delivery: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.delivery $(BENCH_OPTIONS)

bench-hl7: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.hl7 $(BENCH_OPTIONS)

bench-notes: $(VENV)/.dev
	$(BIN)/python -m tests.benchmarks.notes $(BENCH_OPTIONS)

campaigns: campaign-kill campaign-fuzz campaign-torture campaign-hl7

campaign-kill: $(VENV)/.dev
	$(BIN)/python -m tests.campaigns.kill --rounds 100 $(CAMPAIGN_OPTIONS)

campaign-fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.campaigns.fuzz --cases 100000 $(CAMPAIGN_OPTIONS)

campaign-torture: $(VENV)/.dev
	$(BIN)/python -m tests.campaigns.torture $(CAMPAIGN_OPTIONS)

.PHONY: campaign-traffic
campaigns: campaign-traffic
campaign-traffic: $(VENV)/.dev
	$(BIN)/python -m tests.campaigns.traffic --patients 100 --studies 60 --seconds 3600 $(CAMPAIGN_OPTIONS)

campaign-hl7: $(VENV)/.dev
	$(BIN)/python -m tests.campaigns.hl7_fuzz --count 100000 $(CAMPAIGN_OPTIONS)

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
