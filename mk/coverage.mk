# Which lines and branches of src/ the suites in Rust reach.

.PHONY: coverage
coverage: ## lines and branches of src/ that the suites reach, and each line that none does; fails if one has no reason
	@tests/coverage/run.sh
