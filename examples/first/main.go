package main

import (
	"context"
	"log"
	"time"

	"jlock.example/jlock"
)

func main() {
	journal, err := jlock.Open(".codegraph", nil)
	if err == nil {
		defer journal.Close()
		err = journal.AppendStamped(context.Background(), time.Now(), jlock.Changed("src/main.go"))
	}
	if err != nil {
		log.Print(err) // says who holds the lock
	}
}
