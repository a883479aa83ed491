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

	"jlock.example/jlock"
)

var background = context.Background()

// Longer than anything that ends at all takes, however busy the machine is.
const patience = 2 * time.Minute

// within fails the test, instead of hanging, if f does not return.
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

// until spins until something has become true.
func until(t *testing.T, what string, true func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !true(); runtime.Gosched() {
		if time.Now().After(limit) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

// starts calls f in a goroutine; what it returns comes out of the channel.
func starts(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// waiter is a call to Acquire that waits.
func waiter(ctx context.Context, t *testing.T, lock *jlock.Lock) <-chan error {
	t.Helper()
	done := starts(func() error { return lock.Acquire(ctx) })
	until(t, "it waits", lock.Waits)
	return done
}

// soon returns what comes out of a channel; if nothing does, it fails the test instead of hanging.
func soon(t *testing.T, done <-chan error) error {
	t.Helper()
	return within(t, patience, func() error { return <-done })
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
			t.Errorf("not a timeout: %v", err)
		}
		if !strings.Contains(fmt.Sprint(err), name) {
			t.Errorf("%v: does not say %q", err, name)
		}
	}
	if errors.Is(byOption, context.DeadlineExceeded) || !errors.Is(byContext, context.DeadlineExceeded) {
		t.Errorf("which deadline? %v; %v", byOption, byContext)
	}
}

func TestAJournalCallHonoursItsContext(t *testing.T) {
	dir := t.TempDir()
	process, _ := holder(t, dir)
	ctx, cancel := context.WithTimeout(background, 30*time.Millisecond)
	defer cancel()
	journal := open(t, dir, &jlock.Options{Timeout: -1})
	err := within(t, patience, func() error { return journal.Append(ctx, jlock.Changed("a")) })
	if !errors.Is(err, jlock.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if name := fmt.Sprintf("held by pid %d", process.Pid); !strings.Contains(err.Error(), name) {
		t.Fatalf("%v: does not say %q", err, name)
	}
	ctx, end := context.WithCancel(background)
	done := starts(func() error { return journal.Append(ctx, jlock.Changed("a")) })
	until(t, "it waits", journal.Busy)
	end()
	if err := soon(t, done); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := journal.Read(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("something was written: %v", err)
	}
}

// Long before the library's own timeout, which is 5 s.
func TestADeadlineIsKept(t *testing.T) {
	dir := t.TempDir()
	check(t, open(t, dir, nil).Acquire(background))
	lock := open(t, dir, nil)
	const given = 30 * time.Millisecond
	late := time.Hour
	for i := 0; i < 20 && late > time.Second; i++ {
		began := time.Now() // first, since the deadline runs from here
		ctx, cancel := context.WithTimeout(background, given)
		err := lock.Acquire(ctx)
		took := time.Since(began)
		cancel()
		if !errors.Is(err, jlock.ErrTimeout) || errors.Is(err, jlock.ErrCanceled) || errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if text := fmt.Sprint(err); strings.Contains(text, "cancel") || !strings.Contains(text, "held by") {
			t.Fatal(text)
		}
		if took < given-2*time.Millisecond {
			t.Fatalf("%v: after %v", err, took)
		}
		late = min(late, took-given)
	}
	if late > time.Second {
		t.Fatalf("late by %v at best", late)
	}
}

// A deadline becomes the library's timeout, so nobody need watch the context.
func TestADeadlineAloneIsEnough(t *testing.T) {
	dir := t.TempDir()
	check(t, open(t, dir, nil).Acquire(background))
	lock := open(t, dir, &jlock.Options{Timeout: -1})
	ctx := deadlineOnly{background, time.Now().Add(20 * time.Millisecond)}
	err := within(t, patience, func() error { return lock.Acquire(ctx) })
	if !errors.Is(err, jlock.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

type deadlineOnly struct {
	context.Context
	at time.Time
}

func (ctx deadlineOnly) Deadline() (time.Time, bool) { return ctx.at, true }

func TestAnEndedWaitSaysWhatTheContextSays(t *testing.T) {
	dir := t.TempDir()
	check(t, open(t, dir, nil).Acquire(background))
	lock := open(t, dir, &jlock.Options{Timeout: -1})
	why := errors.New("why")

	canceled, cancel := context.WithCancelCause(background)
	done := waiter(canceled, t, lock)
	cancel(why)
	err := soon(t, done)
	for _, is := range []error{jlock.ErrCanceled, context.Canceled, why, syscall.ECANCELED} {
		if !errors.Is(err, is) {
			t.Errorf("%v: is not %v", err, is)
		}
	}
	if errors.Is(err, jlock.ErrTimeout) || os.IsTimeout(err) || !strings.Contains(err.Error(), "held by") {
		t.Error(err)
	}

	late, cancelLate := context.WithTimeoutCause(background, 30*time.Millisecond, why)
	defer cancelLate()
	err = within(t, patience, func() error { return lock.Acquire(late) })
	for _, is := range []error{jlock.ErrTimeout, context.DeadlineExceeded, why, syscall.ETIMEDOUT} {
		if !errors.Is(err, is) {
			t.Errorf("%v: is not %v", err, is)
		}
	}
	if errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A wait that was interrupted for no reason continues.
func TestAnInterruptForNothingEndsNothing(t *testing.T) {
	dir := t.TempDir()
	other, lock := open(t, dir, nil), open(t, dir, &jlock.Options{Timeout: -1})
	check(t, other.Acquire(background))
	done := waiter(background, t, lock)
	for i := 0; i < 100; i++ {
		lock.Wakeup()
		runtime.Gosched()
	}
	select {
	case err := <-done:
		t.Fatalf("it ended: %v", err)
	default:
	}
	check(t, other.Release())
	check(t, soon(t, done))
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

// A cancel at any moment, mostly just before or at the start of the library's wait, ends that wait and no other.
func TestACancelIsNeitherLostNorMisdirected(t *testing.T) {
	dir := t.TempDir()
	other := open(t, dir, nil)
	lock := open(t, dir, &jlock.Options{Timeout: -1})
	why := errors.New("why")
	dice := rand.New(rand.NewSource(1))
	for i := 0; i < 200; i++ {
		check(t, other.Acquire(background))
		ctx, cancel := context.WithCancelCause(background)
		begun, pause := make(chan struct{}), time.Duration(dice.Intn(300))*time.Microsecond
		go func() {
			close(begun)
			for until := time.Now().Add(pause); time.Now().Before(until); {
				runtime.Gosched()
			}
			cancel(why)
		}()
		<-begun
		err := within(t, patience, func() error { return lock.Acquire(ctx) })
		if !errors.Is(err, jlock.ErrCanceled) || !errors.Is(err, why) {
			t.Fatalf("canceled acquire: %v", err)
		}
		next := starts(func() error { return lock.Acquire(background) })
		check(t, other.Release())
		check(t, soon(t, next))
		check(t, lock.Release())
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

func TestAHolderThatLosesTheLockLearnsOfIt(t *testing.T) {
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

func TestInspectSaysWhoHolds(t *testing.T) {
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
	if h.HeldFor > time.Minute { // negative: the library does not know
		t.Fatalf("%+v", h)
	}
	if text := h.String(); !strings.HasPrefix(text, fmt.Sprintf("held by pid %d (library peer)", process.Pid)) {
		t.Fatal(text)
	}
	if h, err := open(t, t.TempDir(), nil).Inspect(); err != nil || h.State != jlock.Free || h.HeldFor >= 0 {
		t.Fatalf("%+v, %v", h, err)
	}
}

func TestAProbeSaysWhatADirectoryCanPromise(t *testing.T) {
	dir := t.TempDir()
	place, err := jlock.Probe(dir)
	check(t, err)
	if place.FileSystem == "" || place.Promises&jlock.PlaceProcessesOfMount == 0 {
		t.Errorf("%+v", place)
	}
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("it left %q", left)
	}
	if _, err := jlock.Probe(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
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
	if _, err := lock.TryAcquire(); !errors.Is(err, syscall.EDEADLK) {
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
	check(t, open(t, path, nil).Acquire(background)) // changes.journal has another lock
}
