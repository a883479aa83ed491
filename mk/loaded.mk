# Checks that no verdict depends on how busy the machine is.

LOADED ?= test

.PHONY: test-loaded
test-loaded: ## runs make test (or LOADED) three times beside eight busy loops and a loop of fsync, and once on one CPU
	@for time in 1 2 3; do tests/loaded.sh $(MAKE) --no-print-directory $(LOADED); done
	@taskset --cpu-list 0 $(MAKE) --no-print-directory $(LOADED)
