// A meter (../c/meter.h) for two Go packages: pair lockfile|flock FILE.
package main

import (
	"fmt"
	"log"
	"os"
	"time"

	"github.com/gofrs/flock"
	"github.com/nightlyone/lockfile"
)

// Returns the calls that take and release a lock at this path.
func pair(kind, path string) (acquire, release func() error, err error) {
	switch kind {
	case "lockfile":
		lock, err := lockfile.New(path)
		return lock.TryLock, lock.Unlock, err
	case "flock":
		lock := flock.New(path)
		return lock.Lock, lock.Unlock, nil
	}
	return nil, nil, fmt.Errorf("no such kind: %s", kind)
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: pair lockfile|flock FILE")
	}
	acquire, release, err := pair(os.Args[1], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	var times int
	for {
		if _, err := fmt.Scan(&times); err != nil {
			return // the end of the input
		}
		begun := time.Now()
		for done := 0; done < times; done++ {
			if err := acquire(); err != nil {
				log.Fatal(err)
			}
			if err := release(); err != nil {
				log.Fatal(err)
			}
		}
		fmt.Println(time.Since(begun).Nanoseconds())
	}
}
