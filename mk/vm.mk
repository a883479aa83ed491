# The library in virtual machines: network file systems, and power cuts. Include it after library.mk and cli.mk. Needs root.

VM := $(TARGET)/vm
# Static, for guests that have no C library.
STATIC := -static -Wl,--gc-sections $(DIST)/libjlock.a -lgcc_eh -lpthread

$(VM)/worker: tests/places/worker.c include/jlock.h $(DIST)/libjlock.a
	@mkdir -p $(VM)
	@$(CC) -std=c11 -O2 -Wall -Wextra -Werror -Iinclude -o $@ $< $(STATIC)

$(VM)/marked: tests/vm/marked.c include/jlock.h $(DIST)/libjlock.a
	@mkdir -p $(VM)
	@$(CC) -std=c11 -O2 -Wall -Wextra -Werror -Iinclude -o $@ $< $(STATIC)

$(VM)/jlock: $(CLI_SOURCES) cli/cli.h include/jlock.h $(DIST)/libjlock.a
	@mkdir -p $(VM)
	@$(CC) $(CLI_CFLAGS) -O2 -Iinclude -o $@ $(CLI_SOURCES) $(STATIC)

.PHONY: vm-built
vm-built: $(VM)/worker $(VM)/marked $(VM)/jlock
	@mk/deps-vm.sh $(VM)

# Small numbers for everyday use; `make prove` passes larger ones.
VM_TURNS   ?= 120
VM_CUTS    ?= 5
VM_APPENDS ?= 100

.PHONY: test-vm
test-vm: vm-built ## NFS, SMB, 9p, virtiofs and FAT in virtual machines, with kills and an oracle (root; many minutes)
	@python3 tests/vm/vm.py --images $(VM) --turns $(VM_TURNS) --save $(VM)/seen.json

.PHONY: test-powercut
test-powercut: vm-built ## virtual machines whose power is cut while writers report what is synced (root; minutes)
	@python3 tests/vm/powercut.py --images $(VM) --cuts $(VM_CUTS)
	@python3 tests/vm/replay.py --images $(VM) --appends $(VM_APPENDS)
