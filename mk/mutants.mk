# Whether the tests notice: protections are taken out of the code one by one, and the code is changed here and there.

.PHONY: mutants
mutants: ## takes each protection out of the code, and sees its test turn red: ten minutes
	@python3 tests/mutants/run.py

.PHONY: mutants-all
mutants-all: ## changes the code here and there (JLOCK_EVERY=N: each Nth time), and looks for a test that turns red: hours
	@python3 tests/mutants/all.py --every $${JLOCK_EVERY:-1}

.PHONY: mutants-page
mutants-page: ## puts the tables of the last two into tests/mutants/README.md
	@python3 tests/mutants/run.py --page
	@python3 tests/mutants/all.py --page

.PHONY: mutants-check
mutants-check:
	@python3 tests/mutants/run.py --check
