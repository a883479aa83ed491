package jlock

// #include <stdlib.h>
// #include "jlock.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Options for Open. The zero value of each field is its default.
type Options struct {
	Timeout time.Duration // longest wait for the lock: 5 s; negative: as long as the context allows
	Retry   time.Duration // longest sleep between two looks at the lock: 25 ms
	Stale   time.Duration // age at which a shipped peer's lock counts as abandoned: 30 s
	Settle  time.Duration // wait after taking over from a dead holder: 100 ms; negative: none, for library peers only

	NoCreate  bool // do not create a missing directory
	Sync      bool // a journal call returns once its data is on disk
	KeepAlive bool // refresh by itself while held, for holders that may need more than 30 s
}

// A Lock is one participant in the exclusion of writers from one journal. Use it through its pointer, and Close it.
type Lock struct {
	c       *C.struct_jlock
	timeout time.Duration

	turn      chan struct{} // has one token, which each call into the library takes, and Close keeps
	closing   chan struct{}
	closeOnce sync.Once
}

// Open opens the lock and journal of a directory, the one that holds changes.journal itself: ROOT/.codegraph for
// codegraph 3.11.2. A nil options means the defaults.
func Open(dir string, options *Options) (*Lock, error) {
	name, err := cString("open", dir)
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(name))
	return open(dir, options, func(o *C.struct_jlock_options, out **C.struct_jlock) C.int {
		return C.jlock_open(name, o, out)
	})
}

// OpenAt opens any other journal by its file name, beneath an open directory. Its lock is journal.lock.
func OpenAt(dir *os.File, journal string, options *Options) (*Lock, error) {
	name, err := cString("open", journal)
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(name))
	raw, err := dir.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("jlock: open: %w", err)
	}
	var lock *Lock
	var openErr error
	err = raw.Control(func(fd uintptr) {
		lock, openErr = open(journal, options, func(o *C.struct_jlock_options, out **C.struct_jlock) C.int {
			return C.jlock_open_at(C.int(fd), name, o, out)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("jlock: open: %w", err)
	}
	return lock, openErr
}

func open(shown string, options *Options, call func(*C.struct_jlock_options, **C.struct_jlock) C.int) (*Lock, error) {
	if options == nil {
		options = &Options{}
	}
	var o C.struct_jlock_options
	C.jlock_options_init(&o)
	options.apply(&o)
	var c *C.struct_jlock
	if rc := call(&o, &c); rc < 0 {
		return nil, &Error{Op: "open", Code: int(rc), Message: shown + ": " + strerror(rc)}
	}
	l := &Lock{
		c:       c,
		timeout: time.Duration(o.timeout_ms) * time.Millisecond,
		turn:    make(chan struct{}, 1),
		closing: make(chan struct{}),
	}
	l.turn <- struct{}{}
	return l, nil
}

func (options *Options) apply(o *C.struct_jlock_options) {
	if options.Timeout != 0 {
		o.timeout_ms = C.int32_t(signedMillis(options.Timeout))
	}
	if options.Retry != 0 {
		o.retry_ms = C.uint32_t(signedMillis(options.Retry))
	}
	if options.Stale != 0 {
		o.stale_ms = C.uint32_t(signedMillis(options.Stale))
	}
	if options.Settle != 0 {
		o.settle_ms = C.uint32_t(max(0, signedMillis(options.Settle)))
	}
	for _, flag := range []struct {
		on  bool
		bit C.uint32_t
	}{
		{options.NoCreate, C.JLOCK_NO_CREATE},
		{options.Sync, C.JLOCK_SYNC},
		{options.KeepAlive, C.JLOCK_KEEPALIVE},
	} {
		if flag.on {
			o.flags |= flag.bit
		}
	}
}

// Close releases the lock if it is held and frees it. Waits in progress end with ErrCanceled. Closing twice is fine.
func (l *Lock) Close() error {
	l.closeOnce.Do(func() {
		close(l.closing)
		l.cancelUntil(l.turn, 0)
		C.jlock_close(l.c)
		l.c = nil
	})
	return nil
}

// Acquire takes the lock. It waits until ctx is done or Options.Timeout is over, whichever comes first; the error of
// a wait that took too long is ErrTimeout and names the holder.
func (l *Lock) Acquire(ctx context.Context) error {
	return l.call(ctx, "acquire", func() C.int {
		return C.jlock_acquire_for(l.c, l.patience(ctx))
	})
}

// TryAcquire takes the lock if nobody else holds it, and says whether it did.
func (l *Lock) TryAcquire() (bool, error) {
	err := l.call(context.Background(), "try acquire", func() C.int { return C.jlock_try_acquire(l.c) })
	if errors.Is(err, syscall.EAGAIN) {
		return false, nil
	}
	return err == nil, err
}

// Release lets the lock go. When it was taken away meanwhile the error is ErrLost, and the new holder's lock stays.
func (l *Lock) Release() error {
	return l.call(context.Background(), "release", func() C.int { return C.jlock_release(l.c) })
}

// Refresh shows a sign of life: a shipped peer takes over a lock that has shown none for 30 s. The error is ErrLost
// when one has.
func (l *Lock) Refresh() error {
	return l.call(context.Background(), "refresh", func() C.int { return C.jlock_refresh(l.c) })
}

// Recovered says whether the last acquire took over from a dead holder, who may have left his work half done.
func (l *Lock) Recovered() (bool, error) {
	var rc C.int
	err := l.call(context.Background(), "recovered", func() C.int {
		rc = C.jlock_recovered(l.c)
		return rc
	})
	return rc == 1, err
}

// patience is the time that Acquire may wait, in milliseconds; negative: for ever.
func (l *Lock) patience(ctx context.Context) C.int32_t {
	timeout := l.timeout
	if deadline, ok := ctx.Deadline(); ok {
		if left := max(0, time.Until(deadline)); timeout < 0 || left < timeout {
			timeout = left
		}
	}
	return C.int32_t(signedMillis(timeout))
}

// signedMillis rounds up, so that a short time does not become none, and keeps the sign.
func signedMillis(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	return min(int64((d+time.Millisecond-1)/time.Millisecond), math.MaxInt32)
}

// cString copies a name for C, which the caller frees. C would end it at a NUL.
func cString(op, name string) (*C.char, error) {
	if strings.ContainsRune(name, 0) {
		return nil, fmt.Errorf("jlock: %s: NUL in name: %w", op, syscall.EINVAL)
	}
	return C.CString(name), nil
}
