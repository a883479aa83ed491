# Packages for languages, into target/packages: wheels and a source distribution for Python, a tarball for npm, a module
# for Go. Each contains the library for every platform for which it has been built: this machine's, and those of `make cross`.

MACHINE := $(shell uname -m)
# The platform's name as in mk/cross.txt, and zig's name for it, with the oldest glibc that we support.
HERE    := $(TARGET)/platforms/$(MACHINE)-gnu
ZIG     := $(abspath $(PYTHON)) -m ziglang
ZIG_FOR := $(MACHINE)-linux-gnu.$(if $(filter riscv64,$(MACHINE)),2.27,2.17)

.PHONY: packages
packages: made-packages ## packages for every language and system, each installed elsewhere and tested there (half an hour)
	@rm -rf $(TARGET)/packages/results
	@$(MAKE) --no-print-directory --jobs=3 tried
	@$(PYTHON) mk/packages/table.py

# Side by side, because the suites mostly wait.
.PHONY: tried tried-python tried-node tried-go tried-again
tried: tried-python tried-node tried-go tried-again test-deb test-rpm
tried-python tried-node tried-go: tried-%:
	@$(PYTHON) mk/packages/try_$*.py
tried-again:
	@$(PYTHON) mk/packages/reproduce.py

.PHONY: test-packages
test-packages: made-packages ## installs one wheel, the npm tarball and the Go module elsewhere, and tries them there
	@$(PYTHON) mk/packages/try_python.py --short
	@$(PYTHON) mk/packages/try_node.py --short
	@$(PYTHON) mk/packages/try_go.py --short
	@cd mk/packages && ../../$(PYTHON) -m mypy --strict .

.PHONY: packages-page
packages-page: ## puts what the last `make packages` found into docs/packages.md
	@$(PYTHON) mk/packages/table.py --page

.PHONY: packages-deps
packages-deps:
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --requirement mk/requirements.txt --requirement mk/requirements-packages.txt
	@npm ci --prefix tests/packages --silent --no-fund --no-audit
	@test -d examples/node/node_modules/typescript || npm ci --prefix examples/node --silent --no-fund --no-audit

.PHONY: made-packages
made-packages: packages-deps platform
	@$(PYTHON) mk/packages/about.py
	@$(PYTHON) mk/packages/wheel.py
	@$(PYTHON) mk/packages/npm.py
	@$(PYTHON) mk/packages/gomod.py

.PHONY: platform
platform: $(HERE)/$(SONAME) $(HERE)/libjlock.a

$(HERE)/libjlock.a: $(DIST)/libjlock.a
	@mkdir -p $(HERE)
	@cp $< $@

# The same object as the installed library's. It is linked with zig, for the symbols of an old glibc, and with the machine's
# unwinder, because a program must have only one.
$(HERE)/$(SONAME): $(DIST)/jlock.o libjlock.map mk/requirements-packages.txt
	@mkdir -p $(HERE)
	@ZIG_GLOBAL_CACHE_DIR=$(abspath $(TARGET))/platforms/zig ZIG_LOCAL_CACHE_DIR=$(abspath $(TARGET))/platforms/zig \
	    $(ZIG) cc -target $(ZIG_FOR) -shared -s -o $@ -Wl,-soname,$(SONAME) -Wl,--version-script=libjlock.map \
	    $(EXPORTS:%=-Wl,-u,%) -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now -Wl,-z,nodelete -Wl,-z,defs -Wl,--as-needed \
	    $< "$$($(CC) -print-file-name=libgcc_s.so.1)" -lpthread -ldl -lm
