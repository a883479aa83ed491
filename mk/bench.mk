# The benchmark, side by side with the alternatives; include it after library.mk, whose variables it uses.

BENCH     := $(TARGET)/bench
BENCH_DIR ?= $(BENCH)/scratch
BENCH_BIN := $(BENCH)/bin

BENCH_PYTHON := $(BENCH)/venv/bin/python
BENCH_C      := $(patsubst benches/c/%.c,$(BENCH_BIN)/%,$(sort $(wildcard benches/c/*.c)))
BENCH_NODE   := benches/node/node_modules/.package-lock.json
BENCH_GO     := $(BENCH_BIN)/pair_go $(BENCH_BIN)/turn_go
BENCH_KOFFI  := examples/node/node_modules/.package-lock.json
BENCH_NEEDS  := $(BENCH_C) $(BENCH_PYTHON) $(BENCH_NODE) $(BENCH_KOFFI) $(BENCH_GO)
BENCH_RUN     = PYTHONPATH=$(CURDIR)/examples/python JLOCK_LIBRARY=$(CURDIR)/$(DIST)/$(SONAME) $(BENCH_PYTHON) benches/bench.py --programs $(BENCH_BIN) --dir "$(BENCH_DIR)" --out $(BENCH)

$(BENCH_BIN)/pair_liblockfile: BENCH_LIBS := -llockfile

# The measuring programs are built as a user would build them: with the archive that is installed.
$(BENCH_C): $(BENCH_BIN)/%: benches/c/%.c $(wildcard benches/c/*.h) include/jlock.h $(DIST)/libjlock.a | bench-deps
	@mkdir -p $(BENCH_BIN)
	@$(CC) -std=c11 -D_GNU_SOURCE -O2 -Wall -Wextra -Iinclude -o $@ $< -Wl,--gc-sections -Wl,--as-needed \
	    $(DIST)/libjlock.a $(BENCH_LIBS) $(SYSTEM)

$(BENCH_PYTHON): benches/python/requirements.txt
	@test -x $@ || python3 -m venv $(BENCH)/venv
	@$@ -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(BENCH_NODE): benches/node/package.json benches/node/package-lock.json
	@npm ci --prefix benches/node --silent --no-fund --no-audit
	@touch $@

$(BENCH_KOFFI): examples/node/package.json examples/node/package-lock.json
	@npm ci --prefix examples/node --silent --no-fund --no-audit
	@touch $@

$(BENCH_BIN)/pair_go: benches/go/main.go benches/go/go.mod benches/go/go.sum
	@cd benches/go && go build -o $(CURDIR)/$@ .

$(BENCH_BIN)/turn_go: benches/go/turn/main.go benches/go/go.mod benches/go/go.sum $(wildcard examples/go/*.go) $(DIST)/libjlock.a
	@sh examples/go/lib/fill.sh $(DIST)/libjlock.a
	@cd benches/go && go build -o $(CURDIR)/$@ ./turn

.PHONY: bench-deps
bench-deps:
	@benches/deps.sh
	@sh tests/interop/fetch-peer.sh

.PHONY: bench
bench: built $(BENCH_NEEDS) ## the benchmark, on a quiet machine (BENCH_DIR: where); tables and plots in target/bench
	@$(BENCH_RUN)

.PHONY: bench-smoke
bench-smoke: built $(BENCH_NEEDS) ## checks that the benchmark runs, in its smallest form; judges no times
	@$(BENCH_RUN)/smoke --smoke

.PHONY: bench-page
bench-page: ## puts what the last benchmark measured into docs/benchmark.md, if the machine was quiet
	@python3 benches/page.py $(BENCH)
