// Package none stands in for the library if this module brings none for a system: its header says what to do.
package none
