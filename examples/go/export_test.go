package jlock

// Busy says whether a call on this Lock has the turn, for the tests.
func (l *Lock) Busy() bool {
	l.line.mu.Lock()
	defer l.line.mu.Unlock()
	return l.line.busy
}

// InLine says how many calls wait for the turn.
func (l *Lock) InLine() int {
	l.line.mu.Lock()
	defer l.line.mu.Unlock()
	return l.line.waiting.Len()
}

// OnRelease replaces each release by f, until the returned function is called.
func OnRelease(f func(l *Lock, release func() int) int) (undo func()) {
	original := release
	release = func(l *Lock) int { return f(l, func() int { return original(l) }) }
	return func() { release = original }
}

// Wakeup makes a wait check its state, as a wait that has ended a moment too early does.
func (l *Lock) Wakeup() { l.interrupt() }

// Waits says whether a call on this Lock waits, or is about to, for the lock to be released.
func (l *Lock) Waits() bool { return l.events.Load() != nil }
