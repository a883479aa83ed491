# The proofs: at their everyday bounds, and at their full ones.

.PHONY: fuzz
fuzz: ## every fuzz target, a minute in total, with the same inputs each time
	@fuzz/run.sh same 50000

.PHONY: sanitize
sanitize: ## the C tests, examples and threads under AddressSanitizer, ThreadSanitizer and valgrind
	@for what in address thread valgrind; do tests/sanitize/run.sh $$what; done

.PHONY: prove
prove: ## every proof at its full bounds, hours on two cores; the figures go to target/prove/table.md
	@python3 mk/prove.py

.PHONY: prove-page
prove-page: ## puts the figures of the last `make prove` into docs/proof.md
	@python3 mk/prove.py --page
