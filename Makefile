# One word per job. Needs make and Python >= 3.11, nothing else: everything lands in .venv.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= proto
export PATH := $(CURDIR)/$(BIN):$(PATH)
export UV_SYSTEM_CERTS := 1

.DEFAULT_GOAL := help
.PHONY: help demo story test lint check fix proto docs lock bench soak clean

help:  ## list the jobs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

.venv/ready: pyproject.toml requirements.lock
	@test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/pip install -q --disable-pip-version-check uv; }
	@uv pip install -q --python $(BIN)/python -r requirements.lock -e .
	@touch $@

demo: .venv/ready  ## the twin of a simulated hall and of this machine, live in the terminal
	@coldaisle demo

story: .venv/ready  ## a cooling fault from alert to verified remedy, unattended
	@coldaisle demo --story

test: .venv/ready  ## the tests
	@pytest -q

lint: .venv/ready  ## style, types, layers, generated code
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	@$(MAKE) -s proto OUT=.venv/proto
	diff -r -x '*.proto' -x py.typed -x __pycache__ .venv/proto proto

check: lint test  ## everything: style, types, layers, generated code, tests

fix: .venv/ready  ## format and repair what can be repaired
	@ruff check -q --fix . ; ruff format -q .

proto: .venv/ready  ## regenerate the gRPC code
	@mkdir -p $(OUT)
	@python -m grpc_tools.protoc -Iproto --python_out=$(OUT) --grpc_python_out=$(OUT) \
	  --mypy_out=quiet:$(OUT) --mypy_grpc_out=quiet:$(OUT) $$(find proto -name '*.proto' | sort)

docs: .venv/ready  ## the generated pages of the reference
	@python docs/reference/make_events.py

lock:  ## newest versions of every dependency
	@test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/pip install -q --disable-pip-version-check uv; }
	@uv pip compile -q --universal --python-version 3.11 --upgrade --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url --all-extras --group dev pyproject.toml -o requirements.lock

bench: .venv/ready  ## ratios against peers, one JSON line a benchmark
	@for benchmark in $$(grep -l __main__ benchmarks/*.py); do echo "== $$benchmark" && python $$benchmark || exit 1; done

soak: .venv/ready  ## the long form of the crash and fuzz tests
	@COLDAISLE_SOAK=1 pytest -q

clean:  ## remove what was made
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
