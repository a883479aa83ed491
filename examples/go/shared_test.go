package jlock_test

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"jlock.example/jlock"
)

// Goroutines that share a Lock.

// inLine starts a call that stands in line behind this many others.
func inLine(t *testing.T, lock *jlock.Lock, behind int, f func() error) <-chan error {
	t.Helper()
	done := starts(f)
	until(t, "it stands in line", func() bool { return lock.InLine() == behind+1 })
	return done
}

func TestGoroutinesThatShareALockGetItInTheirOrder(t *testing.T) {
	dir := t.TempDir()
	other, lock := open(t, dir, nil), open(t, dir, &jlock.Options{Timeout: -1})
	check(t, other.Acquire(background))
	acquire := func() error { return lock.Acquire(background) }
	calls := []<-chan error{waiter(background, t, lock)}
	for i := 0; i < 4; i++ {
		calls = append(calls, inLine(t, lock, i, acquire))
	}
	ctx, cancel := context.WithCancel(background)
	canceled := inLine(t, lock, 4, func() error { return lock.Acquire(ctx) })
	calls = append(calls, inLine(t, lock, 5, acquire))
	cancel()
	if err := soon(t, canceled); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}

	check(t, other.Release())
	for i, call := range calls {
		check(t, soon(t, call))
		for _, later := range calls[i+1:] {
			if len(later) > 0 {
				t.Fatalf("%d is served, and so is one after it", i)
			}
		}
		if err := lock.Acquire(background); !errors.Is(err, syscall.EDEADLK) {
			t.Fatalf("a call that begins under the hold: %v", err)
		}
		check(t, lock.Release())
	}
}

func TestGoroutinesThatShareALockNeverMeet(t *testing.T) {
	lock := open(t, t.TempDir(), &jlock.Options{Timeout: -1})
	var inside, holds atomic.Int32
	var group sync.WaitGroup
	for i := 0; i < 8; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for holds.Load() < 800 {
				switch err := lock.Acquire(background); {
				case errors.Is(err, syscall.EDEADLK): // it began while another held it
					runtime.Gosched()
					continue
				case err != nil:
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d holders", n)
				}
				holds.Add(1)
				inside.Add(-1)
				if err := lock.Release(); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
}

func TestACallInLineIsNotKeptBeyondItsTime(t *testing.T) {
	dir := t.TempDir()
	other := open(t, dir, nil)
	check(t, other.Acquire(background))
	lock := open(t, dir, &jlock.Options{Timeout: 100 * time.Millisecond})
	first := starts(func() error { return lock.Append(background, jlock.Changed("a")) })
	until(t, "it waits", lock.Busy)
	err := within(t, patience, func() error { return lock.Append(background, jlock.Changed("b")) })
	if !errors.Is(err, jlock.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("its own time: %v", err)
	}
	if err := soon(t, first); !errors.Is(err, jlock.ErrTimeout) {
		t.Errorf("the first: %v", err)
	}

	patient := open(t, dir, &jlock.Options{Timeout: -1})
	waits := waiter(background, t, patient)
	ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
	defer cancel()
	err = within(t, patience, func() error { return patient.Acquire(ctx) })
	if !errors.Is(err, jlock.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("its context's time: %v", err)
	}
	check(t, other.Release())
	// The other call's context has not ended this wait.
	check(t, soon(t, waits))
}

func TestACallThatWaitsForAReleaseIsNotKeptBeyondItsTime(t *testing.T) {
	dir := t.TempDir()
	other, lock := open(t, dir, nil), open(t, dir, &jlock.Options{Timeout: time.Second})
	check(t, other.Acquire(background))
	holds := waiter(background, t, lock)
	stands := inLine(t, lock, 0, func() error { return lock.Acquire(background) })
	check(t, other.Release())
	check(t, soon(t, holds))
	if err := soon(t, stands); !errors.Is(err, jlock.ErrTimeout) {
		t.Fatal(err)
	}
	check(t, lock.Release())
}

func TestATryDoesNotStandInLine(t *testing.T) {
	dir := t.TempDir()
	other, lock := open(t, dir, nil), open(t, dir, &jlock.Options{Timeout: -1})
	check(t, other.Acquire(background))
	waits := waiter(background, t, lock)
	if got, err := lock.TryAcquire(); got || err != nil {
		t.Fatalf("%v, %v", got, err)
	}
	check(t, other.Release())
	check(t, soon(t, waits))
}

// Whatever one goroutine does with a Lock, it does not harm another's journal call.
func TestNobodyReleasesTheHoldOfAJournalCall(t *testing.T) {
	dir := t.TempDir()
	other, lock := open(t, dir, nil), open(t, dir, &jlock.Options{Timeout: -1})
	undo := jlock.OnRelease(func(released *jlock.Lock, release func() int) int {
		if released == lock { // the append has nothing left to do but this
			if err := lock.Release(); !errors.Is(err, jlock.ErrNotHeld) {
				t.Errorf("release: %v", err)
			}
			if err := lock.Refresh(); !errors.Is(err, jlock.ErrNotHeld) {
				t.Errorf("refresh: %v", err)
			}
			if got, err := other.TryAcquire(); got || err != nil {
				t.Errorf("%v, %v", got, err)
			}
		}
		return release()
	})
	defer undo()
	check(t, lock.Append(background, jlock.Changed("a")))
}

func TestAJournalCallInLineWorksUnderTheHoldThatComesBeforeIt(t *testing.T) {
	dir := t.TempDir()
	other, lock := open(t, dir, nil), open(t, dir, &jlock.Options{Timeout: -1})
	check(t, other.Acquire(background))
	holds := waiter(background, t, lock)
	acquires := inLine(t, lock, 0, func() error { return lock.Acquire(background) })
	appends := inLine(t, lock, 1, func() error { return lock.AppendStamped(background, stamp, jlock.Changed("a")) })
	check(t, other.Release())
	check(t, soon(t, holds))
	check(t, soon(t, appends))
	if got, err := other.TryAcquire(); got || err != nil {
		t.Fatalf("the hold has ended: %v, %v", got, err)
	}
	if len(acquires) > 0 {
		t.Fatal("two hold it")
	}
	check(t, lock.Release())
	check(t, soon(t, acquires))
}

// ------------------------------------------------------------------------------------------------------------- close

func isClosed(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, jlock.ErrClosed) || !errors.Is(err, fs.ErrClosed) {
		t.Errorf("%v", err)
	}
}

func TestCloseEndsWaitsAndIsFinal(t *testing.T) {
	dir := t.TempDir()
	other, lock := open(t, dir, nil), open(t, dir, &jlock.Options{Timeout: -1})
	check(t, other.Acquire(background))
	waits := waiter(background, t, lock)
	stands := inLine(t, lock, 0, func() error { return lock.Append(background, jlock.Changed("a")) })
	check(t, within(t, patience, lock.Close))
	isClosed(t, soon(t, waits))
	isClosed(t, soon(t, stands))

	check(t, lock.Close())
	isClosed(t, lock.Acquire(background))
	isClosed(t, lock.Release())
	isClosed(t, lock.Append(background))
	_, err := lock.TryAcquire()
	isClosed(t, err)
	_, err = lock.Inspect()
	isClosed(t, err)
	_, err = lock.Read()
	isClosed(t, err)
	_, err = lock.Recovered()
	isClosed(t, err)
}

func TestCloseEndsWaitsForTheRelease(t *testing.T) {
	dir := t.TempDir()
	other, lock := open(t, dir, nil), open(t, dir, &jlock.Options{Timeout: -1})
	check(t, other.Acquire(background))
	holds := waiter(background, t, lock)
	stands := inLine(t, lock, 0, func() error { return lock.Acquire(background) })
	check(t, other.Release())
	check(t, soon(t, holds))
	check(t, within(t, patience, lock.Close))
	isClosed(t, soon(t, stands))
	check(t, other.Acquire(background))
}

func TestCloseSaysThatTheLockWasLost(t *testing.T) {
	dir := t.TempDir()
	lock, err := jlock.Open(dir, nil)
	check(t, err)
	check(t, lock.Acquire(background))
	steal(t, dir)
	if err := lock.Close(); !errors.Is(err, jlock.ErrLost) {
		t.Fatal(err)
	}
	check(t, lock.Close())
}

func TestCloseAmidCallsOfAllKinds(t *testing.T) {
	dir := t.TempDir()
	for i := 0; i < 30; i++ {
		lock, err := jlock.Open(dir, &jlock.Options{Timeout: -1})
		check(t, err)
		check(t, lock.WriteHeader(background, stamp))
		var group sync.WaitGroup
		var calls atomic.Int32
		for _, call := range []func() error{
			func() error { return lock.Acquire(background) },
			func() error { _, err := lock.TryAcquire(); return err },
			lock.Release,
			lock.Refresh,
			func() error { _, err := lock.Inspect(); return err },
			func() error { _, err := lock.Read(); return err },
			func() error { _, err := lock.Recovered(); return err },
			func() error { return lock.Append(background, jlock.Changed("a")) },
		} {
			group.Add(1)
			go func(call func() error) {
				defer group.Done()
				for {
					err := call()
					calls.Add(1)
					switch {
					case errors.Is(err, jlock.ErrClosed):
						return
					case err == nil, errors.Is(err, jlock.ErrNotHeld), errors.Is(err, syscall.EDEADLK):
					default:
						t.Error(err)
						return
					}
				}
			}(call)
		}
		until(t, "some calls", func() bool { return calls.Load() > 50 })
		check(t, lock.Close())
		group.Wait()
	}
}

func TestALockThatNobodyHasIsClosedUnlessItIsHeld(t *testing.T) {
	dir := t.TempDir()
	before := descriptors(t)
	for i := 0; i < 100; i++ {
		lock, err := jlock.Open(dir, nil)
		check(t, err)
		check(t, lock.Append(background, jlock.Changed("a")))
	}
	func() {
		lock, err := jlock.Open(dir, nil)
		check(t, err)
		check(t, lock.Acquire(background))
	}()
	const ofOneLock = 16
	until(t, "the descriptors are closed", func() bool {
		runtime.GC()
		return descriptors(t) < before+ofOneLock
	})
	if h, err := open(t, dir, nil).Inspect(); err != nil || h.State != jlock.Held {
		t.Fatalf("%v, %v", h, err)
	}
}
