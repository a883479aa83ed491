# README's two commands on a bare Debian, and each language's tests against the installed library there.

.PHONY: test-debian
test-debian: ## on a bare Debian, in a root by debootstrap: `make test`, `make demo`, the installed library (root; slow)
	@mk/deps.sh debootstrap:debootstrap
	@tests/debian/run.sh
