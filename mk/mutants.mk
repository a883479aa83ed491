# Do the tests notice? Takes protections out of the code one by one, and makes other small changes to it.

.PHONY: mutants
mutants: ## takes each protection out of the code, and expects its test to fail: ten minutes
	@python3 tests/mutants/run.py

.PHONY: mutants-all
mutants-all: ## changes the code in many places (JLOCK_EVERY=N: in every Nth), and looks for a test that fails: hours
	@python3 tests/mutants/all.py --every $${JLOCK_EVERY:-1}

.PHONY: mutants-page
mutants-page: ## puts the tables that these two made last into tests/mutants/README.md
	@python3 tests/mutants/run.py --page
	@python3 tests/mutants/all.py --page

.PHONY: mutants-check
mutants-check:
	@python3 tests/mutants/run.py --check
