# Everything a developer does, in targets; `make` alone lists them.
#
# The only things needed beforehand are Python 3.11 or newer with its venv module, and make.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PY ?= python3
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
COMPILED := build/compiled/.done
UV_VERSION := 0.13.9
WORKERS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))
SERVICES := policy decision execution audit

# uv would fetch an interpreter of its own, or refuse a company's certificate authority.
export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS := true
export UV_LINK_MODE := copy

# Containers often forbid Python to keep what it compiled; each of our many processes would then compile the same
# packages again, three to four seconds of processor time at every start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the targets
	@echo "Evenkeel. To see it work: make demo. To check a change: make check test."
	@awk -F ':.*## |##@ ' '/^##@ /{ printf "\n%s\n", $$2 } /^[a-z-]+:.*## /{ printf "  make %-14s %s\n", $$1, $$2 }' \
	  $(MAKEFILE_LIST)

##@ Set-up

.PHONY: setup
setup: $(COMPILED) ## Make .venv with the locked packages; done by every other target when needed

$(READY): requirements/dev.lock pyproject.toml
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Evenkeel needs Python 3.11 or newer; name one by: make PY=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PY) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv make"; exit 1; }
	@echo "Installing the locked packages into $(VENV), once; this takes a minute or more."
	@[ -x $(PYTHON) ] || $(PY) -m venv $(VENV)
	@$(PYTHON) -m pip install -q --disable-pip-version-check uv==$(UV_VERSION) 2>/dev/null \
	  || echo "uv cannot be installed; going on with pip, which is slower"
	@if [ -x $(VENV)/bin/uv ]; then \
	  $(VENV)/bin/uv pip sync -q --python $(PYTHON) --require-hashes requirements/dev.lock; \
	  $(VENV)/bin/uv pip install -q --python $(PYTHON) --no-deps --no-build-isolation --editable .; \
	else \
	  $(PYTHON) -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.lock; \
	  $(PYTHON) -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	fi
	@touch $@

# Compiled again when its sources change, so that no test and no demo waits for it.
$(COMPILED): $(READY) $(wildcard services/decision/domain/*.py services/decision/domain/kernel/*.py services/decision/domain/bulk/*.py \
  services/decision/domain/tax/batch/*.py) services/audit/domain/scanning.py services/audit/domain/placing.py \
  services/audit/domain/hashing.py services/audit/store/copied.py
	@echo "Compiling numeric code for this processor; it is kept until its sources change. This takes a minute or more."
	@$(PYTHON) -m services.decision compile
	@$(PYTHON) -m tools.local.compiled
	@mkdir -p $(@D)
	@touch $@

.PHONY: calendars
calendars: $(READY) ## Write down on which days exchanges trade, from the pinned version of exchange_calendars
	@$(PYTHON) -m tools.checks.calendars generate

.PHONY: lock
lock: $(READY) ## Compile requirements/*.lock from pyproject.toml; UPGRADE=--upgrade takes newer versions
	@compile() { $(VENV)/bin/uv pip compile -q --universal --generate-hashes --python-version 3.11 \
	  --custom-compile-command "make lock" pyproject.toml "$$@"; }; \
	compile --all-extras $(UPGRADE) -o requirements/dev.lock; \
	for service in $(SERVICES); do \
	  compile --extra $$service --constraint requirements/dev.lock --upgrade -o requirements/$$service.lock; \
	done

.PHONY: clean
clean: ## Remove what the other targets made, the set-up and the demo's data included
	@rm -rf $(VENV) .state build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Change

.PHONY: proto
proto: $(READY) ## Generate from the contracts under proto/: the Python stubs, and the schemas for editors
	@$(PYTHON) -m tools.checks.protos generate
	@$(PYTHON) -m tools.checks.schemas generate

.PHONY: proto-release
proto-release: $(READY) ## Record the contracts as published: later changes may not break them
	@$(PYTHON) -m tools.checks.protos release

.PHONY: format
format: $(READY) ## Rewrite code and contracts in the one format
	@$(VENV)/bin/ruff format -q
	@$(VENV)/bin/ruff check -q --select I --fix
	@$(PYTHON) -m tools.checks.protos format

##@ Check

.PHONY: check
check: lint types imports contracts locks manifests ## Everything below; what CI runs before the tests

.PHONY: lint
lint: $(READY) ## Format and style of the code
	@$(VENV)/bin/ruff format --check -q || { echo "some files are not formatted: make format"; exit 1; }
	@$(VENV)/bin/ruff check -q
	@$(PYTHON) -m tools.checks.exemptions

.PHONY: types
types: $(READY) ## Types, strictly
	@$(VENV)/bin/mypy

.PHONY: imports
imports: $(READY) ## Who may import whom
	@$(VENV)/bin/lint-imports --no-logo

.PHONY: contracts
contracts: $(READY) ## Style, breaking changes and house rules of the contracts; stubs and error reasons agree with them
	@$(PYTHON) -m tools.checks.protos check
	@$(PYTHON) -m tools.checks.schemas check
	@$(PYTHON) -m tools.checks.reasons

.PHONY: locks
locks: $(READY) ## Locked packages are those that pyproject.toml asks for
	@$(PYTHON) -m tools.checks.locks

.PHONY: manifests
manifests: $(READY) ## Render the Kubernetes manifests and check them against the schemas; Dockerfiles follow the recipe
	@$(PYTHON) -m tools.checks.manifests
	@$(PYTHON) -m tools.checks.images

##@ Test

.PHONY: test
test: $(COMPILED) ## All tests but the long chaos tests, in parallel; ARGS go to pytest
	@$(PYTHON) -m pytest -q -n $(WORKERS) --dist loadgroup $(ARGS)

.PHONY: test-times
test-times: $(COMPILED) ## Which files of tests take most processor time, in all their processes; ARGS names some
	@$(PYTHON) -m pytest -q -p tests.support.processor_time $(ARGS)

.PHONY: test-fast
test-fast: $(COMPILED) ## All tests but those that start the four services as processes
	@$(PYTHON) -m pytest -q -n $(WORKERS) --dist loadgroup -m "not system and not chaos" $(ARGS)

.PHONY: test-system
test-system: $(COMPILED) ## Only the tests that start the four services as processes
	@$(PYTHON) -m pytest -q -m "system and not chaos" $(ARGS)

.PHONY: test-chaos
test-chaos: $(COMPILED) ## Long tests that kill processes at random points and count what was lost or done twice: nothing
	@$(PYTHON) -m pytest -q -s -m chaos --timeout 3600 $(ARGS)

.PHONY: bench
bench: $(COMPILED) ## Benchmarks against their peers; ONLY=prefix chooses some; results in build/bench/results.json
	@$(PYTHON) -m tests.bench $(ONLY)

##@ Run

.PHONY: demo
demo: $(COMPILED) ## Rebalance 1,000 accounts on real prices through all four services; VENUE=fix trades over FIX
	@$(PYTHON) -m tools.demo $(if $(VENUE),--venue $(VENUE)) $(ARGS)

.PHONY: up
up: $(COMPILED) ## Start the four services for your own calls, VENUE=fix with a broker over FIX; Ctrl-C stops them
	@$(PYTHON) -m tools.demo.up $(if $(VENUE),--venue $(VENUE)) $(ARGS)

.PHONY: run
run: $(COMPILED) ## Run one service with the settings in the environment: make run SERVICE=policy
	@$(PYTHON) -m services.$(SERVICE) serve
