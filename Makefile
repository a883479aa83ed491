# jlock: `make test` does everything from a fresh checkout; `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := target/venv
PYTHON := $(VENV)/bin/python
export JLOCK_LIBRARY ?= $(CURDIR)/target/release/libjlock.so

include mk/library.mk
include mk/abi.mk
include mk/dist.mk
include mk/cli.mk
include mk/bench.mk
include mk/locks.mk
include mk/prove.mk
include mk/places.mk
include mk/vm.mk
include mk/debian.mk
include mk/mutants.mk
include mk/loaded.mk
include mk/coverage.mk
include mk/packages.mk
include mk/system-packages.mk
include mk/cross.mk

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile mk/*.mk | column -ts $$'\t'

# --------------------------------------------------------------------------------------------------------- set-up

.PHONY: deps
deps: ## installs what is missing (Debian, Ubuntu), with locked versions
	@mk/deps.sh $(DEB_TOOLS)
	@mk/deps-sanitize.sh
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --requirement mk/requirements.txt
	@npm ci --prefix examples/node --silent --no-fund --no-audit
	@sh tests/interop/fetch-peer.sh

# ---------------------------------------------------------------------------------------------------------- tests

# The lanes are made side by side: the suites in Rust wait for other processes half of the time.
TEST := deps lint library test-abi -- test-rust -- fuzz sanitize test-dist test-deb \
    -- test-python test-go test-node test-demo test-locks test-packages bench-smoke

.PHONY: test
test: ## all tests, every language; at the end it says how long each part took
	@mk/parts.sh $(TEST)
	@echo "make test: passed"

.PHONY: lint
lint: mutants-check
	cargo fmt --check
	cargo clippy --quiet --all-targets --features seam -- -D warnings
	cargo clippy --quiet --lib --features installed -- -D warnings
	cargo clippy --quiet --package jlock --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps
	shellcheck -x mk/*.sh tests/vm/init tests/loaded.sh tests/coverage/*.sh tests/interop/*.sh tests/debian/*.sh tests/dist/run.sh packaging/*.sh packaging/debian/tests/c-claims packaging/debian/tests/command tests/packages/*.sh examples/go/lib/fill.sh benches/*.sh fuzz/run.sh tests/sanitize/*.sh \
	    cli/completions/jlock.bash .ci/run

.PHONY: test-rust
test-rust:
	cargo test --quiet --features seam

.PHONY: test-python
test-python: library lint-locks
	cd examples/python && $(CURDIR)/$(PYTHON) -m mypy --strict && $(CURDIR)/$(PYTHON) -m mypy --strict ../demo/demo.py
	cd examples/python && $(CURDIR)/$(PYTHON) -m pytest -q tests
	cd tests/second && $(CURDIR)/$(PYTHON) -m mypy --strict peer.py journal.py storm.py
	cd tests/places && $(CURDIR)/$(PYTHON) -m mypy --strict places.py table.py
	cd tests/mutants && $(CURDIR)/$(PYTHON) -m mypy --strict run.py all.py
	cd tests/vm && MYPYPATH=../places $(CURDIR)/$(PYTHON) -m mypy --strict *.py
	$(PYTHON) -m mypy --strict packaging/copyright.py mk/prove.py
	cd tests/packages && $(CURDIR)/$(PYTHON) -m mypy --strict parts.py row.py
	cd tests/cross && MYPYPATH=../places:../../mk/packages $(CURDIR)/$(PYTHON) -m mypy --strict cross.py
	cd benches && $(CURDIR)/$(PYTHON) -m mypy --strict bench.py page.py

.PHONY: test-go
test-go: library
	sh examples/go/lib/fill.sh
	cd examples/go && test -z "$$(gofmt -l .)" && go vet ./... && go test -race -count=1 ./...

.PHONY: test-node
test-node: library
	npm test --prefix examples/node

.PHONY: test-demo
test-demo: demo-build
	$(PYTHON) examples/demo/demo.py --entries 500 --shipped-entries 20 --no-contrast

# ----------------------------------------------------------------------------------------------------------- demo

.PHONY: demo
demo: deps demo-build ## five languages and one shipped peer write one journal while writers are killed
	@$(PYTHON) examples/demo/demo.py

.PHONY: demo-build
demo-build: library
	@mkdir -p target/demo
	@cargo build --quiet --release --package jlock --example writer
	@$(CC) -O2 -Wall -Wextra -Iinclude examples/c/writer.c target/release/libjlock.a -o target/demo/writer-c
	@sh examples/go/lib/fill.sh
	@cd examples/go && go build -o ../../target/demo/writer-go ./cmd/writer

.PHONY: clean
clean: ## removes what was built
	cargo clean
	rm -rf examples/node/node_modules tests/interop/node_modules benches/node/node_modules tests/packages/node_modules \
	    tests/packages/runtimes/node_modules
