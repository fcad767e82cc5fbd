# `make demo` and `make test` install what they need, by name, and say so.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PACKAGES := devices edge hub proto security

.DEFAULT_GOAL := help
.PHONY: help demo test lint proto bench soak mutations lock setup vectors machine clean

help: ## what can be made here
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

machine:
	@PYTHON=$(PYTHON) deploy/setup/machine.sh

$(READY): requirements/build.txt requirements/all.txt pyproject.toml deploy/setup/venv.sh
	@PYTHON=$(PYTHON) deploy/setup/venv.sh $(VENV)
	@touch $@

setup: machine ## install what is missing: Debian packages, .venv
	@if [ -e $(VENV)/.without-pyscard ] && PYTHON=$(PYTHON) deploy/setup/can_build_pyscard.sh; then rm -f $(READY); fi
	@$(MAKE) --no-print-directory $(READY)
	@$(BIN)/python -m compileall -q $(PACKAGES) # as an installed package is, so that an agent starts in half the time

demo: setup ## the whole path in two minutes; ARGS=--stay leaves it running
	@$(BIN)/python -m deploy.demo $(ARGS)

vectors: setup
	@deploy/setup/vectors.sh $(VENV)

test: vectors ## all tests, in parallel
	@$(BIN)/python -m pytest -n auto --dist worksteal -q $(ARGS)

lint: setup ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/mypy

proto: setup ## generate the stubs again
	@$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. proto/*.proto

bench: setup ## figures against floors measured in the same run, into build/bench.json
	@$(BIN)/python -m tests.bench $(ARGS)

soak: setup ## whatever may happen to a machine, and a full check after each round; ARGS="kill --seed 7", into build/soak.json
	@$(BIN)/python -m tests.soak $(ARGS); found=$$?; $(BIN)/python -m tests.soak --table; exit $$found

mutations: setup ## guards taken out one at a time, and the tests that notice it, into build/mutations.json; ARGS="receipt --jobs 4"
	@$(BIN)/python -m tests.mutations $(ARGS); found=$$?; $(BIN)/python -m tests.mutations --table; exit $$found

lock: ## choose versions anew; needs uv
	uv pip compile --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header --all-extras pyproject.toml -o requirements/all.txt
	uv pip compile --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header --extra edge pyproject.toml -o requirements/edge.txt
	uv pip compile --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header --extra hub pyproject.toml -o requirements/hub.txt
	printf 'setuptools\nswig\nwheel\n' | uv pip compile --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header - -o requirements/build.txt

clean: ## remove what was made here
	rm -rf build $(VENV)
