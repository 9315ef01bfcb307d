PYTHON ?= python3
VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 8000
# The app that `make run` serves, and the call that it suggests: a procedure and its arguments.
APP ?= examples.two_realms:app
TRY ?= math.add 2 b=3
# `make bench BENCH="--quick --case echo"` runs a single case.
BENCH ?=
# `make soak SOAK="--seconds 600 --sessions 1000"` runs longer, with a higher load.
SOAK ?=
# `make chaos CHAOS="--backplane nats --fault stop_engine"` selects backplanes and faults.
CHAOS ?=
# The seconds per target of `make fuzz`. FUZZ=session selects one target.
FUZZ_SECONDS ?= 60
FUZZ ?=
# `make scale SCALE="--backplane redis"` selects the engine between the workers: nats, redis or unix.
SCALE ?=
# `make test TESTS=tests/router` runs some of the tests, and does not check the coverage.
TESTS ?=

BIN := $(VENV)/bin
SERVE := $(BIN)/wampasgi serve --host $(HOST) --port $(PORT)
# The command line calls this server by default.
AT := $(if $(filter 127.0.0.1:8000,$(HOST):$(PORT)),, --url ws://$(HOST):$(PORT)/)
# One marker file per set of packages. A change to pyproject.toml makes both outdated.
RUNNABLE := $(VENV)/.installed-standard
TESTABLE := $(VENV)/.installed-dev
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run explore chat scale test check lint types format bench soak chaos fuzz clean

help:
	@echo "make run      serve $(APP) on http://$(HOST):$(PORT)"
	@echo "make explore  serve a fleet of devices, with the page that describes and calls it"
	@echo "make chat     serve a chat page at the same address"
	@echo "make scale    show two workers that serve one realm, over NATS if nats-server is installed; about 15 seconds"
	@echo "make test     run the linter, the type checker, and the tests with coverage"
	@echo "make lint     run ruff"
	@echo "make types    run mypy"
	@echo "make format   sort imports and format the code"
	@echo "make bench    measure performance, compared with a bare ASGI app; BENCH=--help lists the options"
	@echo "make soak     run 500 sessions, most of them misbehaving, for two minutes on each transport, and check for leaks"
	@echo "make chaos    kill, pause and restart workers and engines under load, for two minutes on each backplane"
	@echo "make fuzz     feed mutated frames and messages to the app; FUZZ_SECONDS=$(FUZZ_SECONDS) is the time per target"
	@echo "make clean    remove $(VENV) and generated files"
	@echo "PYTHON=python3.12 selects the interpreter for $(VENV), Python 3.11 or newer"

run: $(RUNNABLE)
	@echo
	@echo "    Serving $(APP) on ws://$(HOST):$(PORT)/ , press Ctrl-C to stop."
	@echo "    To call it, run this in another terminal, in the same directory:"
	@echo
	@echo "    $(BIN)/wampasgi call$(AT) $(TRY)"
	@echo
	@exec $(SERVE) $(APP)

explore: $(RUNNABLE)
	@echo
	@echo "    Open http://$(HOST):$(PORT)/docs , press Ctrl-C to stop."
	@echo "    To change the fleet, log in with the method ticket as \"operator\"; the ticket is \"demo\"."
	@echo "    Or run these in another terminal, in the same directory:"
	@echo
	@echo "    $(BIN)/wampasgi call$(AT) fleet.devices limit=2"
	@echo "    $(BIN)/wampasgi subscribe$(AT) fleet.status.changed"
	@echo "    $(BIN)/wampasgi call$(AT) --authid operator --ticket demo fleet.firmware.update pump-1 2.0.0"
	@echo
	@OPERATOR_TICKET=demo exec $(SERVE) examples.fleet.app:app

chat: $(RUNNABLE)
	@echo
	@echo "    Serving a chat on http://$(HOST):$(PORT)/ , press Ctrl-C to stop."
	@echo "    Open it in two browser windows."
	@echo
	@exec $(SERVE) examples.chat.app:app

scale: $(RUNNABLE)
	@$(PIP_INSTALL) --editable '.[nats]' || echo "nats-py cannot be installed."
	@$(BIN)/python -m examples.scaling $(SCALE)

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
	@$(if $(filter --no-peers,$(BENCH)),,$(PIP_INSTALL) --editable '.[bench-peers]' || \
		echo "The frameworks for the comparison cannot be installed.")
	@$(BIN)/python -m benchmarks --install $(BENCH)

soak: $(TESTABLE)
	@$(BIN)/python -m tests.soak $(SOAK)

chaos: $(TESTABLE)
	@$(BIN)/python -m tests.chaos $(CHAOS)

fuzz: $(TESTABLE)
	@$(PIP_INSTALL) --editable '.[fuzz]' || { \
		echo "atheris cannot be installed for $$($(BIN)/python --version): its wheels cover Linux and some Python versions only." >&2; \
		exit 1; }
	@$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(FUZZ)

clean:
	rm -rf $(VENV) .coverage .coverage.* .fuzz .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist htmlcov
	find . -name node_modules -prune -o -type d -name __pycache__ -exec rm -rf {} +

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		found=$$($(PYTHON) --version 2>/dev/null || echo missing); \
		echo "wampasgi needs Python 3.11 or newer, but $(PYTHON) is $$found." >&2; \
		echo "Select another interpreter: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
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
