# Needs make and Python 3.11 or newer; everything else is installed into .venv.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The interpreter that makes .venv; a python3.11 that cannot start (a version manager's shim) does not count.
PYTHON ?= $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
PORT ?= 5000
WORKERS ?= 2
ARGS ?=

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

VENV := .venv
VPY := $(VENV)/bin/python
PIP_INSTALL := $(VPY) -m pip install --quiet --constraint .ci/constraints.txt
# The stamps live in .venv, so that removing it removes them. A stamp older than these two files is renewed.
PINS := pyproject.toml .ci/constraints.txt
CREATED := $(VENV)/created.stamp
RUN := $(VENV)/run.stamp
DEV := $(VENV)/dev.stamp

# Each xdist worker keeps Aer to one thread: two workers with all threads each take more than twice as long.
PYTEST := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(VPY) -m pytest -n $(WORKERS)

.PHONY: help run test slow lint types check browse bench wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(RUN) ## run an experiment: make run ARGS="circuit=ghz mode=sampler"
	@$(VPY) -m qrt_runner $(ARGS)

test: $(DEV) ## run the tests, without the slow ones
	@$(PYTEST)

slow: $(DEV) ## run the slow tests
	@$(PYTEST) -m slow

lint: $(DEV) ## check style and formatting
	@$(VPY) -m ruff check .
	@$(VPY) -m ruff format --check .

types: $(DEV) ## check types
	@$(VPY) -m mypy

check: lint types test ## lint, types and test

# --no-serve-artifacts: a store that this command creates must name a folder for artifacts, not this server, as
# runs write them without it. The UI shows them all the same. Looking needs one worker and no job queues.
browse: $(RUN) ## open the MLflow UI on MLFLOW_TRACKING_URI or ./mlflow.db; PORT=5000
	@store="$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}"; \
	case "$$store" in \
	http://*|https://*) echo "The results are on a server of their own: $$store" ;; \
	*) echo "MLflow UI on $$store: http://127.0.0.1:$(PORT) (Ctrl-C ends it)"; \
	   MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false exec $(VPY) -m mlflow ui --backend-store-uri "$$store" \
	       --no-serve-artifacts --workers 1 --host 127.0.0.1 --port $(PORT) ;; \
	esac

bench: $(DEV) ## run the benchmarks, one after the other
	@for file in tests/benchmarks/*.py; do \
	    case "$$file" in */_*|*/conftest.py|*'*'*) continue ;; esac; \
	    echo "== $$file"; $(VPY) "$$file" || exit 1; \
	done

wheel: $(DEV) ## build dist/*.tar.gz, and dist/*.whl from it
	@$(VPY) -m build --outdir dist

clean: ## remove .venv, caches and builds; results (mlflow.db, outputs/) stay
	@rm -rf $(VENV) build dist .artifacts .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(CREATED):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "qrt_runner needs Python 3.11 or newer, but '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." >&2; \
	    echo "Install one and name it: make PYTHON=python3.12 ..." >&2; \
	    exit 1; \
	}
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(RUN): $(PINS) | $(CREATED)
	@echo "Installing the pinned dependencies into $(VENV)"
	@$(PIP_INSTALL) --editable .
	@touch $@

$(DEV): $(PINS) | $(CREATED)
	@echo "Installing the pinned dependencies and the development tools into $(VENV)"
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $(RUN) $@
