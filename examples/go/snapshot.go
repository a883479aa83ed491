package jlock

// #include <jlock.h>
import "C"

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// A Snapshot is a journal as it was read: each path once, in the order of first appearance.
type Snapshot struct {
	Timestamp float64 // the header's, in milliseconds since 1970; a shipped peer may write fractions
	Changed   []string
	Deleted   []string

	c *cSnapshot
}

// Read reads the journal without taking the lock. The error is fs.ErrNotExist if there is none, ErrUnstamped if its
// header says 0, as after the first Append, and ErrHeader if its first line is not a header.
func (l *Lock) Read() (*Snapshot, error) {
	if !l.line.begin() {
		return nil, closedError("read")
	}
	defer l.line.end()
	var c *C.struct_jlock_snapshot
	if rc := int(C.jlock_read(l.c, &c)); rc < 0 {
		return nil, l.failure("read", rc)
	}
	s := &Snapshot{Timestamp: float64(C.jlock_snapshot_timestamp(c)), c: newCSnapshot(c)}
	var err error
	if s.Changed, err = s.c.paths(C.JLOCK_CHANGED); err != nil {
		return nil, err
	}
	if s.Deleted, err = s.c.paths(C.JLOCK_DELETED); err != nil {
		return nil, err
	}
	return s, nil
}

// Close frees what Checkpoint needs of a snapshot: memory and a descriptor. The paths stay. Without Close, the garbage
// collector frees it in the end.
func (s *Snapshot) Close() {
	if s.c != nil {
		s.c.close()
	}
}

// A cSnapshot is C's copy. It is separate, because a Snapshot may be copied and the copy may outlive it.
type cSnapshot struct {
	mu sync.Mutex
	c  *C.struct_jlock_snapshot // nil: closed
}

// A snapshot keeps its journal open, and the garbage collector, which knows only of memory, may take its time. So we run it
// once this many have not been closed.
const someSnapshots = 100

// How many have not been closed, and at how many we run the collector, less someSnapshots.
var snapshots, collectAt atomic.Int64

func newCSnapshot(c *C.struct_jlock_snapshot) *cSnapshot {
	s := &cSnapshot{c: c}
	runtime.SetFinalizer(s, (*cSnapshot).close)
	if n := snapshots.Add(1); n > someSnapshots+collectAt.Load() {
		collectAt.Store(2 * n) // until that frees some
		runtime.GC()
	}
	return s
}

func (s *cSnapshot) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		return
	}
	C.jlock_snapshot_free(s.c)
	s.c = nil
	collectAt.Store(2 * snapshots.Add(-1))
}

func (s *cSnapshot) isOpen() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.c != nil
}

// use makes a call with C's copy or, if that is closed, with nil, which C refuses.
func (s *cSnapshot) use(f func(*C.struct_jlock_snapshot) C.int) C.int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f(s.c)
}

func (s *cSnapshot) paths(kind C.uint32_t) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	paths := make([]string, C.jlock_snapshot_count(s.c, kind))
	for i := range paths {
		var entry C.struct_jlock_entry
		if rc := int(C.jlock_snapshot_entry(s.c, kind, C.size_t(i), &entry)); rc < 0 {
			return nil, plainError("read", rc)
		}
		paths[i] = C.GoStringN(entry.path, C.int(entry.path_len))
	}
	return paths, nil
}
