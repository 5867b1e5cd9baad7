VENV := .venv
PYTHON := $(VENV)/bin/python

.PHONY: proto proto-release
proto: ## Generate the Python stubs under gen/ from the contracts under proto/
	@$(PYTHON) -m tools.checks.protos generate

proto-release: ## Record the contracts as published: later changes may not break them
	@$(PYTHON) -m tools.checks.protos release
