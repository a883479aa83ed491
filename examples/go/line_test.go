package jlock

import (
	"context"
	"testing"
	"time"
)

// If a call gets the turn just as its wait ends, the turn goes to the next.
func TestATurnThatNobodyTakesIsPassedOn(t *testing.T) {
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	gone := 0
	for i := 0; i < 100; i++ { // select chooses either at random
		q := newLine()
		if err := q.tryTurn(toWrite); err != nil {
			t.Fatal(err)
		}
		place := q.waiting.PushBack(&ticket{need: toWrite, turn: make(chan struct{})})
		q.pass()
		if !q.busy {
			t.Fatal("nobody has got the turn")
		}
		switch err := q.stand(canceled, place, time.Time{}); {
		case err == nil && !q.busy:
			t.Fatal("another may take the turn")
		case err != nil && q.busy:
			t.Fatal("the turn is lost")
		case err != nil:
			gone++
		}
	}
	if gone == 0 {
		t.Fatal("no wait has ended")
	}
}
