# Whether the tests notice: protections are taken out of the code one by one, and the code is changed here and there.

.PHONY: mutants
mutants: ## takes each protection out of the code, and sees its test turn red; an hour on two cores
	@python3 tests/mutants/run.py

.PHONY: mutants-check
mutants-check:
	@python3 tests/mutants/run.py --check
