// Run as: go run ./example_quickstart DIRECTORY
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"jlock"
)

func main() {
	journal, err := jlock.Open(os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	defer journal.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	// Takes the lock and lets it go; when it comes too late, the error names the holder.
	err = journal.AppendStamped(ctx, time.Now(), jlock.Changed("src/a.go"), jlock.Deleted("src/b.go"))
	if err != nil {
		log.Fatal(err)
	}
	if snapshot, err := journal.Read(); err == nil {
		fmt.Println(snapshot.Changed, snapshot.Deleted)
	}
}
