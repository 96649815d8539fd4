# Two commands matter: `make demo` and `make test`. Both need only python3 (3.11 or later) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TESTS ?= tests

.PHONY: demo test slow bench lint types wheel audit lock clean

demo: $(STAMP)
	$(BIN)/verifiable demo

test: $(STAMP)
	$(BIN)/python -m pytest $(TESTS)

slow: $(STAMP)
	$(BIN)/python -m pytest -m slow $(TESTS)

# What a log of ten million entries costs on this machine (6 GB of disk), and what proving costs, with both proof systems and with
# ezkl's own calibration: hours, and all the memory there is.
bench: $(STAMP)
	$(BIN)/verifiable bench ledger --entries 10000000
	$(BIN)/verifiable bench --all

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

# The wheel as users get it: built, installed without the checkout, tested from elsewhere.
wheel: $(STAMP)
	$(BIN)/python tests/wheel_check.py

# Known vulnerabilities in what we pin; needs the network, so it is not part of `make test`.
audit: $(STAMP)
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements/runtime.txt

# New pins: edit requirements/*.in, then run this with `uv` on the path.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header requirements/dev.in -o requirements/dev.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header -c requirements/dev.txt requirements/runtime.in -o requirements/runtime.txt

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: python 3.11 or later is needed; hint: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "error: this python has no venv module; hint: install it (Debian: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
