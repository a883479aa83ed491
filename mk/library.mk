# The library as it is installed. This file also works alone: make -f mk/library.mk install DESTDIR=… prefix=…
#
# `cargo build --release` makes a libjlock.so that works, and an archive. Neither is fit for installing: the first has no
# SONAME and no symbol versions, and the second brings global symbols of Rust's own, which clash with those of a second
# library written in Rust. And half of each is code that prints a panic's stack trace. So what is installed is linked from a
# separate archive, with src/capi/contain.rs in place of std's handlers. In that archive, hardly anything is inlined that is
# not marked for it: it is smaller than with opt-level "s", and reads a million entries a fifth faster.

# For another architecture: CARGO_BUILD_TARGET, as cargo takes it, and CROSS_COMPILE=aarch64-linux-gnu- or each of the tools.
CARGO   ?= cargo
RUSTC   ?= rustc
ifdef CROSS_COMPILE
CC      := $(if $(filter default,$(origin CC)),$(CROSS_COMPILE)gcc,$(CC))
LD      := $(if $(filter default,$(origin LD)),$(CROSS_COMPILE)ld,$(LD))
AR      := $(if $(filter default,$(origin AR)),$(CROSS_COMPILE)ar,$(AR))
endif
CC      ?= cc
LD      ?= ld
AR      ?= ar
OBJCOPY ?= $(CROSS_COMPILE)objcopy
READELF ?= $(CROSS_COMPILE)readelf
STRIP   ?= $(CROSS_COMPILE)strip
INSTALL ?= install

# Many makefiles call it PREFIX; if that meant nothing here, `make install PREFIX=…` would install into /usr/local.
prefix     ?= $(if $(filter command,$(origin PREFIX)),$(PREFIX),/usr/local)
libdir     ?= $(prefix)/lib
includedir ?= $(prefix)/include

TARGET  ?= target
DIST    ?= $(TARGET)/dist
VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml)

# Make would take it for several paths, and install into, or remove from, the first of them.
spaced := $(strip $(foreach name,DESTDIR prefix libdir includedir TARGET DIST,$(if $(word 2,$($(name))),$(name))))
$(if $(spaced),$(error $(firstword $(spaced)) has a space in it, which make cannot handle: $($(firstword $(spaced)))))

CMAKE   := jlock-config.cmake jlock-config-version.cmake
SONAME  := libjlock.so.0
REAL    := libjlock.so.$(VERSION)
WHOLE   := $(TARGET)/whole/$(or $(CARGO_BUILD_TARGET),here)/libjlock.a
SYSTEM  := -lgcc_s -lpthread -ldl -lm
EXPORTS := $(shell sed -n 's/^ *\(jlock_[a-z_]*\);$$/\1/p' libjlock.map)
# For RISC-V, GNU ld drops a function, but not the relocations in the unwind tables that refer to it. Linkers refuse such an object,
# so there whatever links the library has to drop what it does not need.
DROP    := $(if $(findstring riscv,$(or $(CARGO_BUILD_TARGET),$(shell uname -m))),,--gc-sections)
SOURCES := Cargo.toml Cargo.lock capi/Cargo.toml $(shell find src -name '*.rs')

.PHONY: library
library: cargo-release built sizes ## the library, as cargo builds it (target/release) and as it is installed (target/dist)

.PHONY: cargo-release
cargo-release:
	@$(CARGO) build --quiet --release

.PHONY: built
built: $(DIST)/$(REAL) $(DIST)/libjlock.a $(DIST)/jlock.pc $(CMAKE:%=$(DIST)/%)

# Where cargo puts the archive depends on the target, which its settings may also name. So we ask cargo.
$(WHOLE): $(SOURCES)
	@mkdir -p $(@D)
	@made=$$($(CARGO) rustc --quiet --package jlock-capi --profile installed --features installed --lib \
	    --crate-type staticlib --target-dir $(TARGET)/whole --message-format json-render-diagnostics \
	    -- -C llvm-args=-inline-threshold=5 | sed -n 's/.*"filenames":\["\([^"]*\/libjlock\.a\)"\].*/\1/p') && \
	test -n "$$made" && cp "$$made" $@

# The mangled name of one of std's handlers, which depends on the compiler's version: core and alloc refer to it, std defines it.
symbol = $$($(READELF) --wide --symbols $(WHOLE) | sed -n 's/.* UND \([^ ]*$(1)\)$$/\1/p' | sort -u | grep .)

# One object, in which only the functions of the header are global. The linker would still merge groups of sections (COMDAT)
# with those of another Rust library that have the same names, so we dissolve them. And it would still have to resolve symbols
# to which nothing refers any more, even those to which std referred weakly, so we strip them.
$(DIST)/jlock.o: $(WHOLE) libjlock.map
	@mkdir -p $(DIST)
	@panicked=$(call symbol,rust_begin_unwind) && out_of_memory=$(call symbol,__rust_alloc_error_handler) && \
	$(LD) -r $(DROP) --force-group-allocation $(EXPORTS:%=-u %) -o $@.all $(WHOLE) \
	    --wrap=$$panicked --defsym=__wrap_$$panicked=__jlock_panicked \
	    --wrap=$$out_of_memory --defsym=__wrap_$$out_of_memory=__jlock_out_of_memory
	@printf '%s\n' $(EXPORTS) >$@.exports
	@$(OBJCOPY) --strip-unneeded --remove-section=.llvmbc --remove-section=.llvmcmd --keep-global-symbols=$@.exports $@.all $@
	@rm $@.all $@.exports

# These two take their names when they are complete: packages may be made while `make cross` builds.
$(DIST)/libjlock.a: $(DIST)/jlock.o
	@rm -f $@.part
	@$(AR) rcsD $@.part $<
	@mv $@.part $@

$(DIST)/$(REAL): $(DIST)/jlock.o libjlock.map
	@$(CC) $(LDFLAGS) -shared -o $@.part -Wl,-soname,$(SONAME) -Wl,--version-script=libjlock.map $(EXPORTS:%=-Wl,-u,%) \
	    -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now -Wl,-z,nodelete -Wl,-z,defs -Wl,--as-needed $< $(SYSTEM)
	@$(STRIP) --strip-all $@.part
	@mv $@.part $@
	@ln -sf $(REAL) $(DIST)/$(SONAME)
	@ln -sf $(SONAME) $(DIST)/libjlock.so

# Made each time, because the directories may have changed.
.PHONY: $(DIST)/jlock.pc
$(DIST)/jlock.pc: jlock.pc.in
	@mkdir -p $(DIST)
	@sed -e 's|@prefix@|$(prefix)|' -e 's|@libdir@|$(libdir)|' -e 's|@includedir@|$(includedir)|' \
	    -e 's|@version@|$(VERSION)|' $< >$@

.PHONY: $(CMAKE:%=$(DIST)/%)
$(CMAKE:%=$(DIST)/%): $(DIST)/%: cmake/%.in
	@mkdir -p $(DIST)
	@sed -e "s|@includedir@|$$(realpath -m --relative-to='$(libdir)' '$(includedir)')|" -e 's|@soname@|$(SONAME)|' \
	    -e 's|@version@|$(VERSION)|' $< >$@

# What the archive adds to a program: the size of the smallest one that uses all of it, minus that of the same without it.
# The limit was 250 KB before the library judged by leases, followed paths, streamed journals and tracked its descriptors. The
# standard library of Rust 1.85 is larger than later ones, especially as Debian 13 builds it.
SIZE_LIMIT ?= $(if $(filter 1.85.%,$(shell $(RUSTC) --version | cut -d' ' -f2)),415000,400000)
.PHONY: sizes
sizes: built ## prints the library's sizes, which must not exceed 400 KB
	@printf 'int main(void) { return 0; }\n' | $(CC) -O2 -s -x c -o $(DIST)/without -
	@printf 'int main(void) { return 0; }\n' | $(CC) -O2 -s -x c -o $(DIST)/with - -x none -Wl,--gc-sections \
	    $(EXPORTS:%=-Wl,-u,%) -Wl,--as-needed $(DIST)/libjlock.a $(SYSTEM)
	@shared=$$(stat -c %s $(DIST)/$(REAL)); \
	added=$$(($$(stat -c %s $(DIST)/with) - $$(stat -c %s $(DIST)/without))); \
	rm $(DIST)/with $(DIST)/without; \
	printf '$(REAL), stripped: %d KB; what libjlock.a adds to a stripped C program: %d KB\n' \
	    $$((shared / 1000)) $$((added / 1000)); \
	test $$shared -le $(SIZE_LIMIT) && test $$added -le $(SIZE_LIMIT) || { echo 'more than $(SIZE_LIMIT) bytes' >&2; exit 1; }

.PHONY: install
install: built ## installs the library, headers, pkg-config and CMake files (DESTDIR, prefix, libdir, includedir)
	@$(INSTALL) -d $(addprefix $(DESTDIR),$(libdir)/pkgconfig $(libdir)/cmake/jlock $(includedir))
	@$(INSTALL) -m 755 $(DIST)/$(REAL) $(DESTDIR)$(libdir)/
	@ln -sf $(REAL) $(DESTDIR)$(libdir)/$(SONAME)
	@ln -sf $(SONAME) $(DESTDIR)$(libdir)/libjlock.so
	@$(INSTALL) -m 644 $(DIST)/libjlock.a $(DIST)/jlock.o $(DESTDIR)$(libdir)/
	@$(INSTALL) -m 644 $(DIST)/jlock.pc $(DESTDIR)$(libdir)/pkgconfig/
	@$(INSTALL) -m 644 $(CMAKE:%=$(DIST)/%) $(DESTDIR)$(libdir)/cmake/jlock/
	@$(INSTALL) -m 644 include/jlock.h examples/cpp/jlock.hpp $(DESTDIR)$(includedir)/
	@$(if $(DESTDIR),,mk/after-install.sh $(libdir))

.PHONY: uninstall
uninstall: ## removes what install put there
	rm -f $(addprefix $(DESTDIR)$(includedir)/,jlock.h jlock.hpp) $(DESTDIR)$(libdir)/pkgconfig/jlock.pc \
	    $(CMAKE:%=$(DESTDIR)$(libdir)/cmake/jlock/%) \
	    $(addprefix $(DESTDIR)$(libdir)/,libjlock.so $(SONAME) $(REAL) libjlock.a jlock.o)
	rmdir $(DESTDIR)$(libdir)/cmake/jlock 2>/dev/null || true
