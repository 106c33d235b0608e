# `make run` and `make test` need Python 3.11 or later, make, and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SCENARIO ?= two-provinces
SPEED ?= 600
# Compiled modules are kept, whatever the shell says: every worker and daemon of the tests would compile them again.
export PYTHONDONTWRITEBYTECODE =

.PHONY: run demo test check bench bench-load schemathesis lint lock clean help

run: $(VENV)/.run ## set everything up and start the daemon on http://127.0.0.1:8080
	@$(BIN)/incident-engine serve

demo: $(VENV)/.run ## play a scenario on a fast clock and print what happens
	@$(BIN)/incident-engine drill $(SCENARIO) --speed $(SPEED)

test: $(VENV)/.dev ## set everything up, check the rules and pass the tests
	$(BIN)/incident-engine check
	$(BIN)/pytest -n auto --dist worksteal

check: $(VENV)/.run ## check configuration, packs with their cases, playbooks, messages and scenarios
	@$(BIN)/incident-engine check

bench: $(VENV)/.bench ## grade the same incidents with other rule engines, and print the table
	$(BIN)/python benchmarks/grading.py

bench-load: $(VENV)/.dev ## side by side with Alertmanager, storm, 100 000 incidents, latency (needs prometheus-alertmanager, wrk)
	$(BIN)/python benchmarks/ingest.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/latency.py

schemathesis: $(VENV)/.schemathesis ## compare the answers of a daemon with the API's description, on drawn requests
	$(BIN)/python tests/schemathesis/run.py

lint: $(VENV)/.dev ## style, types, the order of the floors, plain words
	$(BIN)/ruff check incident_engine tests benchmarks
	$(BIN)/ruff format --check incident_engine tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/guards

lock: ## renew the lock files (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --upgrade --no-header \
		--no-emit-index-url --no-emit-find-links --annotation-style line --extra build -q -o requirements.lock
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --upgrade --no-header \
		--no-emit-index-url --no-emit-find-links --annotation-style line --extra build --extra dev -q -o requirements-dev.lock
	uv pip compile benchmarks/requirements.in --universal --python-version 3.11 --generate-hashes --upgrade --no-header \
		--no-emit-index-url --no-emit-find-links --annotation-style line -c requirements.lock -q -o benchmarks/requirements.lock
	uv pip compile tests/schemathesis/requirements.in --universal --python-version 3.11 --generate-hashes --upgrade --no-header \
		--no-emit-index-url --no-emit-find-links --annotation-style line -c requirements-dev.lock -q -o tests/schemathesis/requirements.lock

clean: ## remove the environment; what the daemon stored in var/ stays
	rm -rf $(VENV)

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = "%d.%d" % sys.version_info[:2]; \
		sys.exit("incident-engine needs Python 3.11 or later; %s is %s. Try: make PYTHON=python3.12 run" % (sys.executable, v) \
		if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "No virtual environment could be made; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the locked dependencies into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.bench: benchmarks/requirements.lock $(VENV)/.run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/requirements.lock
	@touch $@

$(VENV)/.schemathesis: tests/schemathesis/requirements.lock $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/schemathesis/requirements.lock
	@touch $@
