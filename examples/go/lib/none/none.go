// Package none stands in for the library where this module brings none: its header says what to do.
package none
