package jlock_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"jlock.example/jlock"
)

var stamp = time.UnixMilli(1_700_000_000_000)

func read(t *testing.T, journal *jlock.Lock) *jlock.Snapshot {
	t.Helper()
	snapshot, err := journal.Read()
	check(t, err)
	return snapshot
}

func expect(t *testing.T, got *jlock.Snapshot, at time.Time, changed, deleted []string) {
	t.Helper()
	if got.Timestamp != float64(at.UnixMilli()) {
		t.Errorf("timestamp %v", got.Timestamp)
	}
	if fmt.Sprintf("%q", got.Changed) != fmt.Sprintf("%q", changed) {
		t.Errorf("changed: %q, not %q", got.Changed, changed)
	}
	if fmt.Sprintf("%q", got.Deleted) != fmt.Sprintf("%q", deleted) {
		t.Errorf("deleted: %q, not %q", got.Deleted, deleted)
	}
}

func TestWhatIsAppendedIsRead(t *testing.T) {
	journal := open(t, t.TempDir(), nil)
	check(t, journal.Append(background, jlock.Changed("b"), jlock.Deleted("c"), jlock.Changed("\xff"), jlock.Changed("b")))
	check(t, journal.AppendStamped(background, stamp, jlock.Changed("a"), jlock.Deleted("c")))
	expect(t, read(t, journal), stamp, []string{"b", "\xff", "a"}, []string{"c"})
}

func TestAppendWritesTheFormat(t *testing.T) {
	dir := t.TempDir()
	journal := open(t, dir, nil)
	check(t, journal.Append(background, jlock.Changed("a"), jlock.Deleted("b")))
	check(t, journal.Append(background))
	got, err := os.ReadFile(filepath.Join(dir, "changes.journal"))
	check(t, err)
	if string(got) != "# codegraph-journal v1 0\na\nDELETED b\n" {
		t.Fatalf("%q", got)
	}
	if _, err := journal.Read(); !errors.Is(err, jlock.ErrUnstamped) || errors.Is(err, jlock.ErrHeader) {
		t.Fatalf("a header that says 0: %v", err)
	}
	check(t, journal.AppendStamped(background, stamp))
	expect(t, read(t, journal), stamp, []string{"a"}, []string{"b"})
}

func TestAMissingJournalDoesNotExist(t *testing.T) {
	if _, err := open(t, t.TempDir(), nil).Read(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestCheckpointKeepsWhatCameAfterTheSnapshot(t *testing.T) {
	journal := open(t, t.TempDir(), nil)
	check(t, journal.WriteHeader(background, stamp))
	check(t, journal.Append(background, jlock.Changed("old")))
	snapshot := read(t, journal)
	check(t, journal.Append(background, jlock.Changed("new"), jlock.Deleted("gone")))
	later := stamp.Add(time.Second)
	if dropped, err := journal.Checkpoint(background, snapshot, later); !dropped || err != nil {
		t.Fatalf("%v, %v", dropped, err)
	}
	expect(t, read(t, journal), later, []string{"new"}, []string{"gone"})
	if _, err := journal.Checkpoint(background, &jlock.Snapshot{}, later); err == nil {
		t.Fatal("a snapshot that was never read was accepted")
	}
}

func TestCheckpointSaysThatAReplacedJournalWasKept(t *testing.T) {
	dir := t.TempDir()
	journal := open(t, dir, nil)
	check(t, journal.AppendStamped(background, stamp, jlock.Changed("seen")))
	snapshot := read(t, journal)
	path := filepath.Join(dir, "changes.journal")
	content, err := os.ReadFile(path)
	check(t, err)
	check(t, os.WriteFile(path+".new", content, 0o644))
	check(t, os.Rename(path+".new", path))
	if dropped, err := journal.Checkpoint(background, snapshot, stamp); dropped || err != nil {
		t.Fatalf("%v, %v", dropped, err)
	}
	expect(t, read(t, journal), stamp, []string{"seen"}, nil)
}

func TestACopyOfASnapshotIsASnapshot(t *testing.T) {
	journal := open(t, t.TempDir(), nil)
	check(t, journal.AppendStamped(background, stamp, jlock.Changed("seen")))
	snapshot := *read(t, journal)
	for i := 0; i < 3; i++ {
		runtime.GC() // the original is gone
	}
	if dropped, err := journal.Checkpoint(background, &snapshot, stamp); !dropped || err != nil {
		t.Fatalf("%v, %v", dropped, err)
	}
}

func TestSnapshotsOutliveTheLockAndTheGarbageCollector(t *testing.T) {
	dir := t.TempDir()
	journal := open(t, dir, nil)
	check(t, journal.AppendStamped(background, stamp, jlock.Changed(strings.Repeat("x", 4000))))
	var kept *jlock.Snapshot
	for i := 0; i < 200; i++ {
		kept = read(t, journal)
		if i%50 == 0 {
			runtime.GC()
		}
	}
	check(t, journal.Close())
	expect(t, kept, stamp, []string{strings.Repeat("x", 4000)}, nil)
	_, err := open(t, dir, nil).Checkpoint(background, kept, stamp)
	check(t, err)
}

func TestAClosedSnapshotKeepsItsPaths(t *testing.T) {
	journal := open(t, t.TempDir(), nil)
	check(t, journal.AppendStamped(background, stamp, jlock.Changed("a")))
	before := descriptors(t)
	snapshot := read(t, journal)
	copied := *snapshot
	snapshot.Close()
	snapshot.Close()
	if now := descriptors(t); now != before {
		t.Errorf("%d descriptors, and then %d", before, now)
	}
	expect(t, snapshot, stamp, []string{"a"}, nil)
	if _, err := journal.Checkpoint(background, &copied, stamp); err == nil {
		t.Error("a closed snapshot was accepted")
	}
}

// With little memory used, the garbage collector would not run for a long time.
func TestSnapshotsThatAreNotClosedDoNotUseUpTheDescriptors(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	journal := open(t, t.TempDir(), nil)
	check(t, journal.AppendStamped(background, stamp))
	before, most := descriptors(t), 0
	for i := 0; i < 2000; i++ {
		read(t, journal)
		most = max(most, descriptors(t)-before)
	}
	if most > 1000 {
		t.Errorf("up to %d more", most)
	}
}

func TestAnEntryThatTheFormatCannotCarryIsRefused(t *testing.T) {
	dir := t.TempDir()
	journal := open(t, dir, nil)
	check(t, journal.WriteHeader(background, stamp))
	for _, path := range []string{"", "a\nb", "a\rb", "a\x00b", " a", "a\t", "#a", "DELETED a"} {
		err := journal.Append(background, jlock.Changed("good"), jlock.Changed(path))
		if !errors.Is(err, jlock.ErrEntry) {
			t.Errorf("%q: %v", path, err)
		}
	}
	expect(t, read(t, journal), stamp, nil, nil)
}

func TestJournalCallsWorkUnderAHold(t *testing.T) {
	dir := t.TempDir()
	journal, other := open(t, dir, &jlock.Options{Sync: true}), open(t, dir, nil)
	check(t, journal.Acquire(background))
	check(t, journal.Append(background, jlock.Changed("a")))
	if got, err := other.TryAcquire(); got || err != nil {
		t.Fatalf("the hold ended: %v, %v", got, err)
	}
	check(t, journal.Release())
	check(t, other.AppendStamped(background, stamp, jlock.Changed("b")))
	if got := read(t, journal).Changed; !reflect.DeepEqual(got, []string{"a", "b"}) {
		t.Fatalf("%q", got)
	}
}

// A thief that takes the lock before the release may have put an older copy of the journal in place.
func TestAnOvertakenJournalCallIsMadeAgain(t *testing.T) {
	for _, test := range []struct {
		thefts, calls int
		want          error
	}{{3, 4, nil}, {4, 4, jlock.ErrLost}} {
		dir := t.TempDir()
		journal := open(t, dir, nil)
		check(t, journal.WriteHeader(background, stamp))
		path := filepath.Join(dir, "changes.journal")
		before, err := os.ReadFile(path)
		check(t, err)
		calls := 0
		undo := jlock.OnRelease(func(_ *jlock.Lock, release func() int) int {
			calls++
			if calls > test.thefts {
				return release()
			}
			steal(t, dir)
			check(t, os.WriteFile(path, before, 0o644))
			lost := release()
			check(t, os.Remove(path+".lock"))
			return lost
		})
		err = journal.Append(background, jlock.Changed("a"))
		undo()
		if calls != test.calls || !errors.Is(err, test.want) {
			t.Fatalf("%d thefts: %d calls, %v", test.thefts, calls, err)
		}
		if test.want == nil {
			expect(t, read(t, journal), stamp, []string{"a"}, nil)
		}
	}
}

func TestAHoldThatAJournalCallCouldNotReleaseIsReleasedByTheNext(t *testing.T) {
	dir := t.TempDir()
	journal, other := open(t, dir, nil), open(t, dir, nil)
	undo := jlock.OnRelease(func(*jlock.Lock, func() int) int { return -int(syscall.EIO) })
	err := journal.AppendStamped(background, stamp, jlock.Changed("a"))
	if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "was written") {
		t.Errorf("append: %v", err)
	}
	if err := journal.Append(background, jlock.Changed("b")); !errors.Is(err, syscall.EIO) {
		t.Errorf("the next: %v", err)
	}
	undo()
	if err := journal.Release(); !errors.Is(err, jlock.ErrNotHeld) {
		t.Errorf("a hold that is not the program's: %v", err)
	}
	check(t, journal.Append(background, jlock.Changed("c")))
	expect(t, read(t, journal), stamp, []string{"a", "c"}, nil)
	if got, err := other.TryAcquire(); !got || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}
