# The library in places other than a local disk; include it after library.mk and cli.mk, whose variables it uses. Needs root.

PLACES := $(TARGET)/places
FUSE   := $$(pkg-config --cflags --libs fuse3)

$(PLACES)/worker: tests/places/worker.c include/jlock.h $(DIST)/libjlock.a
	@mkdir -p $(PLACES)
	@$(CC) -std=c11 -O2 -Wall -Wextra -Werror -Iinclude -o $@ $< -Wl,--gc-sections -Wl,--as-needed $(DIST)/libjlock.a $(SYSTEM)

# Without libfuse3, the places that this program makes are not tried.
$(PLACES)/thin: tests/places/thin.c
	@mkdir -p $(PLACES)
	@! pkg-config --exists fuse3 || $(CC) -std=c11 -O2 -Wall -Wextra -Werror -o $@ $< $(FUSE)

.PHONY: places-built
places-built: $(PLACES)/worker $(DIST)/jlock
	@cp $(DIST)/jlock $(PLACES)/jlock

.PHONY: places-deps
places-deps:
	@mk/deps-places.sh

.PHONY: test-places
test-places: places-deps places-built ## local, FUSE, overlaid, full and read-only places, with kills and an oracle (root; minutes)
	@$(MAKE) --no-print-directory $(PLACES)/thin
	@python3 tests/places/places.py --programs $(PLACES) --save $(PLACES)/seen.json

.PHONY: test-places-quick
test-places-quick: places-built ## the same, but only the places that need nothing but libfuse3
	@$(MAKE) --no-print-directory $(PLACES)/thin
	@python3 tests/places/places.py --programs $(PLACES) --quick --turns 60 --kills 3

.PHONY: places-table
places-table: ## writes docs/places.md, from the last `make test-places` and `make test-vm`
	@python3 tests/places/table.py $(PLACES)/seen.json $(VM)/seen.json >$(PLACES)/table.md
	@cp $(PLACES)/table.md docs/places.md
