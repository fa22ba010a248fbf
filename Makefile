# Every verb sets up what it needs; a second set-up costs nothing. The interpreter is python3,
# or what you name: make PYTHON=python3.13 test
.DEFAULT_GOAL := help
.NOTPARALLEL:
# $(MAKE) and the scripts hand PYTHON on; nothing else of make's own may leak into what we run.
export PYTHON ?= python3
WITH_PYTHON := sh scripts/with_python.sh
BIN := .venv/bin
PYTEST_ARGS ?= -n auto
RUN_ARGS ?=
SEED ?=
ROUNDS ?= 10
N ?= 10000
NAMES ?=

.PHONY: help run test smoke setup lint types contracts pytest agents matrix golden bench sim zoo status-report clean

help: ## list the verbs
	@echo "ModuPrompt. make VERB, where VERB is one of:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

run: setup ## set everything up and run the demo on a real repository (RUN_ARGS='--repo PATH')
	@$(BIN)/mpctl demo $(RUN_ARGS)

test: setup ## set everything up, then lint, types, import contracts and every test
	@$(MAKE) --no-print-directory lint types contracts
	@$(WITH_PYTHON) scripts/agents.py --if-possible
	@$(MAKE) --no-print-directory pytest
	@echo "test: everything passed"

smoke: ## check the repository itself: standard library only, no set-up, seconds
	@$(WITH_PYTHON) scripts/smoke.py

setup: ## put the locked dependencies into .venv (the other verbs do it by themselves)
	@$(WITH_PYTHON) scripts/setup.py

lint: setup ## check style and format with ruff
	@echo "lint: ruff check, ruff format"
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check || { echo "hint: .venv/bin/ruff format" >&2; exit 1; }

types: setup ## check the types with basedpyright, strict
	@echo "types: basedpyright"
	@$(BIN)/basedpyright

contracts: setup ## check that imports only go down the storeys of the house
	@echo "contracts: import-linter"
	@$(BIN)/lint-imports --no-cache --no-logo

pytest: setup ## run every test (PYTEST_ARGS='tests/unit -k lease')
	@echo "pytest: $(PYTEST_ARGS)"
	@$(BIN)/pytest $(PYTEST_ARGS)

agents: ## install the agent programs that the tests drive, pinned, into .agents (needs Node; make test does it where it can)
	@$(WITH_PYTHON) scripts/agents.py

matrix: setup agents ## drive the real agent programs through every cell of the behaviour matrix, also the dear ones
	@$(BIN)/pytest -n 2 -m "wide or not wide" tests/agents

golden: setup ## write the golden files again; read the diff before you commit it
	@$(BIN)/python scripts/golden.py

bench: ## measure, and write bench/RESULTS.md (NAMES='commands replay', or NAMES=--quick, writes nothing)
	@$(WITH_PYTHON) scripts/setup.py bench
	@.venv-bench/bin/python -m bench $(NAMES)

sim: setup ## simulate crashes and power cuts with fresh seeds (ROUNDS=10), or one again (SEED=n)
	@$(BIN)/python -m tests.support.simulation $(if $(SEED),$(SEED),--rounds $(ROUNDS))

zoo: setup ## prompts into a zoo of fake terminal programs (N=10000, SEED=n); what they got is compared with what was told
	@$(BIN)/python -m tests.support.zoo.show $(N) $(if $(SEED),$(SEED),1)

status-report: setup ## replay the recorded screens: how often the status rules are right
	@$(BIN)/python -m tests.support.status.report

clean: ## remove what set-up and tests left in this folder; your data lie elsewhere and stay
	@rm -rf .venv .venv-bench .tools .agents .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
	@echo "clean: done"
