# The other locks, tried; to be read after bench.mk, whose variables it uses.

HOLD_GO := $(TARGET)/locks/hold-go

$(HOLD_GO): benches/go/hold/main.go benches/go/go.mod benches/go/go.sum
	@cd benches/go && go vet ./hold && go build -o $(CURDIR)/$@ ./hold

.PHONY: test-locks
test-locks: cargo-release bench-deps $(BENCH_PYTHON) $(BENCH_NODE) $(HOLD_GO) ## tries what docs/which-lock.md says of other locks
	@PYTHONPATH=examples/python $(BENCH_PYTHON) tests/locks/locks.py

# With what the programs import, which the other tests' environment has not.
.PHONY: lint-locks
lint-locks: $(BENCH_PYTHON)
	cd tests/locks && MYPYPATH=../../examples/python $(CURDIR)/$(PYTHON) -m mypy --strict \
	    --python-executable $(CURDIR)/$(BENCH_PYTHON) hold.py locks.py
