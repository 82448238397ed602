# Veltrix. `make` alone lists the targets. Works with GNU make 3.81 and a POSIX shell; nothing here is
# Linux-only. PYTHON=/path/to/python chooses the Python that .venv is made with.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup engines demo run test check bench bench-cluster bench-notify bench-simulate rehearse simulate mutants provisioning format lock clean \
	lint lint-format lint-code lint-types lint-rooms \
	test-house test-unit test-conformance test-api test-cluster test-watching test-e2e

BIN := .venv/bin
RUNTIME := .venv/.installed-runtime
DEV := .venv/.installed-dev
SOURCES := $(wildcard src benchmarks tests)
suite = $(if $(wildcard $(1)),$(BIN)/pytest $(1),@echo "$(1) does not exist yet")

# A moved checkout or a vanished Python leaves stamps that no longer tell the truth.
ifneq ($(shell .venv/bin/python -c 'print("runs")' 2>/dev/null) $(shell cat .venv/.home 2>/dev/null),runs $(shell pwd -P))
.PHONY: $(RUNTIME) $(DEV)
endif

help: ## this list
	@echo "Veltrix: registrations for events, fair and never oversold."
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' Makefile

setup: $(DEV) ## make .venv with everything for development (the other targets do it when needed)

$(RUNTIME): requirements.lock pyproject.toml scripts/setup.sh
	@sh scripts/setup.sh requirements.lock
	@touch $@

$(DEV): requirements-dev.lock requirements.lock pyproject.toml scripts/setup.sh
	@sh scripts/setup.sh requirements-dev.lock
	@touch $(RUNTIME) $@

engines: $(DEV) ## get Kafka, PostgreSQL, etcd … into .engines, as far as this machine lacks them
	@sh scripts/engines.sh

demo: $(RUNTIME) ## the whole platform at work: 10,000 people register at once, everyone is told
	@$(BIN)/veltrix demo

run: $(RUNTIME) ## start the platform here, as it is shipped
	@$(BIN)/veltrix serve

check: lint test-house ## the gate before every commit: format, lint, types, rooms, house rules

# One target a tool, so that `make -k check` shows what all of them find.
lint: lint-format lint-code lint-types lint-rooms

lint-format: $(DEV)
	$(BIN)/ruff format --check $(SOURCES)

lint-code: $(DEV)
	$(BIN)/ruff check $(SOURCES)

lint-types: $(DEV)
	$(BIN)/mypy $(SOURCES)

lint-rooms: $(DEV)
	$(BIN)/lint-imports --no-logo

test: engines lint ## check, and every test (time by suite at the end)
	$(BIN)/pytest tests

test-house: $(DEV) ## the house rules alone
	$(BIN)/pytest tests/house

test-unit: $(DEV) ## unit and property tests (HYPOTHESIS_PROFILE=thorough looks longer)
	$(BIN)/pytest tests --ignore=tests/conformance --ignore=tests/api --ignore=tests/cluster --ignore=tests/e2e

test-conformance: engines ## one suite a port; every adapter passes it
	$(call suite,tests/conformance)

test-api: $(DEV) ## the HTTP API against its own description
	$(call suite,tests/api)

test-cluster: engines ## a cluster of real engines on this machine
	$(call suite,tests/cluster)

test-watching: engines ## every panel asked on a cluster of three of each (PROFILE=small: on one of each)
	$(BIN)/pytest tests/cluster/test_watching.py --cluster-profile $(or $(PROFILE),ha)

test-e2e: $(DEV) ## real processes, real kills
	$(call suite,tests/e2e)

bench: $(DEV) ## the benchmarks, one table
	@$(BIN)/python -m benchmarks

bench-cluster: engines ## how fast a cluster on this machine is, and where the time goes (QUICK=1: only that it works)
	@$(BIN)/python -m benchmarks.cluster $(if $(QUICK),--quick)

bench-notify: $(DEV) ## mails and webhooks a second of a core, beside their limits (QUICK=1: only that it works)
	@$(BIN)/python -m benchmarks.notify $(if $(QUICK),--quick)

bench-simulate: $(DEV) ## simulated seconds a second of a core, and where the time goes (QUICK=1: only that it works)
	@$(BIN)/python -m benchmarks.simulate $(if $(QUICK),--quick)

rehearse: engines ## faults on a cluster under load: recovery times, promises kept (REPEAT=5, HOSTS=3 as root for cuts)
	@$(BIN)/veltrix cluster rehearse --repeat $(or $(REPEAT),1) --hosts $(or $(HOSTS),0)

provisioning: $(DEV) ## write deploy/ anew: rules, dashboards, examples (RUNBOOKS=https://… where people read docs/runbooks.md)
	@$(BIN)/python -m veltrix.observability.provisioning deploy $(RUNBOOKS)

simulate: $(DEV) ## the explorer on fresh seeds (MINUTES=10, JOBS=2); what fails stands in failing-seeds.txt
	@$(BIN)/veltrix simulate soak --minutes $(or $(MINUTES),10) --jobs $(or $(JOBS),2)

mutants: $(DEV) ## plant every known bug, one at a time, and see the explorer find it (JOBS=2)
	@$(BIN)/python -m tests.simulation.mutants --jobs $(or $(JOBS),2)

format: $(DEV) ## put the code into the house's format
	$(BIN)/ruff check --fix-only --quiet $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

lock: ## resolve the dependencies anew (UPGRADE=1: to the newest versions)
	@sh scripts/lock.sh $(if $(UPGRADE),--upgrade)

clean: ## remove .venv, the engines and all caches
	[ ! -L .engines ] || rm -rf "$$(readlink .engines)"
	rm -rf .engines .venv .lock-venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find src tests scripts $(wildcard benchmarks) -name __pycache__ -type d -prune -exec rm -rf {} +
