# Packages for Debian and Fedora, built from the tarball without a network; include it after dist.mk, whose variables it uses.

PACKAGES  := $(TARGET)/packages
DEB_TOOLS := dpkg-buildpackage:dpkg-dev dh:debhelper lintian:lintian fakeroot:fakeroot

.PHONY: deb
deb: dist ## the Debian packages libjlock0, libjlock-dev and jlock: target/packages/*.deb
	@mk/deps.sh $(DEB_TOOLS)
	@packaging/deb.sh $(TARBALL) $(PACKAGES)

.PHONY: rpm
rpm: dist ## the packages jlock, jlock-libs and jlock-devel: target/packages/*.rpm
	@mk/deps.sh rpmbuild:rpm fakeroot:fakeroot
	@packaging/rpm.sh $(TARBALL) $(PACKAGES)

.PHONY: test-deb
test-deb: deb
	@tests/packages/deb.sh $(PACKAGES)

.PHONY: test-rpm
test-rpm: rpm
	@tests/packages/rpm.sh $(PACKAGES)

# The Debian packages are tried on the release on which they were built: an older release's C library may be too old.
.PHONY: test-system-packages
test-system-packages: test-deb test-rpm ## the same twice, and on a bare Debian without Rust, in a root by debootstrap (root)
	@mk/deps.sh debootstrap:debootstrap
	@tests/packages/again.sh packaging/deb.sh $(TARBALL) $(PACKAGES)
	@tests/packages/again.sh packaging/rpm.sh $(TARBALL) $(PACKAGES)
	@DEBIAN_SUITE=$${DEBIAN_SUITE:-$$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)} DEBIAN_BRINGS=$(PACKAGES) \
	    tests/debian/run.sh tests/packages/debian.sh /root/brought
