# Each target makes .venv and installs what it needs from the pinned locks. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out
DEVICE ?= cuda
SCALE ?= full
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps

.DEFAULT_GOAL := help
.PHONY: help demo test check bench gpu soak examples clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hotbed needs Python 3.11 or later; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/core: requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) -r requirements.lock
	$(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/dev: requirements-dev.lock $(VENV)/core
	$(PIP) -r requirements-dev.lock
	@touch $@

$(VENV)/bench: requirements-bench.lock $(VENV)/core
	$(PIP) -r requirements-bench.lock
	@touch $@

# torch pulls what its build needs (a CPU build where pip finds one); nothing else does.
$(VENV)/live: requirements-live.lock $(VENV)/core
	$(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint requirements-live.lock --constraint requirements.lock torch==2.13.0
	$(PIP) -r requirements-live.lock
	@touch $@

$(VENV)/s3: requirements-s3.lock $(VENV)/core
	$(PIP) -r requirements-s3.lock
	@touch $@

$(VENV)/ray: requirements-ray.lock $(VENV)/core
	$(PIP) -r requirements-ray.lock
	@touch $@

demo: $(VENV)/core ## compare five systems on a small cluster; ends with a table and a report
	$(BIN)/hotbed compare examples/tour.yaml --policies serverlessllm,shepherd_star,serverless,ray_serve_cached,ray_serve --seeds 5 --out $(OUT)/demo

test: $(VENV)/dev ## every test but the soak; real traces where HOTBED_DATA names them
	$(BIN)/pytest -q --numprocesses 2 --dist worksteal $(ARGS)

check: $(VENV)/dev ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/bench $(VENV)/live ## the simulator beside other simulators, the store beside other loaders and the disk
	$(BIN)/hotbed bench sim
	$(BIN)/hotbed bench load --size 1g --rank 16 --rounds 3

gpu: ## measure a GPU with the Python and torch that are there (8 minutes; DEVICE=cpu SCALE=rehearsal tries it out)
	$(PYTHON) -m runtime.bench.gpu --device $(DEVICE) --scale $(SCALE) --out $(OUT)/gpu.json $(ARGS)
	@if $(PYTHON) -c 'import pytest, hypothesis' 2>/dev/null; \
	then $(PYTHON) -m pytest -q -m gpu tests/runtime; \
	else echo "the GPU tests need pytest and hypothesis"; fi

soak: $(VENV)/dev ## long random runs: fault scenarios and state machines by the ten thousand
	$(BIN)/pytest -q -m soak --numprocesses 2 --dist worksteal $(ARGS)

examples: $(VENV)/dev ## run the examples' tests; UPDATE=1 rewrites their expected summaries
	$(BIN)/pytest -q tests/hotbed/test_examples.py

clean: ## remove the environment, caches and results
	rm -rf $(VENV) $(OUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis
