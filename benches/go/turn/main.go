// turn DIR: does what c/turn.c does, in a goroutine.
// turn DIR COUNT: this many goroutines, each with a Lock of its own, wait for a lock that another one holds and then releases.
// Prints the number of threads of this process at the end, and the nanoseconds until all had been served.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"jlock.example/jlock"
)

func good(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func open(dir string) *jlock.Lock {
	lock, err := jlock.Open(dir, &jlock.Options{Timeout: -1})
	good(err)
	return lock
}

func turns(lock *jlock.Lock, count int) []int64 {
	times := make([]int64, count)
	for i := range times {
		begun := time.Now()
		good(lock.Acquire(context.Background()))
		times[i] = time.Since(begun).Nanoseconds()
		good(lock.Release())
		time.Sleep(time.Millisecond)
	}
	slices.Sort(times)
	return times
}

func many(dir string, count int) {
	holder := open(dir)
	good(holder.Acquire(context.Background()))
	var waiting, served sync.WaitGroup
	waiting.Add(count)
	served.Add(count)
	for i := 0; i < count; i++ {
		lock := open(dir)
		go func() {
			waiting.Done()
			good(lock.Acquire(context.Background()))
			good(lock.Release())
			served.Done()
		}()
	}
	waiting.Wait()
	time.Sleep(time.Second) // until all of them wait; the measurement begins after that
	released := time.Now()
	good(holder.Release())
	served.Wait()
	took := time.Since(released)
	threads, err := os.ReadDir("/proc/self/task")
	good(err)
	fmt.Println(len(threads), took.Nanoseconds())
}

func main() {
	log.SetFlags(0)
	if len(os.Args) == 3 {
		count, err := strconv.Atoi(os.Args[2])
		good(err)
		many(os.Args[1], count)
		return
	}
	lock := open(os.Args[1])
	for {
		var count int
		if _, err := fmt.Scan(&count); err != nil {
			good(lock.Close())
			return // the end of the input
		}
		times := turns(lock, count)
		fmt.Println(count, times[count/2], times[count*99/100], times[count-1])
	}
}
