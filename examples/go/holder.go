package jlock

// #include <jlock.h>
import "C"

import (
	"fmt"
	"time"
)

// State says whether the lock is held.
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
	PeerLibrary Peer = C.JLOCK_PEER_LIBRARY // one that uses this library, in any language
	PeerShipped Peer = C.JLOCK_PEER_SHIPPED // one that has the protocol built in, as codegraph does
	PeerUnknown Peer = C.JLOCK_PEER_UNKNOWN
)

// A Holder says who holds the lock.
type Holder struct {
	State   State
	Peer    Peer
	PID     int           // in the holder's own PID namespace; 0 if unknown
	Age     time.Duration // since the lock's last sign of life
	HeldFor time.Duration // since the holder acquired it; negative if unknown, or if nobody holds it
	Nonce   string
	Host    string

	Fallback Fallback // what this Lock does without here, as far as it has found out by acquiring; 0: the full protocol
}

// String describes the holder in words: "held by pid 4711 (shipped peer) for 6.2 s".
func (h Holder) String() string {
	switch h.State {
	case Free:
		return "free"
	case Mine:
		return "held by this Lock"
	}
	verb := "held"
	if h.State == Abandoned {
		verb = "left behind"
	}
	who := "an unknown process"
	if h.PID != 0 {
		who = fmt.Sprintf("pid %d", h.PID)
	}
	switch h.Peer {
	case PeerLibrary:
		who += " (library peer)"
	case PeerShipped:
		who += " (shipped peer)"
	}
	if h.State == Held && h.HeldFor >= 0 {
		return fmt.Sprintf("%s by %s for %s", verb, who, seconds(h.HeldFor))
	}
	return fmt.Sprintf("%s by %s", verb, who)
}

// Inspect says who holds the lock. It takes and changes nothing, and never waits.
func (l *Lock) Inspect() (Holder, error) {
	if !l.line.begin() {
		return Holder{}, closedError("inspect")
	}
	defer l.line.end()
	found, rc := l.inspect()
	if rc < 0 {
		return Holder{}, l.failure("inspect", rc)
	}
	return found, nil
}

func (l *Lock) inspect() (Holder, int) {
	var h C.struct_jlock_holder
	if rc := int(C.jlock_inspect(l.c, &h, C.sizeof_struct_jlock_holder)); rc < 0 {
		return Holder{}, rc
	}
	return Holder{
		State:   State(h.state),
		Peer:    Peer(h.peer),
		PID:     int(h.pid),
		Age:     time.Duration(h.age_ms) * time.Millisecond,
		HeldFor: time.Duration(h.held_ms) * time.Millisecond,
		Nonce:   C.GoString(&h.nonce[0]),
		Host:    C.GoString(&h.host[0]),

		Fallback: Fallback(h.fallback),
	}, 0
}

// Version returns the version of the library.
func Version() string {
	return C.GoString(C.jlock_version_string())
}
