# Two commands matter: `make run` and `make test`. Both install what they need into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
FUZZ_STAMP := $(VENV)/.installed-fuzz
DEPLOY_STAMP := $(VENV)/.installed-deploy

.PHONY: run test check lint types cases docs fuzz bench soak snapshots constraints build clean

run: $(STAMP)
	$(BIN)/pnet-cds serve --demo

# One test process per core; the tests of a file stay together, because they share servers.
TESTS := -n auto --dist loadfile

test: $(DEV_STAMP)
	$(BIN)/python -m pytest $(TESTS)

check: lint types
	$(BIN)/python -m pytest $(TESTS) --cov --cov-report=term
	$(BIN)/pnet-cds check

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_STAMP)
	$(BIN)/mypy

cases: $(DEV_STAMP)
	$(BIN)/python -m pytest tests/clinical -q

# Several thousand calls generated from the OpenAPI document, then bytes mutated under coverage guidance for a time.
FUZZ_EXAMPLES ?= 200
FUZZ_SECONDS ?= 120
fuzz: $(FUZZ_STAMP)
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest -q tests/fuzz
	$(BIN)/python -m tests.fuzz.harness --seconds $(FUZZ_SECONDS)

# The documentation as a site, in build/docs; a warning is an error.
docs: $(DEV_STAMP)
	$(BIN)/sphinx-build -W --keep-going -q docs build/docs

# Speed beside a bare server, a few minutes; BENCH=--keep adds the run to benchmarks/history.jsonl.
BENCH ?=
bench: $(DEV_STAMP)
	$(BIN)/python -m benchmarks $(BENCH)

# Ten minutes of constant load: no error, no lost record, flat memory.
soak: $(DEV_STAMP)
	$(BIN)/python -m benchmarks.soak

# What HAPI's validator (Java, Maven) makes of the differentials of the profiles; after every change of one.
snapshots: $(DEV_STAMP)
	$(BIN)/python -m tests.validators.snapshots

# The versions that go into the image: the newest ones that fit, to be tested before they are kept.
constraints:
	rm -rf build/constraints && $(PYTHON) -m venv build/constraints
	build/constraints/bin/pip install --quiet --disable-pip-version-check '.[postgres,redis]'
	build/constraints/bin/pip freeze --exclude pnet-cds > deploy/constraints.txt

build: $(DEV_STAMP)
	$(BIN)/python -m build

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pnet-cds needs Python 3.11 or newer; try: make PYTHON=python3.12 run")'
	$(PYTHON) -m venv $(VENV)

$(STAMP): $(VENV)/bin/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(DEV_STAMP): $(VENV)/bin/python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(STAMP) $@

$(FUZZ_STAMP): $(DEV_STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	touch $@

# Checkers of the image and the manifests; they need no container engine.
$(DEPLOY_STAMP): $(DEV_STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[deploy]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info var .mypy_cache .ruff_cache .pytest_cache .coverage .hypothesis tests/hapi/target
