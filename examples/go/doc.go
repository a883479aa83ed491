// Package jlock is the lock of an append-only journal that programs in several languages share, and the journal
// itself. It is safe beside @optave/codegraph, which has its own implementation of the same lockfile.
//
//	journal, err := jlock.Open(dir, nil)
//	if err != nil {
//		return err
//	}
//	defer journal.Close()
//	return journal.Append(ctx, jlock.Changed("src/a.go"), jlock.Deleted("src/b.go"))
//
// A [Lock] is one participant. Goroutines that want to exclude each other open one each: two of them on one journal
// exclude each other like two processes. A single Lock may be used by any goroutine; its calls run one at a time.
//
// Every call that waits takes a [context.Context]. It gives up when the context is done or when [Options.Timeout] is
// over, whichever comes first, and has then done nothing. Errors say who holds the lock, and answer to errors.Is:
// [ErrTimeout], [ErrLost] and the others here, any [syscall.Errno], [io/fs.ErrNotExist], [context.Canceled].
//
// # Building
//
// By default the package is linked with the static archive of the checkout that it stands in (`cargo build
// --release`). With the tag jlock_pkgconfig it uses the installed library, as pkg-config finds it. The go command does
// not see that an archive has changed: after building a new one, remove the programs that have the old one before
// building them again, or pass -a; go test wants -count=1.
package jlock
