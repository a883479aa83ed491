package jlock_test

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"context"

	"jlock.example/jlock"
)

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(all)
}

// resident is the process's memory, C's with Go's, in bytes.
func resident(t *testing.T) int {
	t.Helper()
	runtime.GC()
	statm, err := os.ReadFile("/proc/self/statm")
	check(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	check(t, err)
	return pages * os.Getpagesize()
}

// An entry that is long: whatever kept one of ten thousand would be seen.
func TestNothingGrowsWithTheNumberOfOperations(t *testing.T) {
	const operations, most = 10_000, 8 << 20
	dir := t.TempDir()
	lock, other := open(t, dir, nil), open(t, dir, &jlock.Options{Timeout: -1})
	long := jlock.Changed(strings.Repeat("x", 4000))
	canceled, cancel := context.WithCancel(background)
	cancel()
	once := func(i int) {
		check(t, lock.WriteHeader(background, stamp))
		check(t, lock.Acquire(background))
		check(t, lock.Append(background, long))
		if got, err := other.TryAcquire(); got || err != nil {
			t.Fatalf("%v, %v", got, err)
		}
		if err := other.Acquire(canceled); !errors.Is(err, jlock.ErrCanceled) {
			t.Fatal(err)
		}
		if i%100 == 0 { // a wait that ends in a hold, one that is canceled, and a handle
			ctx, cancel := context.WithCancel(background)
			waits := starts(func() error { return other.Acquire(ctx) })
			until(t, "it waits", func() bool { return other.Busy() && other.Waits() })
			cancel()
			if err := soon(t, waits); !errors.Is(err, jlock.ErrCanceled) {
				t.Fatal(err)
			}
			waits = starts(func() error { return other.Acquire(background) })
			until(t, "it waits", other.Busy)
			check(t, lock.Release())
			check(t, soon(t, waits))
			check(t, other.Release())
			one, err := jlock.Open(dir, nil)
			check(t, err)
			check(t, one.Acquire(background))
			check(t, one.Close())
		} else {
			check(t, lock.Release())
		}
		snapshot := read(t, lock)
		_, err := lock.Checkpoint(background, snapshot, stamp.Add(time.Second))
		check(t, err)
	}
	for i := 0; i < operations/10; i++ {
		once(i)
	}
	fds, goroutines, bytes := descriptors(t), runtime.NumGoroutine(), resident(t)
	for i := 0; i < operations; i++ {
		once(i)
	}
	if now := descriptors(t); now > fds {
		t.Errorf("%d descriptors, and then %d", fds, now)
	}
	until(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines })
	if grown := resident(t) - bytes; grown > most {
		t.Errorf("%d bytes more", grown)
	}
}
