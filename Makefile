# Every target sets up what it needs in .venv by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FAISS := $(shell command -v nvidia-smi > /dev/null 2>&1 && nvidia-smi -L > /dev/null 2>&1 && echo gpu || echo cpu)
WORKERS ?= $(shell nproc 2> /dev/null || echo 1)
PACKAGES := powerbench split_managers meta_logs

.PHONY: demo test test-fast test-faults lint bench clean

demo: $(VENV)/.installed
	$(BIN)/python run.py suite demo --workers $(WORKERS)

test: $(VENV)/.installed
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "not faults" --cov --cov-report=term:skip-covered --cov-fail-under=90

test-fast: $(VENV)/.installed
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow and not faults"

# Searches killed at many moments; takes long.
test-faults: $(VENV)/.installed
	$(BIN)/python -m pytest -n $(WORKERS) -m faults -rP tests/faults

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

# The extra "gpu" needs a faiss-gpu wheel, which not every platform has: fall back to the CPU one.
$(VENV)/.installed: setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[$(FAISS),demo,dev]" \
		|| $(BIN)/python -m pip install --quiet -c constraints.txt -e ".[cpu,demo,dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
