//go:build cgo

package jlock

import "time"

const (
	// mostSteps is how many short calls are in the library at the same time. Each is a thread while it is there, and the
	// run-time, which keeps its threads, would start one for each of a thousand goroutines that are woken together.
	mostSteps = 6
	// A step hardly sleeps. If one takes longer than this, it is stuck in its file system, and others need not wait.
	longestStep = 200 * time.Millisecond
)

var steps = make(chan struct{}, mostSteps)

// step makes a call that is short.
func step(call func() int) int {
	steps <- struct{}{}
	if len(steps) <= mostSteps/2 {
		defer func() { <-steps }()
		return call()
	}
	stuck := time.AfterFunc(longestStep, func() { <-steps })
	rc := call()
	if stuck.Stop() {
		<-steps
	}
	return rc
}
