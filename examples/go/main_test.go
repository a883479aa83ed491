package jlock_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"jlock.example/jlock"
)

// Each of these names a directory, and makes the test program, as another process, do something with its lock.
const (
	holdEnv = "JLOCK_TEST_HOLD" // hold it until standard input ends
	waitEnv = "JLOCK_TEST_WAIT" // wait for it, in a thousand goroutines
)

func TestMain(m *testing.M) {
	for name, act := range map[string]func(dir string) error{holdEnv: hold, waitEnv: waitManyTimes} {
		if dir := os.Getenv(name); dir != "" {
			if err := act(dir); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		}
	}
	os.Exit(m.Run())
}

func hold(dir string) error {
	lock, err := jlock.Open(dir, nil)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := lock.Acquire(context.Background()); err != nil {
		return err
	}
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// holder starts a process that holds the lock of dir, until the test ends or letGo is called.
func holder(t *testing.T, dir string) (process *os.Process, letGo func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdEnv+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	check(t, err)
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	letGo = func() {
		stdin.Close()
		cmd.Wait() // its status does not matter: the tests kill some
	}
	t.Cleanup(letGo)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "held\n" {
		t.Fatalf("holder said %q, %v", line, err)
	}
	return cmd.Process, letGo
}

func open(t *testing.T, dir string, options *jlock.Options) *jlock.Lock {
	t.Helper()
	lock, err := jlock.Open(dir, options)
	check(t, err)
	t.Cleanup(func() { lock.Close() })
	return lock
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// steal takes the lock away as a shipped peer does, by renaming its own stamp over the lock.
func steal(t *testing.T, dir string) {
	t.Helper()
	nonce := fmt.Sprintf("%d-0123456789abcdef", os.Getpid())
	lock := filepath.Join(dir, "changes.journal.lock")
	stamp := lock + "." + nonce + ".tmp"
	check(t, os.WriteFile(stamp, []byte(fmt.Sprintf("%d\n%s\n", os.Getpid(), nonce)), 0o644))
	check(t, os.Rename(stamp, lock))
}
