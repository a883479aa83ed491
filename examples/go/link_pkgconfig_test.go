//go:build jlock_pkgconfig

package jlock_test

const linkTag = "jlock_pkgconfig"
