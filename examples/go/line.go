//go:build cgo

package jlock

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// Why a line did not give a call the turn. notServed turns these into errors of the package.
var (
	errClosing = errors.New("closing")
	errHeld    = errors.New("held by the program")
	errNotHeld = errors.New("not held by the program")
	errBusy    = errors.New("somebody has the turn")
	errLate    = errors.New("out of time")
)

// need is what a call needs from the Lock that it uses.
type need int

const (
	// toAcquire: a Lock that the program does not hold.
	toAcquire need = iota
	// toWrite: any Lock. A journal call works under the program's hold or under its own.
	toWrite
	// ofHold: a Lock that the program holds. It does not wait in line behind calls that wait for the release.
	ofHold
)

// A line serves the calls on one Lock that acquire it or work under its hold, one after another, in the order in which they
// came. The library would do that, too, but there each waiting goroutine would occupy a thread.
type line struct {
	mu      sync.Mutex
	users   int // calls in progress, with those in line
	closed  bool
	closing chan struct{} // closed when closed is set
	idle    chan struct{} // closed once there are no users and will be none
	busy    bool          // a call has the turn
	held    bool          // whether the program holds the Lock; set only by the call that has the turn
	waiting list.List     // of *ticket
}

type ticket struct {
	need need
	turn chan struct{} // closed by the call that gives it the turn
}

func newLine() *line {
	return &line{closing: make(chan struct{}), idle: make(chan struct{})}
}

// begin counts a call, which must call end. It returns false if the line is closed.
func (q *line) begin() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.users++
	return true
}

func (q *line) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.users--; q.closed && q.users == 0 {
		close(q.idle)
	}
}

// close refuses calls from now on, and ends the waits of those in line. idle is closed when the last has ended.
func (q *line) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	close(q.closing)
	if q.users == 0 {
		close(q.idle)
	}
}

func (q *line) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

func (q *line) isHeld() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held
}

func (q *line) setHeld(held bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = held
}

// refusal says why a call with this need cannot have the turn, however long it waits.
func (q *line) refusal(need need) error {
	switch {
	case q.closed:
		return errClosing
	case need == toAcquire && q.held:
		return errHeld
	case need == ofHold && !q.held:
		return errNotHeld
	}
	return nil
}

// tryTurn takes the turn if nobody has it; pass hands it on.
func (q *line) tryTurn(need need) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.refusal(need); err != nil {
		return err
	}
	if q.busy {
		return errBusy
	}
	q.busy = true
	return nil
}

// turn waits for the turn until the given time, or forever if that is zero; pass hands the turn on.
func (q *line) turn(ctx context.Context, need need, until time.Time) error {
	q.mu.Lock()
	if err := q.refusal(need); err != nil {
		q.mu.Unlock()
		return err
	}
	// If a call is in line while nobody has the turn, it is waiting for a release.
	if !q.busy {
		q.busy = true
		q.mu.Unlock()
		return nil
	}
	t := &ticket{need: need, turn: make(chan struct{})}
	push := q.waiting.PushBack
	if need == ofHold {
		push = q.waiting.PushFront
	}
	place := push(t)
	q.mu.Unlock()
	return q.stand(ctx, place, until)
}

// stand waits in line.
func (q *line) stand(ctx context.Context, place *list.Element, until time.Time) error {
	var late <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		late = timer.C
	}
	turn := place.Value.(*ticket).turn
	var err error
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-q.closing:
		err = errClosing
	case <-late:
		err = errLate
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-turn: // at the same moment
		q.next()
	default:
		q.waiting.Remove(place)
	}
	return err
}

// pass gives the turn to the next in line, or to nobody.
func (q *line) pass() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next()
}

func (q *line) next() {
	q.busy = false
	for place := q.waiting.Front(); place != nil; place = place.Next() {
		t := place.Value.(*ticket)
		if t.need == toAcquire && q.held {
			continue // it came before the hold, and its turn comes after it
		}
		q.waiting.Remove(place)
		q.busy = true
		close(t.turn)
		return
	}
}
