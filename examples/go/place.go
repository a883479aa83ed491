package jlock

// #include <stdlib.h>
// #include <jlock.h>
import "C"

import "unsafe"

// Fallback is what a file system lacks, as bits; 0 is the full protocol.
type Fallback uint32

const (
	WithoutLink      Fallback = C.JLOCK_WITHOUT_LINK
	WithoutFlock     Fallback = C.JLOCK_WITHOUT_FLOCK     // a holder's death is judged by its PID and the lock's age
	WithoutLease     Fallback = C.JLOCK_WITHOUT_LEASE     // a lease shows that a shipped peer still has its lock open
	WithoutInotify   Fallback = C.JLOCK_WITHOUT_INOTIFY   // a wait looks again every Options.Retry
	WithoutNoReplace Fallback = C.JLOCK_WITHOUT_NOREPLACE // no rename leaves an existing file alone
)

// Promise is what a directory promises, as bits.
type Promise uint32

const (
	// PlaceProcessesOfMount: processes that reach the directory through the same mount exclude each other.
	PlaceProcessesOfMount Promise = C.JLOCK_PLACE_PROCESSES_OF_MOUNT
	// PlaceProcessesOfMachine: so do all processes of this machine, through whatever mount.
	PlaceProcessesOfMachine Promise = C.JLOCK_PLACE_PROCESSES_OF_MACHINE
	// PlaceOtherMachines: so do processes of other machines that share the file system.
	PlaceOtherMachines Promise = C.JLOCK_PLACE_OTHER_MACHINES
	// PlaceTakeover: the lock of a dead library peer is taken over at once.
	PlaceTakeover Promise = C.JLOCK_PLACE_TAKEOVER
	// PlaceDurable: with Options.Sync, what was acknowledged survives a power cut.
	PlaceDurable Promise = C.JLOCK_PLACE_DURABLE
	// PlaceOrder: waiters are woken and served in the order in which they came.
	PlaceOrder Promise = C.JLOCK_PLACE_ORDER
)

// A Place is what a directory can promise.
type Place struct {
	Promises   Promise
	Missing    Fallback
	FileSystem string // its name: "ext4", "nfs"; its magic number in hexadecimal if the library has no name for it
	Reason     string // why something is not promised; empty if everything is
}

// Probe finds out by trying what a directory can promise. It needs a second at most, takes no lock, and leaves nothing
// behind. The directory must exist and be writable.
func Probe(dir string) (Place, error) {
	name, err := cString("probe", dir)
	if err != nil {
		return Place{}, err
	}
	defer C.free(unsafe.Pointer(name))
	var p C.struct_jlock_place
	if rc := int(C.jlock_probe(name, &p, C.sizeof_struct_jlock_place)); rc < 0 {
		return Place{}, &Error{Op: "probe", Code: rc, Message: dir + ": " + strerror(rc)}
	}
	return Place{
		Promises:   Promise(p.promises),
		Missing:    Fallback(p.missing),
		FileSystem: C.GoString(&p.file_system[0]),
		Reason:     C.GoString(&p.reason[0]),
	}, nil
}
