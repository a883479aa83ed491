// Package jlock is the lock of an append-only journal that programs in several languages share, and the journal
// itself. It is safe beside @optave/codegraph, which has its own implementation of the same lockfile.
//
//	journal, err := jlock.Open(dir, nil)
//	if err != nil {
//		return err
//	}
//	defer journal.Close()
//	return journal.AppendStamped(ctx, time.Now(), jlock.Changed("src/a.go"), jlock.Deleted("src/b.go"))
//
// A journal cannot be read before it has been stamped: by [Lock.AppendStamped], or by [Lock.WriteHeader] after a full
// scan. After that, [Lock.Append] is enough.
//
// # Waiting
//
// Every call that waits takes a [context.Context]. It gives up when the context is done or when [Options.Timeout] is
// over, whichever comes first, and has then done nothing; a journal call that has begun to write finishes. A waiting
// goroutine occupies no thread, and keeps its place in line among all programs that wait for the lock.
//
// Errors say who holds the lock. errors.Is recognises [ErrTimeout], [ErrLost] and the others here, any [syscall.Errno],
// [io/fs.ErrNotExist], [context.Canceled], [context.DeadlineExceeded] and the context's cause.
//
// # Goroutines
//
// A [Lock] is one participant. Goroutines that should exclude each other open one each: two Locks on one journal exclude
// each other like two processes.
//
// Goroutines may also share a Lock. Its calls then run one after another:
//
//   - Acquire and the journal calls wait in line, in the order in which they came, as long as their contexts allow.
//     An Acquire that came while another was waiting gets the lock after the other's Release.
//   - An Acquire that comes while the Lock is held gets [syscall.EDEADLK]: its goroutine may be the holder.
//   - A journal call works under the hold if there is one, whichever goroutine acquired it.
//   - Release and Refresh go ahead of the calls in line. They do not touch the hold of a journal call.
//   - TryAcquire, Inspect and Read never wait. Close ends the waits of all other calls.
//
// # Building
//
// The module brings the library as a static archive, and its header: for linux on amd64, arm64, 386, arm, riscv64 and
// s390x, and with the tag musl on amd64 and arm64. In a checkout, `make library` and lib/fill.sh put them there, for the
// machine at hand. Programs need cgo and a C compiler to build, and nothing from jlock to run. With the tag
// jlock_pkgconfig they use the installed library instead, which pkg-config must find.
package jlock
