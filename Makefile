# Needs Python 3.11 or newer, git and make. Bare `make` prints the menu.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
export VIRTUAL_ENV := $(CURDIR)/.venv
BIN := .venv/bin
ARGS ?=
BENTO ?= churn:latest

# The quiet settings, unless the environment says otherwise.
$(foreach setting,$(shell grep -v '^\#' infra/quiet.env),$(eval export $(subst =,?=,$(setting))))

help:  ## this menu
	@echo "make demo runs the whole loop; the rest:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile
	@echo 'More to say to a verb: make train ARGS="--contract telco --data FILE"'

# ---------------------------------------------------------------- environment
# First that answers and is new enough; empty when there is none.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then command -v "$$name"; break; fi; done)
EDITABLE = $(BIN)/uv pip install -q --no-deps --no-build-isolation -e .

.venv/.bootstrap: requirements/bootstrap.txt
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found (python3 is \
	$$(python3 --version 2>&1 || true)). Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is \
	$$($(PYTHON) --version 2>&1); Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "creating .venv with $(PYTHON)"
	@"$(PYTHON)" -m venv .venv
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

# The development set holds the training set, so installing it satisfies both stamps.
.venv/.train: .venv/.bootstrap requirements/train.txt pyproject.toml
	@echo "installing the training set (about 3 GB)"
	@$(BIN)/uv pip install -q --require-hashes -r requirements/train.txt
	@$(EDITABLE)
	@touch $@

.venv/.dev: .venv/.bootstrap requirements/dev.txt requirements/train.txt pyproject.toml
	@echo "installing the development set (about 3 GB)"
	@$(BIN)/uv pip install -q --require-hashes -r requirements/dev.txt
	@$(EDITABLE)
	@touch .venv/.train $@

setup: .venv/.dev  ## create .venv from the hash-locked requirements (tests and checks included)

# ---------------------------------------------------------------- the product
demo: .venv/.train  ## the whole loop on the shipped sample: no server, no container
	$(BIN)/fedchurn demo $(ARGS)

train: .venv/.train  ## train, evaluate, register, promote or refuse: ARGS="--contract C --data FILE"
	$(BIN)/fedchurn train $(ARGS)

crossval: .venv/.train  ## five group-aware folds beside the baselines: ARGS="--contract C --data FILE"
	$(BIN)/fedchurn crossval $(ARGS)

serve: .venv/.train  ## the release in production as a service on this machine: ARGS="--port 3001"
	@BENTOML_HOME="$${BENTOML_HOME:-$${FEDCHURN_HOME:-.fedchurn}/service/bentoml}" \
		$(BIN)/bentoml serve --host 127.0.0.1 $(ARGS)

# From the root folder: elsewhere, BentoML 1.4.39 refuses its own copy of our template (its issue 5566).
image: .venv/.train  ## a packaged bento as a container image (Docker or the like): BENTO=churn_telco:latest ARGS="-t mine"
	@cd / && BENTOML_HOME="$(abspath $(or $(FEDCHURN_HOME),.fedchurn))/bentoml" \
		"$(CURDIR)/$(BIN)/bentoml" containerize $(BENTO) $(ARGS)

up: .venv/.train  ## start Prefect server, MLflow server and worker; healthy when it returns
	$(BIN)/python -m infra.platform up $(ARGS)

status: .venv/.train  ## what `make up` started, and whether it is healthy
	$(BIN)/python -m infra.platform status $(ARGS)

down: .venv/.train  ## stop what `make up` started
	$(BIN)/python -m infra.platform down $(ARGS)

drill: .venv/.train  ## the whole loop and the disasters, timed, in a home of its own: ARGS="--keep --json FILE"
	$(BIN)/python -m infra.drill $(ARGS)

# ---------------------------------------------------------------- development
test: .venv/.dev  ## every test: unit, integration, end to end (ARGS="-k name" for some)
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

test-unit: .venv/.dev  ## the fast tests only
	$(BIN)/pytest tests/unit $(ARGS)

check: .venv/.dev  ## formatting, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: .venv/.dev  ## locks, environment and, where a network is, known vulnerabilities
	@$(BIN)/python -m infra.audit $(ARGS)

format: .venv/.dev  ## let ruff format and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/.dev  ## the benchmarks, each a ratio measured in one run
	$(BIN)/python -m benchmarks $(ARGS)

# UPGRADE=--upgrade takes newer versions; without it only what the .in files ask for changes.
LOCK = ../$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes -q \
	--no-emit-index-url --no-emit-find-links $(UPGRADE) -c constraints.txt
lock: .venv/.bootstrap  ## write the hash-locked requirements anew from the .in files
	cd requirements && $(LOCK) train.in -o train.txt
	cd requirements && $(LOCK) -c train.txt bootstrap.in -o bootstrap.txt
	cd requirements && $(LOCK) -c train.txt serve.in -o serve.txt
	cd requirements && $(LOCK) -c train.txt dev.in -o dev.txt

clean:  ## remove caches and build products; .venv and .fedchurn stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

clean-all: clean  ## the same, and .venv, and .fedchurn with every model and record in it
	if test -e .fedchurn/platform.json; then $(BIN)/python -m infra.platform down; fi
	rm -rf .venv .fedchurn

.PHONY: help setup demo train crossval serve image up status down drill test test-unit check audit format bench lock clean clean-all
