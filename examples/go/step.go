//go:build cgo

package jlock

import "time"

const (
	// mostSteps is how many short calls may be in the library at the same time. Each of them occupies a thread, and the
	// run-time, which never ends its threads, would start one for each of a thousand goroutines that are woken together.
	mostSteps = 6
	// A step hardly ever sleeps. If one takes longer than this, its file system hangs, and others need not wait for it.
	longestStep = 200 * time.Millisecond
)

var steps = make(chan struct{}, mostSteps)

// step makes a short call.
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
