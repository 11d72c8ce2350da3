# Two commands do everything on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TESTS  ?= tests

.PHONY: demo test check cluster-test soak format bench env clean

demo: $(READY)
	$(BIN)/archsweep run demo
	$(BIN)/archsweep report demo

test: check
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(TESTS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A real `ray up` of three small machines on this one, one of them killed: as root on Linux, some five minutes.
cluster-test: $(READY)
	$(BIN)/python tests/cluster/run.py

# A hundred faults at random moments, each followed by `run`: half an hour on an idle machine, as root to fill a disk.
# Then how often the intervals hold the truth, a quarter of an hour, and a million rows.
# SEED=123 provokes the same faults again, FAULTS=20 fewer.
soak: $(READY)
	$(BIN)/python -m tests.soak.campaign $(if $(SEED),--seed $(SEED)) $(if $(FAULTS),--faults $(FAULTS))
	$(BIN)/python -m tests.soak.coverage
	$(BIN)/python -m pytest -m soak -s tests/soak/test_million.py tests/soak/test_differences.py

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# One thread, some twenty minutes; `archsweep bench step --help` says how to ask for less.
bench: $(READY)
	$(BIN)/archsweep bench data
	$(BIN)/archsweep bench step
	$(BIN)/archsweep bench sweep

env: $(READY)

# pip chooses torch and torchvision together: the two must come from one build.
$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
