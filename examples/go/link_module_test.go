//go:build !jlock_pkgconfig

package jlock_test

// linkTag makes the programs link as these tests do.
const linkTag = ""
