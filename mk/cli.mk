# The command, its completions and the manual pages; include it after library.mk, whose variables it uses.

bindir ?= $(prefix)/bin
mandir ?= $(prefix)/share/man
bash_completions ?= $(prefix)/share/bash-completion/completions
zsh_completions  ?= $(prefix)/share/zsh/site-functions

CFLAGS      ?= -O2
CLI_SYSTEM  ?= $(SYSTEM)
CLI_CFLAGS  := -std=c99 -Wall -Wextra -Wpedantic
CLI_SOURCES := $(sort $(wildcard cli/*.c))
PAGES_1     := $(sort $(wildcard man/*.1))
PAGES_3     := $(sort $(wildcard man/*.3))

.PHONY: command
command: $(DIST)/jlock ## the jlock command (target/dist)

# Linked with the archive, so that it runs wherever it is copied. A distribution's packages name the shared library instead.
CLI_LIBRARY ?= $(DIST)/libjlock.a
$(DIST)/jlock: $(CLI_SOURCES) cli/cli.h include/jlock.h $(DIST)/libjlock.a | $(DIST)/$(REAL)
	@$(CC) $(CLI_CFLAGS) $(CPPFLAGS) $(CFLAGS) -Iinclude -o $@ $(CLI_SOURCES) $(LDFLAGS) -Wl,--gc-sections \
	    -Wl,--as-needed $(CLI_LIBRARY) $(CLI_SYSTEM)

.PHONY: install-cli
install-cli: $(DIST)/jlock ## installs the command, completions and manual pages (DESTDIR, prefix, bindir, mandir)
	@$(INSTALL) -d $(addprefix $(DESTDIR),$(bindir) $(mandir)/man1 $(mandir)/man3 $(bash_completions) $(zsh_completions))
	@$(INSTALL) -m 755 $(DIST)/jlock $(DESTDIR)$(bindir)/
	@$(INSTALL) -m 644 cli/completions/jlock.bash $(DESTDIR)$(bash_completions)/jlock
	@$(INSTALL) -m 644 cli/completions/_jlock $(DESTDIR)$(zsh_completions)/
	@$(INSTALL) -m 644 $(PAGES_1) $(DESTDIR)$(mandir)/man1/
	@$(INSTALL) -m 644 $(PAGES_3) $(DESTDIR)$(mandir)/man3/

.PHONY: uninstall-cli
uninstall-cli:
	rm -f $(DESTDIR)$(bindir)/jlock $(DESTDIR)$(bash_completions)/jlock $(DESTDIR)$(zsh_completions)/_jlock \
	    $(PAGES_1:man/%=$(DESTDIR)$(mandir)/man1/%) $(PAGES_3:man/%=$(DESTDIR)$(mandir)/man3/%)

install: install-cli
uninstall: uninstall-cli
