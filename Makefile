# Everything a person or CI does with the project. `make run` is the whole of it: set-up, build, the main job.
VENV := .venv
PY := $(VENV)/bin/python
ARGS ?=
R ?=
SEEDS ?= 1000
FROM ?= 0
TIER ?= core

.PHONY: help setup run test test-all lint format bench bench-peers accept replays sim sim-plants check-build wheel clean

help:
	@echo "make run               set up, build, and run the main job (backstay demo ARGS=...)"
	@echo "make test              the quick suite; make test-all adds the slow tests"
	@echo "make lint              ruff, mypy --strict, import-linter;  make format rewrites"
	@echo "make bench             the latency and throughput bars; make bench-peers runs them beside other engines"
	@echo "make accept [R=3.6]    acceptance scenarios, all or of one requirement"
	@echo "make replays           recorded sessions with 100,000 stops against an independent reference"
	@echo "make sim SEEDS=n [FROM=k] [TIER=core|loop]   the simulator over all cores (docs/reliability.md); ARGS=--help"
	@echo "make sim-plants        each planted bug, on a build that has them, must be noticed by the right invariant"
	@echo "make check-build       unit and property tests on the build with bounds and overflow checks"
	@echo "make wheel             wheels in dist/;  make clean removes what was built"

setup:
	@scripts/setup.sh

run: setup
	@$(VENV)/bin/backstay demo $(ARGS)

test: setup
	@$(PY) -m pytest -m "not slow" $(ARGS)

test-all: setup
	@$(PY) -m pytest $(ARGS)

lint: setup
	@status=0; \
	for check in "ruff check ." "ruff format --check ." mypy lint-imports; do \
		echo "-- $$check"; $(VENV)/bin/$$check || status=1; \
	done; exit $$status

format: setup
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

bench: setup
	@$(PY) -m benchmarks $(ARGS)

bench-peers:
	@scripts/setup.sh peers
	@$(PY) -m benchmarks peers $(ARGS)

accept: setup
	@$(PY) -m tests.accept $(R) $(ARGS)

replays: setup
	@$(PY) -m pytest -q -s tests/replay $(ARGS)

sim: setup
	@$(PY) -m tests.sim --tier $(TIER) --seeds $(SEEDS) --from $(FROM) $(ARGS)

sim-plants: setup
	@scripts/sim-plants.sh $(ARGS)

check-build: setup
	@scripts/check-build.sh $(ARGS)

wheel: setup
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip --upgrade >/dev/null
	@$(PY) -m pip wheel --quiet --no-deps --wheel-dir dist . ./sdk

clean:
	rm -rf build dist *.egg-info sdk/*.egg-info sdk/src/*.egg-info .venv/.backstay-native
	find hotpath risk brokers gateway -name '*.so' -delete
