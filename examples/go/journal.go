package jlock

// #include <stdlib.h>
// #include <jlock.h>
import "C"

import (
	"context"
	"errors"
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

// Append adds all entries to the journal, or none. Like every call that writes, it acquires the lock as Acquire does and
// releases it, unless this Lock is already held: then it works under that hold. The error is ErrEntry if the format cannot
// carry one of the entries.
//
// With Options.Sync the lock is held until the entries are on disk.
func (l *Lock) Append(ctx context.Context, entries ...Entry) error {
	array, count := cEntries(entries)
	defer C.free(unsafe.Pointer(array))
	_, err := l.write(ctx, "append", func() C.int { return C.jlock_append(l.c, array, count) })
	return err
}

// AppendStamped adds all entries or none, and advances the header's timestamp.
func (l *Lock) AppendStamped(ctx context.Context, stamp time.Time, entries ...Entry) error {
	array, count := cEntries(entries)
	defer C.free(unsafe.Pointer(array))
	_, err := l.write(ctx, "append stamped", func() C.int {
		return C.jlock_append_stamped(l.c, array, count, C.int64_t(stamp.UnixMilli()))
	})
	return err
}

// WriteHeader begins a new journal with nothing but a header. Entries that nobody has read are lost, so a consumer should
// call Checkpoint instead.
func (l *Lock) WriteHeader(ctx context.Context, stamp time.Time) error {
	_, err := l.write(ctx, "write header", func() C.int {
		return C.jlock_write_header(l.c, C.int64_t(stamp.UnixMilli()))
	})
	return err
}

// Checkpoint writes a new header, drops what the snapshot holds, now that it has been processed, and keeps what was
// appended after it. If somebody has replaced the journal since, as shipped peers do when they stamp it, it keeps all
// entries and returns false: what was processed will be seen again.
func (l *Lock) Checkpoint(ctx context.Context, snapshot *Snapshot, stamp time.Time) (dropped bool, err error) {
	if snapshot == nil || !snapshot.c.isOpen() {
		return false, errors.New("jlock: checkpoint: the snapshot is not one that Read returned, or is closed")
	}
	rc, err := l.write(ctx, "checkpoint", func() C.int {
		return snapshot.c.use(func(c *C.struct_jlock_snapshot) C.int {
			return C.jlock_checkpoint(l.c, c, C.int64_t(stamp.UnixMilli()))
		})
	})
	return rc == 1, err
}

// overtaken is how often a call that lost its lock is repeated. As in the library.
const overtaken = 3

// write makes a journal call under the program's hold, or otherwise under its own.
func (l *Lock) write(ctx context.Context, op string, f func() C.int) (rc int, err error) {
	err = l.inTurn(ctx, op, toWrite, func(end limit) error {
		if l.line.isHeld() {
			if rc = int(f()); rc < 0 {
				return l.failure(op, rc)
			}
			return nil
		}
		for again := 0; ; again++ {
			if err := l.obtain(ctx, op, end); err != nil {
				return err
			}
			var failed *Error
			if rc = int(f()); rc < 0 {
				failed = l.failure(op, rc)
			}
			released := l.letGo()
			// What was written may stand in a journal that the thief has replaced by an older copy.
			lost := rc == C.JLOCK_ELOST || rc >= 0 && released == C.JLOCK_ELOST
			switch {
			case lost && again < overtaken:
			case failed != nil:
				return failed
			case released < 0:
				failed = l.failure(op, released)
				failed.Message += "; the journal was written, but the lock could not be released"
				return failed
			default:
				return nil
			}
		}
	})
	return rc, err
}

// letGo ends a journal call's own hold. If it fails, the next call tries again.
func (l *Lock) letGo() int {
	rc := release(l)
	l.unreleased = !isOver(rc)
	return rc
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
