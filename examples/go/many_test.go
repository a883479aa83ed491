package jlock_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"jlock.example/jlock"
)

const (
	manyWaiters = 1000
	mostThreads = 20
)

// In a separate process, where the run-time never ends a thread, so that the number at the end is the highest there was.
func TestAThousandWaitingGoroutinesAreFewThreads(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), waitEnv+"="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func waitManyTimes(dir string) error {
	holder, err := jlock.Open(dir, nil)
	if err != nil {
		return err
	}
	defer holder.Close()
	if err := holder.Acquire(background); err != nil {
		return err
	}
	waiters, served := make([]*jlock.Lock, manyWaiters), make([]error, manyWaiters)
	var group sync.WaitGroup
	for i := range waiters {
		if waiters[i], err = jlock.Open(dir, &jlock.Options{Timeout: -1}); err != nil {
			return err
		}
	}
	for i := range waiters {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			served[i] = waiters[i].Acquire(background)
			if served[i] == nil {
				served[i] = waiters[i].Close()
			}
		}(i)
	}
	for _, waiter := range waiters {
		for !waiter.Waits() {
			runtime.Gosched()
		}
	}
	before, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	fmt.Printf("%d threads while all waited; ", len(before))
	released := time.Now()
	if err := holder.Release(); err != nil {
		return err
	}
	group.Wait()
	took := time.Since(released)
	if err := errors.Join(served...); err != nil {
		return err
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	fmt.Printf("%d at the end; all served %v after the release\n", len(threads), took.Round(time.Millisecond))
	if len(threads) > mostThreads {
		return fmt.Errorf("%d waiting goroutines were %d threads", manyWaiters, len(threads))
	}
	return nil
}
