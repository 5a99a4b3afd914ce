# make env · make demo · make demo-real DATA=FOLDER · make test: each sets up its own environment in .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PATH := $(abspath $(BIN)):$(PATH)
# Snakemake does not start without a home, and a user of a container may have none.
export HOME ?= $(abspath $(VENV))

.PHONY: bench env demo demo-real demo-idd test test-fast lint clean

$(READY): envs/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r envs/requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

env: $(READY)  ## set up .venv, and no more

demo: $(READY)  ## render toycity, adapt, and show the table
	snakemake --quiet

demo-real: $(READY)  ## the same on photographs: DATA is a folder with camvid/
	@test -n "$(DATA)" || { echo "error: say where the datasets are: make demo-real DATA=FOLDER" >&2; exit 2; }
	COTRAIN_DATA="$(DATA)" snakemake --quiet --configfile workflow/presets/toycity_to_camvid.yaml

bench: $(READY)  ## measure speed and memory, and write docs/benchmarks.md: an hour and a half
	python benchmarks/run.py

test: lint  ## everything that CI runs
	pytest

test-fast: lint  ## linters and the fast tests: what to run while you type
	pytest -m "not slow"

lint: $(READY)
	ruff check src tests tools benchmarks docs
	ruff format --check src tests tools benchmarks docs
	lint-imports
	snakefmt --check Snakefile workflow/rules
	snakemake --lint

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .import_linter_cache
