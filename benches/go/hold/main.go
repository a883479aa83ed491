// hold lockfile|flock FILE: takes a lock with nightlyone/lockfile or gofrs/flock, says held or busy, and releases it at the end
// of its input.
package main

import (
	"fmt"
	"io"
	"log"
	"os"

	"github.com/gofrs/flock"
	"github.com/nightlyone/lockfile"
)

func take(kind, path string) (held bool, release func() error, err error) {
	switch kind {
	case "lockfile":
		lock, err := lockfile.New(path)
		if err != nil {
			return false, nil, err
		}
		switch err := lock.TryLock(); err {
		case nil:
			return true, lock.Unlock, nil
		case lockfile.ErrBusy:
			return false, nil, nil
		default:
			return false, nil, err
		}
	case "flock":
		lock := flock.New(path)
		held, err := lock.TryLock()
		return held, lock.Unlock, err
	}
	return false, nil, fmt.Errorf("no such kind: %s", kind)
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: hold lockfile|flock FILE")
	}
	held, release, err := take(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if !held {
		fmt.Println("busy")
		return
	}
	fmt.Println("held")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		log.Fatal(err)
	}
	_ = release() // somebody may have taken the lock
}
