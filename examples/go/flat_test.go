package jlock_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"jlock.example/jlock"
)

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(all)
}

// resident is the process's memory in bytes, C's and Go's.
func resident(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm")
	check(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	check(t, err)
	return pages * os.Getpagesize()
}

// operations is how many to do; `make prove` asks for a million.
func operations(t *testing.T) int {
	t.Helper()
	asked := os.Getenv("JLOCK_OPERATIONS")
	if asked == "" {
		return 10_000
	}
	n, err := strconv.Atoi(asked)
	check(t, err)
	return n
}

// The entry is long: if each of ten thousand were kept somewhere, that would be 40 MB.
func TestNothingGrowsWithTheNumberOfOperations(t *testing.T) {
	const most = 24 << 20
	operations := operations(t)
	dir := t.TempDir()
	lock, other := open(t, dir, nil), open(t, dir, &jlock.Options{Timeout: -1})
	long := jlock.Changed(strings.Repeat("x", 4000))
	canceled, cancel := context.WithCancel(background)
	cancel()
	once := func(i int) {
		check(t, lock.Acquire(background))
		check(t, lock.Append(background, long))
		if got, err := other.TryAcquire(); got || err != nil {
			t.Fatalf("%v, %v", got, err)
		}
		if err := other.Acquire(canceled); !errors.Is(err, jlock.ErrCanceled) {
			t.Fatal(err)
		}
		if i%20 == 0 {
			snapshot := read(t, lock)
			_, err := lock.Checkpoint(background, snapshot, stamp)
			check(t, err)
			if i%200 != 0 { // the collector closes the rest
				snapshot.Close()
			}
		}
		if i%100 == 0 {
			waitTwice(t, lock, other)
			check(t, lock.Acquire(background))
			one, err := jlock.Open(dir, nil)
			check(t, err)
			check(t, one.Close())
		}
		check(t, lock.Release())
	}
	check(t, lock.WriteHeader(background, stamp))
	for i := 0; i < 1000; i++ {
		once(i)
	}
	runtime.GC()
	fds, goroutines, bytes := descriptors(t), runtime.NumGoroutine(), resident(t)
	for i := 0; i < operations; i++ {
		once(i)
	}
	until(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines })
	// Finalizers run later than the garbage collector.
	until(t, "the descriptors are closed", func() bool { runtime.GC(); return descriptors(t) <= fds })
	until(t, "the memory is as much as before", func() bool { return resident(t) <= bytes+most })
	t.Logf("%d KB more", (resident(t)-bytes)/1000)
	t.Logf("figure: operations in Go, with memory, goroutines and descriptors as before = %d", operations)
}

// waitTwice makes other wait for what lock holds: once until the wait is cancelled, and once until the release.
func waitTwice(t *testing.T, lock, other *jlock.Lock) {
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
}
