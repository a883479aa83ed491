# The library for other architectures and C libraries: what mk/cross.txt lists, into target/cross/NAME. On x86-64.

CROSS := $(shell sed -n 's/^\([a-z0-9_]*-[a-z]*\) .*/\1/p' mk/cross.txt)

.PHONY: cross-deps
cross-deps: cross-zig
	@mk/deps-cross.sh

.PHONY: cross-zig
cross-zig:
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --requirement mk/requirements-cross.txt

.PHONY: cross $(CROSS:%=cross-%)
cross: cross-deps ## the library for six architectures and two C libraries: target/cross/NAME
	@for name in $(CROSS); do mk/cross.sh $$name built command; done

$(CROSS:%=cross-%): cross-%:
	@mk/cross.sh $* built command

.PHONY: test-cross
test-cross: cross ## its tests there, under qemu-user where needed, and a crowd of all of them on one journal (half an hour)
	@$(PYTHON) tests/cross/cross.py

.PHONY: test-i686
test-i686: cross-zig ## the same for 32-bit x86 alone, which runs without qemu
	@mk/deps-cross.sh i686-gnu
	@mk/cross.sh i686-gnu built
	@$(PYTHON) tests/cross/cross.py i686-gnu
