# make demo    runs the polling flow on an embedded Redis
# make test    checks and tests everything
# make check   style, types and floors only
# make chaos   harms everything for DURATION seconds, as SEED decides, and checks that nothing is lost or done twice
# make clean   removes what was made here; the data of runs, in .pollflow/, is kept
#
# PYTHON=python3.12 chooses another interpreter, PYTEST_ARGS what is tested: make test PYTEST_ARGS=tests/unit;
# make chaos DURATION=1800 SEED=42 is the long run; CHAOS_ARGS="--summary FILE" keeps its figures

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --disable-pip-version-check

DURATION ?= 180
SEED ?= 42

.PHONY: demo test check chaos ready clean

demo: ready
	$(BIN)/pollflow run flows/task_polling.yaml --input '{"delay": 20}'
	@echo
	@echo "The same as a story, with a worker killed in the middle of a wait: $(BIN)/pollflow demo"

test: check
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

chaos: ready
	$(BIN)/python -m tests.chaos --duration $(DURATION) --seed $(SEED) $(CHAOS_ARGS)

ready: $(READY)

# Debian keeps the part of venv that brings pip in a package of its own (python3-venv). Where that is missing,
# the environment is made without it, and the pip of the system puts one in.
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
	@echo "Installing what pollflow and its tests need"
	@$(PIP) install -q -e '.[embedded,dev]'
	@touch $@

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
