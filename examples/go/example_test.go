package jlock_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"jlock.example/jlock"
)

func tempDir() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "jlock-example-")
	if err != nil {
		log.Fatal(err)
	}
	return dir, func() { os.RemoveAll(dir) }
}

// A writer: each call acquires the lock and releases it.
func Example() {
	dir, remove := tempDir()
	defer remove()
	ctx := context.Background()

	journal, err := jlock.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer journal.Close()
	// The first append stamps the journal, which cannot be read before that.
	if err := journal.AppendStamped(ctx, time.Now(), jlock.Changed("src/a.go"), jlock.Deleted("src/b.go")); err != nil {
		log.Fatal(err)
	}
	if err := journal.Append(ctx, jlock.Changed("src/c.go")); err != nil {
		log.Fatal(err)
	}
	snapshot, err := journal.Read()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(snapshot.Changed, snapshot.Deleted)
	// Output: [src/a.go src/c.go] [src/b.go]
}

// Several calls under one hold, with a deadline for getting it.
func ExampleLock_Acquire() {
	dir, remove := tempDir()
	defer remove()
	lock, err := jlock.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := lock.Acquire(ctx); errors.Is(err, jlock.ErrTimeout) {
		log.Fatal("somebody else is at work: ", err) // says who
	} else if err != nil {
		log.Fatal(err)
	}
	fmt.Println("no other program writes now")
	if err := lock.Release(); errors.Is(err, jlock.ErrLost) {
		log.Fatal("it was taken away: ", err)
	}
	// Output: no other program writes now
}

func ExampleLock_TryAcquire() {
	dir, remove := tempDir()
	defer remove()
	first, err := jlock.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer first.Close()
	second, err := jlock.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer second.Close()

	fmt.Println(first.TryAcquire())
	fmt.Println(second.TryAcquire())
	holder, err := second.Inspect()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(holder.PID == os.Getpid(), holder.Peer == jlock.PeerLibrary)
	// Output:
	// true <nil>
	// false <nil>
	// true true
}

// A consumer. What is appended while it works is still there the next time.
func ExampleLock_Checkpoint() {
	dir, remove := tempDir()
	defer remove()
	ctx := context.Background()
	journal, err := jlock.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer journal.Close()
	if err := journal.AppendStamped(ctx, time.Now(), jlock.Changed("first")); err != nil {
		log.Fatal(err)
	}

	began := time.Now()
	snapshot, err := journal.Read()
	if err != nil {
		log.Fatal(err)
	}
	if err := journal.Append(ctx, jlock.Changed("second")); err != nil { // as another program might
		log.Fatal(err)
	}
	fmt.Println("processed", snapshot.Changed)
	if _, err := journal.Checkpoint(ctx, snapshot, began); err != nil {
		log.Fatal(err)
	}

	if snapshot, err = journal.Read(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("left", snapshot.Changed)
	// Output:
	// processed [first]
	// left [second]
}
