# The binary interface, compared with the one that is committed; include it after library.mk, whose variables it uses.
#
# The library is stripped, and Rust would describe its types in its own way. So we read them from a double in C: each
# function of the header, with an empty body, linked with the library's own map. tests/abi checks that the library has these
# types and no others; the rules here check that it has these symbols.

ABI      ?= $(TARGET)/abi
INCLUDE  ?= include
BASELINE ?= libjlock.abi
DOUBLE   := $(ABI)/$(SONAME)

# The baseline must not contain paths, line numbers or the machine.
ABIDW   := abidw --no-corpus-path --no-comp-dir-path --no-show-locs --no-architecture
ABIDIFF := abidiff --no-architecture
ABI_CHANGED = { cat mk/abi-changed.txt >&2; exit 1; }

# A declaration becomes a definition.
.PHONY: $(DOUBLE)
$(DOUBLE): libjlock.map
	@mkdir -p $(ABI)
	@printf '#include <jlock.h>\n' >$(ABI)/interface.c
	@$(CC) -E -P $(INCLUDE)/jlock.h | tr '\n' ' ' | sed 's/;/;\n/g' \
	    | sed -n 's/^ *\([^{}]*\bjlock_[a-z_]*([^{}]*)\);$$/\1 { __builtin_trap(); }/p' >>$(ABI)/interface.c
	@$(CC) -g -O0 -fPIC -I$(INCLUDE) -ffile-prefix-map=$(ABI)/= -shared -nostdlib -o $@ $(ABI)/interface.c \
	    -Wl,-soname,$(SONAME) -Wl,--version-script=libjlock.map

.PHONY: abi-baseline
abi-baseline: $(DOUBLE) ## renews libjlock.abi, after an intended change of the binary interface
	@$(ABIDW) --out-file $(BASELINE) $<

.PHONY: abi-types
abi-types: $(DOUBLE)
	@$(ABIDIFF) $(BASELINE) $< || $(ABI_CHANGED)

.PHONY: test-abi
test-abi: abi-types built
	@$(ABIDIFF) $(BASELINE) $(DIST)/$(REAL) || $(ABI_CHANGED)
