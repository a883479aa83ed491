// Run as: go run ./example_quickstart DIRECTORY
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"jlock.example/jlock"
)

func run(ctx context.Context, dir string) error {
	journal, err := jlock.Open(dir, nil)
	if err != nil {
		return err
	}
	defer journal.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	// Acquires the lock and releases it. If that takes too long, the error says who holds it.
	if err := journal.AppendStamped(ctx, time.Now(), jlock.Changed("src/a.go"), jlock.Deleted("src/b.go")); err != nil {
		return err
	}
	snapshot, err := journal.Read()
	if err != nil {
		return err
	}
	fmt.Println(snapshot.Changed, snapshot.Deleted)
	return nil
}

func main() {
	if err := run(context.Background(), os.Args[1]); err != nil {
		log.Fatal(err)
	}
}
