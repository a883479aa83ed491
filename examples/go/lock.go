package jlock

// #include <stdlib.h>
// #include <jlock.h>
import "C"

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Options for Open. The zero value of each field is its default.
type Options struct {
	Timeout time.Duration // longest wait for the lock (default: 5 s); negative: as long as the context allows
	Retry   time.Duration // longest sleep between two looks at the lock (default: 25 ms)
	Stale   time.Duration // age at which a lock counts as abandoned if the kernel cannot tell (default: 30 s)
	Settle  time.Duration // wait after taking over from a dead holder (default: 100 ms); negative: none, for library peers only

	NoCreate  bool // do not create a missing directory
	Sync      bool // a journal call returns only once its data is on disk
	KeepAlive bool // refresh automatically while held, for holders that may need more than 30 s
}

// A Lock is one participant among the writers of one journal, which exclude each other. Use it through its pointer, and
// Close it.
//
// The garbage collector closes a Lock that is not held once nothing refers to it. A Lock that is held stays held as long as
// the process lives.
type Lock struct {
	c       *C.struct_jlock
	name    string // the lock's file
	timeout time.Duration

	line       *line
	events     atomic.Pointer[os.File] // what await waits for
	unreleased bool                    // whether a journal call could not release its own hold; for the call that has the turn

	closeOnce sync.Once
}

// Open opens the lock and journal of the directory that holds changes.journal itself: ROOT/.codegraph for codegraph 3.11.2.
// A nil options means the defaults.
func Open(dir string, options *Options) (*Lock, error) {
	name, err := cString("open", dir)
	if err != nil {
		return nil, err
	}
	defer C.free(unsafe.Pointer(name))
	return open("changes.journal", dir, options, func(o *C.struct_jlock_options, out **C.struct_jlock) C.int {
		return C.jlock_open(name, o, C.sizeof_struct_jlock_options, out)
	})
}

// OpenAt opens any other journal by its file name, in an open directory. Its lock is journal.lock.
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
		call := func(o *C.struct_jlock_options, out **C.struct_jlock) C.int {
			return C.jlock_open_at(C.int(fd), name, o, C.sizeof_struct_jlock_options, out)
		}
		lock, openErr = open(journal, journal, options, call)
	})
	if err != nil {
		return nil, fmt.Errorf("jlock: open: %w", err)
	}
	return lock, openErr
}

type opener func(*C.struct_jlock_options, **C.struct_jlock) C.int

func open(journal, shown string, options *Options, call opener) (*Lock, error) {
	if options == nil {
		options = &Options{}
	}
	var o C.struct_jlock_options
	C.jlock_options_init(&o, C.sizeof_struct_jlock_options)
	options.apply(&o)
	var c *C.struct_jlock
	if rc := step(func() int { return int(call(&o, &c)) }); rc < 0 {
		return nil, &Error{Op: "open", Code: rc, Message: shown + ": " + strerror(rc)}
	}
	l := &Lock{
		c:       c,
		name:    journal + ".lock",
		timeout: time.Duration(o.timeout_ms) * time.Millisecond,
		line:    newLine(),
	}
	runtime.SetFinalizer(l, (*Lock).collect)
	return l, nil
}

// collect closes a Lock that nobody refers to. If a program acquires a Lock for good and forgets it, it still holds it.
func (l *Lock) collect() {
	if !l.line.isHeld() {
		go l.Close() // it holds nothing, so there is no error to report; in a goroutine, because the file system may be slow
	}
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

// Close ends the calls that wait, with ErrClosed, waits for those that are working, releases the lock if it is held, and
// frees it. It returns the error of the release: ErrLost if the lock had been taken away. Closing again does nothing.
func (l *Lock) Close() (err error) {
	l.closeOnce.Do(func() {
		runtime.SetFinalizer(l, nil)
		l.line.close()
		l.interrupt()
		<-l.line.idle
		if rc := step(func() int { return int(C.jlock_close(l.c)) }); rc < 0 {
			err = plainError("close", rc)
		}
		l.c = nil
		if events := l.events.Load(); events != nil {
			events.Close() // nothing was written to it
		}
	})
	return err
}

// Acquire acquires the lock. It waits until ctx is done or Options.Timeout is over, whichever comes first. If that took too
// long, the error is ErrTimeout, and says who holds the lock; if ctx ended the wait, it is also the context's error and its
// cause. An Acquire that gets the lock just as ctx is done returns nil.
//
// Goroutines that share a Lock and wait for it get it one after another, in the order in which they called. An Acquire
// that comes while the Lock is held gets syscall.EDEADLK.
func (l *Lock) Acquire(ctx context.Context) error {
	return l.inTurn(ctx, "acquire", toAcquire, func(end limit) error {
		if err := l.obtain(ctx, "acquire", end); err != nil {
			return err
		}
		l.line.setHeld(true)
		return nil
	})
}

// TryAcquire acquires the lock if nobody holds it, and returns whether it did. It does not while another goroutine is
// acquiring the same Lock.
func (l *Lock) TryAcquire() (bool, error) {
	const op = "try acquire"
	if !l.line.begin() {
		return false, closedError(op)
	}
	defer l.line.end()
	ctx, now := context.Background(), limit{at: time.Now()}
	switch err := l.line.tryTurn(toAcquire); err {
	case nil:
	case errBusy:
		return false, nil
	default:
		return false, l.notServed(ctx, op, err, now, now.at)
	}
	defer l.line.pass()
	// It may wait a moment to take over from a dead holder.
	switch err := l.obtain(ctx, op, now); {
	case err == nil:
		l.line.setHeld(true)
		return true, nil
	case errors.Is(err, ErrTimeout), errors.Is(err, syscall.EAGAIN):
		return false, nil
	default:
		return false, err
	}
}

// Release releases the lock. If it was taken away meanwhile, the error is ErrLost, and the new holder keeps it. After an
// error from a system call the lock is still held.
func (l *Lock) Release() error {
	return l.inTurn(context.Background(), "release", ofHold, func(limit) error {
		rc := release(l)
		if isOver(rc) {
			l.line.setHeld(false)
		}
		if rc < 0 {
			return l.failure("release", rc)
		}
		return nil
	})
}

// release is a variable, so that the tests can make it fail.
var release = func(l *Lock) int { return step(func() int { return int(C.jlock_release(l.c)) }) }

// isOver says whether a release that returned rc has ended the hold.
func isOver(rc int) bool {
	return rc >= 0 || rc == C.JLOCK_ELOST || rc == C.JLOCK_ENOTHELD
}

// Refresh gives a sign of life: a shipped peer takes over a lock that has given none for 30 s. If one has, the error is
// ErrLost.
func (l *Lock) Refresh() error {
	return l.inTurn(context.Background(), "refresh", ofHold, func(limit) error {
		if rc := int(C.jlock_refresh(l.c)); rc < 0 {
			return l.failure("refresh", rc)
		}
		return nil
	})
}

// Recovered says whether the last acquire took over from a dead holder, which may have left its work half done.
func (l *Lock) Recovered() (bool, error) {
	if !l.line.begin() {
		return false, closedError("recovered")
	}
	defer l.line.end()
	rc := int(C.jlock_recovered(l.c))
	if rc < 0 {
		return false, l.failure("recovered", rc)
	}
	return rc == 1, nil
}

// inTurn makes a call once it has the turn. f gets the time at which its wait must end.
func (l *Lock) inTurn(ctx context.Context, op string, need need, f func(limit) error) error {
	if !l.line.begin() {
		return closedError(op)
	}
	defer l.line.end()
	if ctx.Err() != nil {
		e := &Error{Op: op, Message: "the context was done before the call began"}
		return e.because(ctx)
	}
	began := time.Now()
	var end limit
	if need != ofHold {
		end = l.limit(ctx)
	}
	if err := l.line.turn(ctx, need, end.at); err != nil {
		return l.notServed(ctx, op, err, end, began)
	}
	defer l.line.pass()
	return f(end)
}

// signedMillis rounds up, so that a short time does not become none, and keeps the sign.
func signedMillis(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	return min(int64((d+time.Millisecond-1)/time.Millisecond), math.MaxInt32)
}

// cString copies a name for C; the caller frees the copy. It refuses a NUL, at which C would end the name.
func cString(op, name string) (*C.char, error) {
	if strings.ContainsRune(name, 0) {
		return nil, fmt.Errorf("jlock: %s: NUL in name: %w", op, syscall.EINVAL)
	}
	return C.CString(name), nil
}
