package jlock_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"jlock"
)

var background = context.Background()

// within fails the test, instead of hanging, when f does not return.
func within(t *testing.T, limit time.Duration, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		stacks := make([]byte, 1<<16)
		t.Fatalf("still waiting after %v\n%s", limit, stacks[:runtime.Stack(stacks, true)])
		return nil
	}
}

// untilBusy waits until a call on this lock is in the library, where it is about to wait.
func untilBusy(lock *jlock.Lock) {
	for !lock.Busy() {
		runtime.Gosched()
	}
}

func TestTwoLocksInOneProcessExcludeEachOther(t *testing.T) {
	dir := t.TempDir()
	first, second := open(t, dir, nil), open(t, dir, nil)
	check(t, first.Acquire(background))
	if got, err := second.TryAcquire(); got || err != nil {
		t.Fatalf("TryAcquire beside a holder: %v, %v", got, err)
	}
	check(t, first.Release())
	if got, err := second.TryAcquire(); !got || err != nil {
		t.Fatalf("TryAcquire of a free lock: %v, %v", got, err)
	}
}

func TestGoroutinesWithALockEachNeverMeet(t *testing.T) {
	dir := t.TempDir()
	var inside, holds atomic.Int32
	var group sync.WaitGroup
	for i := 0; i < 8; i++ {
		lock := open(t, dir, &jlock.Options{Timeout: time.Minute})
		group.Add(1)
		go func() {
			defer group.Done()
			for j := 0; j < 100; j++ {
				if err := lock.Acquire(background); err != nil {
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
	if holds.Load() != 800 {
		t.Fatalf("%d holds", holds.Load())
	}
}

func TestATimeoutNamesTheHolder(t *testing.T) {
	dir := t.TempDir()
	process, _ := holder(t, dir)
	name := fmt.Sprintf("held by pid %d (library peer)", process.Pid)

	byOption := open(t, dir, &jlock.Options{Timeout: 50 * time.Millisecond}).Acquire(background)
	ctx, cancel := context.WithTimeout(background, 50*time.Millisecond)
	defer cancel()
	byContext := open(t, dir, &jlock.Options{Timeout: -1}).Acquire(ctx)

	for _, err := range []error{byOption, byContext} {
		if !errors.Is(err, jlock.ErrTimeout) || !errors.Is(err, syscall.ETIMEDOUT) || !os.IsTimeout(err) {
			t.Errorf("not a time-out: %v", err)
		}
		if !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("%v: does not say %q", err, name)
		}
	}
	if errors.Is(byOption, context.DeadlineExceeded) || !errors.Is(byContext, context.DeadlineExceeded) {
		t.Errorf("which deadline? %v; %v", byOption, byContext)
	}
}

func TestAJournalCallHonoursTheDeadline(t *testing.T) {
	dir := t.TempDir()
	process, _ := holder(t, dir)
	ctx, cancel := context.WithTimeout(background, 30*time.Millisecond)
	defer cancel()
	journal := open(t, dir, &jlock.Options{Timeout: -1})
	err := within(t, 10*time.Second, func() error { return journal.Append(ctx, jlock.Changed("a")) })
	if !errors.Is(err, jlock.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if name := fmt.Sprintf("held by pid %d", process.Pid); !strings.Contains(err.Error(), name) {
		t.Fatalf("%v: does not say %q", err, name)
	}
	if _, err := journal.Read(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("something was written: %v", err)
	}
}

func TestADoneContextTakesNothing(t *testing.T) {
	lock := open(t, t.TempDir(), nil)
	canceled, cancel := context.WithCancel(background)
	cancel()
	if err := lock.Acquire(canceled); !errors.Is(err, context.Canceled) || !errors.Is(err, jlock.ErrCanceled) {
		t.Fatal(err)
	}
	if h, err := lock.Inspect(); err != nil || h.State != jlock.Free {
		t.Fatalf("%+v, %v", h, err)
	}
}

// A cancel at any moment, mostly just before or at the start of the library's wait, ends it; and it ends no other.
func TestACancelIsNeitherLostNorMisdirected(t *testing.T) {
	dir := t.TempDir()
	other := open(t, dir, nil)
	lock := open(t, dir, &jlock.Options{Timeout: -1})
	why := errors.New("why")
	for i := 0; i < 200; i++ {
		check(t, other.Acquire(background))
		ctx, cancel := context.WithCancelCause(background)
		next := make(chan error, 1)
		begun := make(chan struct{})
		go func() {
			close(begun)
			pause := time.Duration(rand.Intn(300)) * time.Microsecond
			for until := time.Now().Add(pause); time.Now().Before(until); {
				runtime.Gosched()
			}
			cancel(why)
		}()
		<-begun
		err := within(t, 10*time.Second, func() error { return lock.Acquire(ctx) })
		if !errors.Is(err, jlock.ErrCanceled) || !errors.Is(err, why) {
			t.Fatalf("canceled acquire: %v", err)
		}
		go func() { next <- lock.Acquire(background) }()
		check(t, other.Release())
		check(t, within(t, 10*time.Second, func() error { return <-next }))
		check(t, lock.Release())
	}
}

func TestAGoroutineThatWaitsForItsTurnHonoursItsContext(t *testing.T) {
	dir := t.TempDir()
	other := open(t, dir, nil)
	check(t, other.Acquire(background))
	lock := open(t, dir, &jlock.Options{Timeout: -1})
	first := make(chan error, 1)
	go func() { first <- lock.Acquire(background) }()
	untilBusy(lock)
	ctx, cancel := context.WithTimeout(background, 20*time.Millisecond)
	defer cancel()
	if err := within(t, 10*time.Second, func() error { return lock.Acquire(ctx) }); !errors.Is(err, jlock.ErrTimeout) {
		t.Fatal(err)
	}
	check(t, other.Release())
	// The other's context has not ended this wait.
	check(t, within(t, 10*time.Second, func() error { return <-first }))
}

func TestCloseEndsAWaitAndIsFinal(t *testing.T) {
	dir := t.TempDir()
	other := open(t, dir, nil)
	check(t, other.Acquire(background))
	lock := open(t, dir, &jlock.Options{Timeout: -1})
	waiting := make(chan error, 1)
	go func() { waiting <- lock.Acquire(background) }()
	untilBusy(lock)
	go lock.Close()
	err := within(t, 10*time.Second, func() error { return <-waiting })
	if !errors.Is(err, jlock.ErrCanceled) {
		t.Fatal(err)
	}
	check(t, lock.Close())
	if err := lock.Release(); !errors.Is(err, fs.ErrClosed) {
		t.Fatal(err)
	}
}

func TestCloseReleasesAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	lock := open(t, dir, nil)
	check(t, lock.Acquire(background))
	check(t, lock.Close())
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Fatalf("%v, %v", left, err)
	}
}

func TestAKilledHolderIsTakenOverFrom(t *testing.T) {
	dir := t.TempDir()
	process, letGo := holder(t, dir)
	check(t, process.Kill())
	letGo()
	lock := open(t, dir, nil)
	if h, err := lock.Inspect(); err != nil || h.State != jlock.Abandoned {
		t.Fatalf("%+v, %v", h, err)
	}
	check(t, lock.Acquire(background))
	if recovered, err := lock.Recovered(); !recovered || err != nil {
		t.Fatalf("recovered: %v, %v", recovered, err)
	}
}

func TestWhoLosesTheLockIsTold(t *testing.T) {
	dir := t.TempDir()
	lock := open(t, dir, nil)
	check(t, lock.Acquire(background))
	steal(t, dir)
	for name, call := range map[string]func() error{
		"append":  func() error { return lock.Append(background, jlock.Changed("a")) },
		"refresh": lock.Refresh,
	} {
		if err := call(); !errors.Is(err, jlock.ErrLost) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := lock.Release(); !errors.Is(err, jlock.ErrLost) {
		t.Errorf("release: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "changes.journal.lock")); err != nil {
		t.Errorf("the new holder's lock: %v", err)
	}
}

func TestInspectTellsWhoHolds(t *testing.T) {
	dir := t.TempDir()
	process, _ := holder(t, dir)
	lock := open(t, dir, nil)
	h, err := lock.Inspect()
	check(t, err)
	if h.State != jlock.Held || h.Peer != jlock.PeerLibrary || h.PID != process.Pid {
		t.Fatalf("%+v", h)
	}
	if !strings.HasPrefix(h.Nonce, fmt.Sprint(process.Pid, "-")) || h.Age < 0 || h.Age > time.Minute {
		t.Fatalf("%+v", h)
	}
}

func TestErrorsKeepTheirErrno(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	file := filepath.Join(dir, "file")
	check(t, os.WriteFile(file, nil, 0o644))
	occupied := filepath.Join(dir, "occupied")
	check(t, os.MkdirAll(filepath.Join(occupied, "changes.journal.lock"), 0o755))

	openError := func(dir string, options jlock.Options) error {
		lock, err := jlock.Open(dir, &options)
		if err == nil {
			lock.Close()
		}
		return err
	}
	for _, test := range []struct {
		name string
		got  error
		want error
	}{
		{"missing directory", openError(missing, jlock.Options{NoCreate: true}), fs.ErrNotExist},
		{"missing directory, errno", openError(missing, jlock.Options{NoCreate: true}), syscall.ENOENT},
		{"file for directory", openError(file, jlock.Options{}), syscall.ENOTDIR},
		{"NUL in name", openError("a\x00b", jlock.Options{}), syscall.EINVAL},
		{"directory at the lock", open(t, occupied, nil).Acquire(background), jlock.ErrNotLock},
		{"release without hold", open(t, dir, nil).Release(), jlock.ErrNotHeld},
		{"refresh without hold", open(t, dir, nil).Refresh(), jlock.ErrNotHeld},
	} {
		if !errors.Is(test.got, test.want) {
			t.Errorf("%s: %v is not %v", test.name, test.got, test.want)
		}
	}

	lock := open(t, dir, nil)
	check(t, lock.Acquire(background))
	if err := lock.Acquire(background); !errors.Is(err, syscall.EDEADLK) {
		t.Errorf("acquire twice: %v", err)
	}
}

func TestOpenAtUsesAnotherJournal(t *testing.T) {
	path := t.TempDir()
	dir, err := os.Open(path)
	check(t, err)
	defer dir.Close()
	other, err := jlock.OpenAt(dir, "other.journal", nil)
	check(t, err)
	defer other.Close()
	check(t, other.Acquire(background))
	if _, err := os.Stat(filepath.Join(path, "other.journal.lock")); err != nil {
		t.Fatal(err)
	}
	check(t, open(t, path, nil).Acquire(background)) // changes.journal has a lock of its own
}
