# The source tarball; include it after library.mk, whose variables it uses.

TARBALL := $(TARGET)/jlock-$(VERSION).tar.gz

.PHONY: dist
dist: ## the source tarball, which builds offline, and a wrap for Meson: target/jlock-VERSION.tar.gz, target/jlock.wrap
	@mk/dist.sh $(TARBALL)

.PHONY: test-dist
test-dist: dist
	@tests/dist/run.sh $(TARBALL)
