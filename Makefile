# make demo       run the polling flow on an embedded Redis
# make check      style, types, layers, Lua files and the workflow file of the hosted CI
# make test       make check, then the fast tests and the process tests of the main promise (5 minutes)
# make test-all   make test, then everything else: all process tests, chaos, model check, Debian's redis-server,
#                 the oldest and newest Python, the oldest supported dependencies, the demo
# make environments  make all environments of test-all, two at a time
# make lock       choose the packages of the image anew: requirements.lock, with hashes (needs a package index)
# make check-lock check that requirements.lock satisfies pyproject.toml; a part of make check
# make chaos      inject faults for DURATION seconds, then check that nothing was lost or done twice
# make bench      compare transitions, polls and starts with plain Celery in one table; NAME=polls runs one benchmark
#                 (BENCH_ARGS: its options)
# make bench-long what takes longer: many waits, growth, a million executions, histories, recovery, a day of polling
# make ready-peers make the environment of the peers in benchmarks: make bench NAME=peers (PostgreSQL must be installed)
# make clean      remove what was generated; the data of runs in .pollflow/ is kept
#
# PYTHON=python3.12 chooses the interpreter, PYTEST_ARGS replaces the selection: make test PYTEST_ARGS=tests/unit
# JOBS=0 runs one test at a time, JOBS=N uses N processes; the default is one per core, one more for process tests,
# four at most
# COVERAGE=1 measures branch coverage in make test and of the commands in make test-rest; make coverage then prints
# the report and fails below the minimum of pyproject.toml
# make chaos DURATION=1800 SEED=42 is the long run; CHAOS_ARGS="--summary FILE" keeps its figures

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check

DURATION ?= 180
SEED ?= 42
NAME ?= table
LONG := waiting lateness burst growth list history recovery day_of_polling

JOBS ?= auto
IN_PARALLEL := -n $(JOBS) --maxprocesses=4 --dist=worksteal
# Process tests mostly wait for workers: two at a time leave half of two cores idle.
MORE_JOBS := $(if $(filter auto,$(JOBS)),$(shell expr $$(getconf _NPROCESSORS_ONLN) + 1),$(JOBS))
WAITING_IN_PARALLEL := -n $(MORE_JOBS) --maxprocesses=4 --dist=worksteal

FAST := not slow and (promise or not process)
CLI_TESTS := tests/process/test_cli.py
PYTEST := $(BIN)/python -m pytest
PYTEST_ARGS ?= -m "$(FAST)"
MEASURED := $(if $(COVERAGE),$(BIN)/python -m coverage run -m pytest,$(PYTEST))

# The process tests whose result depends on the server.
SERVER_TESTS := $(addprefix tests/process/test_,acl.py recovery.py redis_failures.py lost_writes.py pools_and_brokers.py)

BACKEND := $(BIN)/python -c 'import tests.lock as lock; print(*lock.build_requirements(), sep="\n")'

# The other environments are not inside .venv, which a first "make ready" clears.
OLDEST := .venvs/oldest
PEERS := .venvs/peers

.PHONY: demo check test test-all test-rest coverage test-redis-server test-oldest test-pythons chaos bench bench-long clean
.PHONY: ready ready-oldest ready-pythons ready-peers environments lock check-lock

demo: ready
	$(BIN)/pollflow run flows/task_polling.yaml --input '{"delay": 20}'
	@echo
	@echo "To see a worker killed in the middle of a wait: $(BIN)/pollflow demo"

check: ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit -q -c pyproject.toml -r pollflow
	$(PYTEST) tests/unit/store/test_lua_syntax.py tests/unit/test_lock.py
	@if command -v luacheck >/dev/null; then luacheck pollflow/store/lua; fi
	@if command -v actionlint >/dev/null; then actionlint; fi

test: check
	$(MEASURED) $(IN_PARALLEL) $(PYTEST_ARGS)

test-all: test test-rest test-redis-server test-oldest test-pythons demo

test-rest: ready
	$(MEASURED) $(WAITING_IN_PARALLEL) $(CLI_TESTS)
	$(PYTEST) $(WAITING_IN_PARALLEL) -m "not ($(FAST))" --ignore=$(CLI_TESTS) --ignore=tests/chaos
	$(PYTEST) tests/chaos -m "not ($(FAST))"

coverage: ready
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m coverage report

test-redis-server: ready
	@if command -v redis-server >/dev/null; then \
	  export POLLFLOW_TEST_SERVER=redis-server && \
	  $(PYTEST) $(WAITING_IN_PARALLEL) tests/contract $(SERVER_TESTS) -m server && \
	  $(PYTEST) tests/chaos -m "not ($(FAST))"; \
	else echo "skipped: redis-server is not installed"; fi

test-oldest: ready-oldest
	$(OLDEST)/bin/python -m pytest $(WAITING_IN_PARALLEL) tests/unit/runtime tests/contract tests/process -m "not slow and (process or not server)" \
	  --ignore=$(CLI_TESTS) --ignore=tests/process/test_map_steps.py

test-pythons: ready
	PYTHON=$(PYTHON) PYTEST_ADDOPTS="$(IN_PARALLEL)" .ci/pythons test

# The newest versions that satisfy pyproject.toml, for the Python of the Dockerfile. The backend builds pollflow itself.
lock: ready
	$(PIP) install -q --upgrade --target .venvs/uv uv
	$(BACKEND) | UV_CUSTOM_COMPILE_COMMAND="make lock" .venvs/uv/bin/uv pip compile pyproject.toml - --extra flower \
	  --upgrade --generate-hashes --no-annotate --python-version 3.13 --python-platform linux -q -o requirements.lock

check-lock: ready
	$(PYTEST) tests/unit/test_lock.py

# All environments of test-all, two at a time, since an installation uses one core.
environments:
	@$(MAKE) --no-print-directory -j 2 ready ready-pythons ready-oldest

ready-oldest:
	@$(MAKE) --no-print-directory ready VENV=$(OLDEST) PIP_CONSTRAINT=$(CURDIR)/tests/oldest.txt

ready-pythons:
	PYTHON=$(PYTHON) .ci/pythons ready

ready-peers: $(PEERS)/.ready

$(PEERS)/.ready: benchmarks/peer_apps/requirements.txt
	$(PYTHON) -m venv --clear $(PEERS)
	$(PEERS)/bin/python -m pip --disable-pip-version-check install -q -r $<
	@touch $@

chaos: ready
	$(BIN)/python -m tests.chaos --duration $(DURATION) --seed $(SEED) $(CHAOS_ARGS)

bench: ready
	$(BIN)/python -m benchmarks $(NAME) $(BENCH_ARGS)

bench-long: ready
	@set -e; for name in $(LONG); do echo "$$name"; $(BIN)/python -m benchmarks $$name; done

ready: $(READY)

# Debian ships the pip part of venv in the package python3-venv. Without it, the environment is made without pip,
# and the pip of the system installs one.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "pollflow needs Python 3.10 or newer: make PYTHON=...")'
	@test -x $(BIN)/pip || { \
	  echo "Making the virtual environment $(VENV)"; \
	  $(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 || { \
	    echo "python3-venv is not installed; using the pip of $(PYTHON) instead"; \
	    $(PYTHON) -m venv --clear --without-pip $(VENV) && \
	    $(PYTHON) -m pip install -q --target \
	      "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" pip; \
	  }; \
	}
	@echo "Installing pollflow and its development dependencies"
	@$(if $(PIP_CONSTRAINT),PIP_CONSTRAINT=$(PIP_CONSTRAINT)) $(PIP) install -q -e '.[embedded,dev]'
	@touch $@

clean:
	rm -rf $(VENV) .venvs dist build .coverage .coverage.* .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
