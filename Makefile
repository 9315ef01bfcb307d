PYTHON ?= python3
VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 8000
# What `make run` serves, and the call that it suggests to try on it: a realm, a procedure, its arguments.
APP ?= examples.two_realms:app
TRY ?= default math.add 2 3
# `make bench BENCH="--quick --case echo"` measures a part.
BENCH ?=
# `make soak SOAK="--seconds 600 --sessions 1000"` loads more, for longer.
SOAK ?=
# Seconds for each target of `make fuzz`; FUZZ=session is one of them.
FUZZ_SECONDS ?= 60
FUZZ ?=
# `make test TESTS=tests/router` runs a part, without the limit on coverage.
TESTS ?=

BIN := $(VENV)/bin
# One marker for each set of packages; a change of pyproject.toml makes both outdated.
RUNNABLE := $(VENV)/.installed-standard
TESTABLE := $(VENV)/.installed-dev
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run chat test check lint types format bench soak fuzz clean

help:
	@echo "make run      serve $(APP) on http://$(HOST):$(PORT)"
	@echo "make chat     serve a chat with rooms, on a page, at the same address"
	@echo "make test     lint, types and tests with coverage"
	@echo "make lint     ruff"
	@echo "make types    mypy"
	@echo "make format   sort imports and format"
	@echo "make bench    what it does in a second, beside a bare ASGI app; BENCH=--help lists the options"
	@echo "make soak     two minutes of 500 sessions that behave badly, and what they leave behind"
	@echo "make fuzz     bytes and messages that nobody has thought of, for FUZZ_SECONDS=$(FUZZ_SECONDS) a target"
	@echo "make clean    remove $(VENV) and what the tools wrote"
	@echo "PYTHON=python3.12 chooses the interpreter of $(VENV); it must be 3.11 or newer"

run: $(RUNNABLE)
	@echo
	@echo "    $(APP) on ws://$(HOST):$(PORT)/ , Ctrl-C ends it"
	@echo "    call it from another terminal, here:"
	@echo
	@echo "    $(BIN)/python examples/call.py ws://$(HOST):$(PORT)/ $(TRY)"
	@echo
	@exec $(BIN)/python -m uvicorn $(APP) --host $(HOST) --port $(PORT)

chat: $(RUNNABLE)
	@echo
	@echo "    a chat on http://$(HOST):$(PORT)/ , open it in two windows; Ctrl-C ends it"
	@echo
	@exec $(BIN)/python -m uvicorn examples.chat.app:app --host $(HOST) --port $(PORT)

test: lint types check

check: $(TESTABLE)
	@echo "== tests"
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(if $(TESTS),$(TESTS),--cov)

lint: $(TESTABLE)
	@echo "== lint"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(TESTABLE)
	@echo "== types"
	@$(BIN)/mypy

format: $(TESTABLE)
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

bench: $(RUNNABLE)
	@$(PIP_INSTALL) --editable '.[bench]'
	@$(PIP_INSTALL) --editable '.[bench-peers]' || echo "The frameworks to compare with cannot be installed."
	@$(BIN)/python -m benchmarks $(BENCH)

soak: $(TESTABLE)
	@$(BIN)/python -m tests.soak $(SOAK)

fuzz: $(TESTABLE)
	@$(PIP_INSTALL) --editable '.[fuzz]' || { \
		echo "atheris cannot be installed for $$($(BIN)/python --version): it has wheels for some Pythons on Linux only." >&2; \
		exit 1; }
	@$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(FUZZ)

clean:
	rm -rf $(VENV) .coverage .coverage.* .fuzz .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist htmlcov
	find . -name node_modules -prune -o -type d -name __pycache__ -exec rm -rf {} +

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		found=$$($(PYTHON) --version 2>/dev/null || echo missing); \
		echo "wampasgi needs Python 3.11 or newer, and $(PYTHON) is $$found." >&2; \
		echo "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
		exit 1; }
	@echo "== environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(RUNNABLE): $(VENV)/pyvenv.cfg pyproject.toml
	@echo "== installing wampasgi[standard]"
	@$(PIP_INSTALL) --editable '.[standard]'
	@touch $@

$(TESTABLE): $(VENV)/pyvenv.cfg pyproject.toml
	@echo "== installing wampasgi[dev]"
	@$(PIP_INSTALL) --editable '.[dev]'
	@touch $(RUNNABLE) $@
