package jlock

// #include <stdlib.h>
// #include "jlock.h"
import "C"

import (
	"context"
	"errors"
	"runtime"
	"time"
	"unsafe"
)

// An Entry is one line of a journal: a path that was changed, or deleted.
type Entry struct {
	Path    string
	Deleted bool
}

// Changed is the entry for a changed path.
func Changed(path string) Entry { return Entry{Path: path} }

// Deleted is the entry for a removed path.
func Deleted(path string) Entry { return Entry{Path: path, Deleted: true} }

// Append adds all entries to the journal, or none. Like every call that writes, it takes the lock and lets it go,
// except when this Lock is held: then it works under that hold. The error is ErrEntry when the format cannot carry
// one of them.
func (l *Lock) Append(ctx context.Context, entries ...Entry) error {
	array, count := cEntries(entries)
	defer C.free(unsafe.Pointer(array))
	return l.call(ctx, "append", func() C.int { return C.jlock_append(l.c, array, count) })
}

// AppendStamped adds all entries or none, and sets the header's timestamp.
func (l *Lock) AppendStamped(ctx context.Context, stamp time.Time, entries ...Entry) error {
	array, count := cEntries(entries)
	defer C.free(unsafe.Pointer(array))
	return l.call(ctx, "append stamped", func() C.int {
		return C.jlock_append_stamped(l.c, array, count, C.int64_t(stamp.UnixMilli()))
	})
}

// WriteHeader begins a new journal, which holds only its header. Entries that nobody has read are lost: a consumer
// calls Checkpoint.
func (l *Lock) WriteHeader(ctx context.Context, stamp time.Time) error {
	return l.call(ctx, "write header", func() C.int {
		return C.jlock_write_header(l.c, C.int64_t(stamp.UnixMilli()))
	})
}

// Checkpoint drops what the snapshot holds, now that it is processed, and keeps what was appended after it.
func (l *Lock) Checkpoint(ctx context.Context, snapshot *Snapshot, stamp time.Time) error {
	if snapshot == nil || snapshot.c == nil {
		return errors.New("jlock: checkpoint: the snapshot is not one that Read returned")
	}
	defer runtime.KeepAlive(snapshot)
	return l.call(ctx, "checkpoint", func() C.int {
		return C.jlock_checkpoint(l.c, snapshot.c, C.int64_t(stamp.UnixMilli()))
	})
}

// A Snapshot is a journal as it was read: each path once, in the order of first appearance.
type Snapshot struct {
	Timestamp float64 // the header's, in milliseconds since 1970; a shipped peer may write fractions
	Changed   []string
	Deleted   []string

	c *C.struct_jlock_snapshot
}

// Read reads the journal without taking the lock. The error is fs.ErrNotExist when there is none, and ErrHeader when
// its first line is no header, or one that says 0.
func (l *Lock) Read() (*Snapshot, error) {
	var c *C.struct_jlock_snapshot
	if err := l.call(context.Background(), "read", func() C.int { return C.jlock_read(l.c, &c) }); err != nil {
		return nil, err
	}
	s := &Snapshot{Timestamp: float64(C.jlock_snapshot_timestamp(c)), c: c}
	// C's copy is no larger than the strings here, so the garbage collector's pace is right for both.
	runtime.SetFinalizer(s, func(s *Snapshot) { C.jlock_snapshot_free(s.c) })
	var err error
	if s.Changed, err = s.paths(C.JLOCK_CHANGED); err != nil {
		return nil, err
	}
	if s.Deleted, err = s.paths(C.JLOCK_DELETED); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Snapshot) paths(kind C.uint32_t) ([]string, error) {
	paths := make([]string, C.jlock_snapshot_count(s.c, kind))
	for i := range paths {
		var entry C.struct_jlock_entry
		if rc := C.jlock_snapshot_entry(s.c, kind, C.size_t(i), &entry); rc < 0 {
			return nil, &Error{Op: "read", Code: int(rc), Message: strerror(rc)}
		}
		paths[i] = C.GoStringN(entry.path, C.int(entry.path_len))
	}
	return paths, nil
}

// cEntries copies entries into one block of C memory, which the caller frees: the array, then the paths.
func cEntries(entries []Entry) (*C.struct_jlock_entry, C.size_t) {
	array := len(entries) * C.sizeof_struct_jlock_entry
	size := array + 1 // never 0, for which malloc may return nil
	for _, entry := range entries {
		size += len(entry.Path)
	}
	block := C.malloc(C.size_t(size)) // does not return nil: cgo ends the program instead
	first := (*C.struct_jlock_entry)(block)
	all := unsafe.Slice(first, len(entries))
	text := unsafe.Slice((*byte)(unsafe.Add(block, array)), size-array)
	for i, entry := range entries {
		all[i] = C.struct_jlock_entry{
			path:     (*C.char)(unsafe.Pointer(&text[0])),
			path_len: C.size_t(len(entry.Path)),
			kind:     C.JLOCK_CHANGED,
		}
		if entry.Deleted {
			all[i].kind = C.JLOCK_DELETED
		}
		text = text[copy(text, entry.Path):]
	}
	return first, C.size_t(len(entries))
}
