# Every target sets up what it needs. The environment lives in .venv; data in $(MARQUEE_HOME), ./var by default.
PYTHON ?= python3
BIN := .venv/bin
export MARQUEE_HOME ?= $(CURDIR)/var
# Settings of dg: it reports no usage.
export DG_CLI_CONFIG ?= $(CURDIR)/.ci/dg.toml

.PHONY: setup run test check coverage dev serve lint format lock bench faults week deployment events stream containers notebooks clean

setup: .venv/compiled

.venv/ready: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Marquee needs Python 3.11 or newer: make PYTHON=python3.x setup")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The numba kernels are compiled once, here, and not during the first run or by all test workers at a time.
.venv/compiled: .venv/ready $(wildcard recommender/*.py recommender/*/*.py)
	$(BIN)/python -c 'from recommender.warm_up import warm_up; warm_up()'
	@touch $@

run: setup
	$(BIN)/marquee run

# A worker more than cores; other options by ARGS, as in `make test ARGS="-n0 -x tests/serving"`.
test: setup
	$(BIN)/python -m pytest -n auto $(ARGS)

# Before a commit: lint, types, and the tests of what differs from main; the campaigns are left to `make test`.
check: lint
	@tests=$$($(BIN)/python -m tests.changed); \
	if [ -n "$$tests" ]; then $(BIN)/python -m pytest -n auto -m "not campaign" $$tests; else echo "no tests for this change"; fi

# What the tests reach, in their own process and in those they start.
coverage: setup
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

dev: setup
	$(BIN)/marquee home
	DAGSTER_HOME=$(MARQUEE_HOME)/dagster $(BIN)/dg dev

serve: setup
	$(BIN)/marquee serve

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/dg check toml
	$(BIN)/dg check defs

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--no-strip-extras pyproject.toml --all-extras --group dev -o requirements-dev.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--no-strip-extras pyproject.toml -c requirements-dev.lock -o requirements.lock

bench: setup
	$(BIN)/python -m benchmarks.run

faults: setup
	$(BIN)/python -m tests.campaigns.faults

week: setup
	$(BIN)/python -m tests.campaigns.week

deployment: setup
	$(BIN)/python -m tests.campaigns.deployment

events: setup
	$(BIN)/python -m tests.campaigns.events

stream: setup
	$(BIN)/python -m tests.campaigns.stream

# The container files without a container engine: as root, with debootstrap.
containers: setup
	$(BIN)/python -m tests.campaigns.containers

# Renews what docs/notebooks shows.
notebooks: setup
	$(BIN)/python -m tests.notebooks

clean:
	rm -rf .venv var build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage* benchmarks/out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
