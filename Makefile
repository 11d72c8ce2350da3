# Two commands do everything on a fresh machine with Python 3.11 or newer: `make demo` and `make test`.
# `make check` asks the style and type checkers, whose newest versions may object to code that works.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TESTS  ?= tests

.PHONY: demo test check cluster-test soak format bench env clean

demo: $(READY)
	@echo "== training the 128 networks of the demo, as far as they are not trained yet"
	$(BIN)/archsweep run demo
	@echo "== writing its report"
	$(BIN)/archsweep report demo

test: $(READY)
	$(BIN)/python -m pytest -n 3 --dist loadgroup $(TESTS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Tests that join several Ray machines, five minutes.  Then a real `ray up` of three small machines on this one, one of
# them killed: as root on Linux, another five.
cluster-test: $(READY)
	$(BIN)/python -m pytest -m cluster tests
	$(BIN)/python tests/cluster/run.py

# A hundred faults at random moments, each followed by `run`: half an hour on an idle machine, as root to fill a disk.
# Then how often the intervals hold the truth, a quarter of an hour, and the tests that take minutes or much memory.
# SEED=123 provokes the same faults again, FAULTS=20 fewer.
soak: $(READY)
	$(BIN)/python -m tests.soak.campaign $(if $(SEED),--seed $(SEED)) $(if $(FAULTS),--faults $(FAULTS))
	$(BIN)/python -m tests.soak.coverage
	$(BIN)/python -m pytest -m soak -s tests

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
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.exit(sys.version_info < (3, 11) and \
	    f"archsweep needs Python 3.11 or newer, and $(PYTHON) is {v}; name another: make PYTHON=python3.12")'
	@echo "== 1 of 3: a virtual environment in $(VENV), of $$($(PYTHON) --version)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "== 2 of 3: archsweep, PyTorch, torchvision, Ray, what they need, and the tools of the tests:" \
	    "several GB, a few minutes"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@$(BIN)/python -c 'from importlib.metadata import distributions as all, version as v; \
	    names = ("torch", "torchvision", "ray", "numpy", "pandas", "pyarrow"); \
	    print("== 3 of 3: installed", ", ".join(f"{n} {v(n)}" for n in names), f"and {len(set(all())) - len(names)} more")'
	@touch $(READY)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
