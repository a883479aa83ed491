# Tries the other locks; include it after bench.mk, whose variables it uses.

HOLD_GO := $(TARGET)/locks/hold-go

$(HOLD_GO): benches/go/hold/main.go benches/go/go.mod benches/go/go.sum
	@cd benches/go && go vet ./hold && go build -o $(CURDIR)/$@ ./hold

.PHONY: test-locks
test-locks: cargo-release bench-deps $(BENCH_PYTHON) $(BENCH_NODE) $(HOLD_GO) ## checks what docs/which-lock.md says about other locks
	@PYTHONPATH=examples/python $(BENCH_PYTHON) tests/locks/locks.py

# Checked against the packages that the programs import, which the other tests' environment does not have.
.PHONY: lint-locks
lint-locks: $(BENCH_PYTHON)
	cd tests/locks && MYPYPATH=../../examples/python $(CURDIR)/$(PYTHON) -m mypy --strict \
	    --python-executable $(CURDIR)/$(BENCH_PYTHON) hold.py locks.py
