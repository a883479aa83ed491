package jlock

// #include "jlock.h"
import "C"

import (
	"context"
	"time"
)

// State is how the lock stands.
type State int

const (
	Free      State = C.JLOCK_FREE
	Held      State = C.JLOCK_HELD      // by a live peer
	Mine      State = C.JLOCK_MINE      // by this Lock
	Abandoned State = C.JLOCK_ABANDONED // by a dead peer: the next Acquire takes it over
)

// Peer is the kind of program that holds the lock.
type Peer int

const (
	PeerNone    Peer = C.JLOCK_PEER_NONE
	PeerLibrary Peer = C.JLOCK_PEER_LIBRARY // one that uses this library, from whatever language
	PeerShipped Peer = C.JLOCK_PEER_SHIPPED // one that has the protocol built in, as codegraph has
	PeerUnknown Peer = C.JLOCK_PEER_UNKNOWN
)

// Fallback is what the file system lacks, as bits; 0: the full protocol is in force.
type Fallback uint32

const (
	WithoutLink  Fallback = C.JLOCK_WITHOUT_LINK
	WithoutFlock Fallback = C.JLOCK_WITHOUT_FLOCK // a holder's death is judged by its PID and the lock's age
)

// A Holder is who has the lock.
type Holder struct {
	State State
	Peer  Peer
	PID   int           // 0: unknown
	Age   time.Duration // since the lock's last sign of life
	Nonce string
	Host  string

	Fallback Fallback // what this Lock does without here, as far as it has acquired yet
}

// Inspect says who holds the lock. It takes and changes nothing.
func (l *Lock) Inspect() (Holder, error) {
	var found Holder
	err := l.call(context.Background(), "inspect", func() (rc C.int) {
		found, rc = l.inspect()
		return rc
	})
	return found, err
}

// inspect is for those who have their turn.
func (l *Lock) inspect() (Holder, C.int) {
	h := C.struct_jlock_holder{size: C.sizeof_struct_jlock_holder}
	if rc := C.jlock_inspect(l.c, &h); rc < 0 {
		return Holder{}, rc
	}
	return Holder{
		State: State(h.state),
		Peer:  Peer(h.peer),
		PID:   int(h.pid),
		Age:   time.Duration(h.age_ms) * time.Millisecond,
		Nonce: C.GoString(&h.nonce[0]),
		Host:  C.GoString(&h.host[0]),

		Fallback: Fallback(h.fallback),
	}, 0
}

// Version is that of the library.
func Version() string {
	return C.GoString(C.jlock_version_string())
}
