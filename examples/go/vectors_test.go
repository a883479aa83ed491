package jlock_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"jlock.example/jlock"
)

// The test vectors (tests/vectors, whose README explains them) through this package: a subtest for each.

const (
	vectorsDir = "../../tests/vectors"
	settle     = 100 * time.Millisecond
)

// A content is bytes in the notation of the vectors; nil stands for null.
type content []byte

func (c *content) UnmarshalJSON(raw []byte) error {
	var text string
	var parts []content
	var object struct {
		Text   *string
		Base64 *[]byte
		Times  *int
	}
	switch raw[0] {
	case 'n':
		*c = nil
		return nil
	case '"':
		err := strict(raw, &text)
		*c = append(content{}, text...)
		return err
	case '[':
		err := strict(raw, &parts)
		*c = bytes.Join(asBytes(parts), nil)
		return err
	}
	if err := strict(raw, &object); err != nil {
		return err
	}
	switch {
	case object.Base64 != nil:
		*c = *object.Base64
	case object.Text != nil && object.Times != nil:
		*c = bytes.Repeat([]byte(*object.Text), *object.Times)
	default:
		return fmt.Errorf("%s: no content", raw)
	}
	return nil
}

func asBytes(parts []content) (all [][]byte) {
	for _, part := range parts {
		all = append(all, part)
	}
	return all
}

func asStrings(parts []content) (all []string) {
	for _, part := range parts {
		all = append(all, string(part))
	}
	return all
}

// strict refuses members that it does not know, so that none is silently ignored.
func strict(raw []byte, out any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(out)
}

// own returns the content that is in the vector itself.
type own struct {
	Name   string
	Text   string
	Base64 string
}

func (o own) bytes(t *testing.T) []byte {
	if o.Base64 == "" {
		return []byte(o.Text)
	}
	decoded, err := base64.StdEncoding.DecodeString(o.Base64)
	check(t, err)
	return decoded
}

func (o own) named() string { return o.Name }

func run[V interface{ named() string }](t *testing.T, file string, test func(*testing.T, V, string)) {
	raw, err := os.ReadFile(filepath.Join(vectorsDir, file))
	check(t, err)
	var vectors []V
	if err := strict(raw, &vectors); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if len(vectors) == 0 {
		t.Fatalf("%s: no vectors", file)
	}
	for _, vector := range vectors {
		t.Run(vector.named(), func(t *testing.T) { test(t, vector, t.TempDir()) })
	}
	t.Logf("%s: %d vectors", file, len(vectors))
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: %q, not %q", what, got, want)
	}
}

func setAge(t *testing.T, path string, seconds float64) {
	t.Helper()
	at := time.Now().Add(-time.Duration(seconds * float64(time.Second)))
	check(t, os.Chtimes(path, at, at))
}

func TestNoFileOfVectorsIsForgotten(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(vectorsDir, "*.json"))
	check(t, err)
	var names []string
	for _, path := range found {
		names = append(names, filepath.Base(path))
	}
	equal(t, "files", names, []string{"appends.json", "directories.json", "entries.json", "journals.json", "stamps.json"})
}

// ------------------------------------------------------------------------------------------------ stamps, the journal

// kind is what a stamp is read as, in a lock that is 10 s old and has no living PID.
func kind(holder jlock.Holder) string {
	switch {
	case holder.Peer == jlock.PeerLibrary:
		return "library"
	case holder.Peer == jlock.PeerShipped:
		return "shipped"
	case holder.Peer == jlock.PeerUnknown && holder.State == jlock.Abandoned:
		return "cut short"
	case holder.Peer == jlock.PeerUnknown:
		return "foreign"
	}
	return "none"
}

func TestVectorsOfStamps(t *testing.T) {
	type stampVector struct {
		own
		Kind   string
		PID    int
		Nonce  string
		Fields struct{ Since, Boot, PIDNS, TimeNS, Start, Host, Flock string }
	}
	run(t, "stamps.json", func(t *testing.T, v stampVector, dir string) {
		lock := filepath.Join(dir, "changes.journal.lock")
		check(t, os.WriteFile(lock, v.bytes(t), 0o644))
		setAge(t, lock, 10)
		holder, err := open(t, dir, nil).Inspect()
		check(t, err)
		equal(t, "kind", kind(holder), v.Kind)
		equal(t, "pid", holder.PID, v.PID)
		equal(t, "nonce", holder.Nonce, v.Nonce)
		equal(t, "host", holder.Host, v.Fields.Host)
	})
}

func TestVectorsOfJournals(t *testing.T) {
	type journalVector struct {
		own
		Timestamp        *float64
		Changed, Deleted []content
	}
	run(t, "journals.json", func(t *testing.T, v journalVector, dir string) {
		check(t, os.WriteFile(filepath.Join(dir, "changes.journal"), v.bytes(t), 0o644))
		read, err := open(t, dir, nil).Read()
		if v.Timestamp == nil {
			if !errors.Is(err, jlock.ErrHeader) && !errors.Is(err, jlock.ErrUnstamped) {
				t.Errorf("read: %v, %v", read, err)
			}
			return
		}
		check(t, err)
		equal(t, "timestamp", read.Timestamp, *v.Timestamp)
		equal(t, "changed", fmt.Sprintf("%q", read.Changed), fmt.Sprintf("%q", asStrings(v.Changed)))
		equal(t, "deleted", fmt.Sprintf("%q", read.Deleted), fmt.Sprintf("%q", asStrings(v.Deleted)))
	})
}

func TestVectorsOfEntries(t *testing.T) {
	type entryVector struct {
		own
		Path content
		Kind string
		Line content
	}
	kinds := map[string]func(string) jlock.Entry{"changed": jlock.Changed, "deleted": jlock.Deleted}
	run(t, "entries.json", func(t *testing.T, v entryVector, dir string) {
		const before = "# codegraph-journal v1 1\n"
		journal := filepath.Join(dir, "changes.journal")
		check(t, os.WriteFile(journal, []byte(before), 0o644))
		entry, known := kinds[v.Kind]
		if !known {
			t.Fatalf("%s: no kind", v.Kind)
		}
		err := open(t, dir, nil).Append(background, entry(string(v.Path)))
		if refused := errors.Is(err, jlock.ErrEntry); refused != (v.Line == nil) || err != nil && !refused {
			t.Errorf("append: %v", err)
		}
		after, err := os.ReadFile(journal)
		check(t, err)
		equal(t, "journal", string(after), before+string(v.Line))
	})
}

func TestVectorsOfAppends(t *testing.T) {
	type appendVector struct {
		own
		Before    content
		Append    []content
		Stamp     *int64
		After     content
		Rewritten *bool
	}
	run(t, "appends.json", func(t *testing.T, v appendVector, dir string) {
		path := filepath.Join(dir, "changes.journal")
		if v.Before != nil {
			check(t, os.WriteFile(path, v.Before, 0o644))
		}
		stood := keep(t, path)
		var entries []jlock.Entry
		for _, path := range v.Append {
			entries = append(entries, jlock.Changed(string(path)))
		}
		journal := open(t, dir, nil)
		if v.Stamp != nil {
			check(t, journal.AppendStamped(background, time.UnixMilli(*v.Stamp), entries...))
		} else {
			check(t, journal.Append(background, entries...))
		}
		after, err := os.ReadFile(path)
		check(t, err)
		equal(t, "journal", string(after), string(v.After))
		if v.Rewritten != nil {
			equal(t, "rewritten", !stood.isStill(t), *v.Rewritten)
		}
	})
}

// -------------------------------------------------------------------------------------------------------- directories

// A standing is what a name stood for. A file is kept open, so that no other file gets its inode.
type standing struct {
	path string
	info os.FileInfo // nil if there was nothing
	text []byte
}

func keep(t *testing.T, path string) standing {
	t.Helper()
	s := standing{path: path}
	s.info, s.text = s.now(t)
	if s.info != nil && s.info.Mode().IsRegular() {
		file, err := os.Open(path)
		check(t, err)
		t.Cleanup(func() { file.Close() })
	}
	return s
}

func (s standing) now(t *testing.T) (os.FileInfo, []byte) {
	t.Helper()
	info, err := os.Lstat(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	check(t, err)
	if !info.Mode().IsRegular() {
		return info, nil
	}
	text, err := os.ReadFile(s.path)
	check(t, err)
	return info, text
}

func (s standing) isStill(t *testing.T) bool {
	t.Helper()
	info, _ := s.now(t)
	return info != nil && s.info != nil && os.SameFile(info, s.info)
}

// placeholders are filled in. The living process is the one that started this one.
func placeholders(t *testing.T) *strings.Replacer {
	t.Helper()
	ended := exec.Command("true")
	check(t, ended.Run())
	living := strconv.Itoa(os.Getppid())
	stat, err := os.ReadFile("/proc/" + living + "/stat")
	check(t, err)
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	check(t, err)
	namespace := func(name string) string {
		info, err := os.Stat("/proc/self/ns/" + name)
		check(t, err)
		return strconv.FormatUint(info.Sys().(*syscall.Stat_t).Ino, 10)
	}
	afterName := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return strings.NewReplacer(
		"{living}", living,
		"{start}", afterName[19],
		"{dead}", strconv.Itoa(ended.Process.Pid),
		"{boot}", strings.TrimSpace(string(boot)),
		"{pidns}", namespace("pid"),
		"{timens}", namespace("time"),
	)
}

type fileOfVector struct {
	own
	AgeS   float64 `json:"age_s"`
	Flock  bool
	Writer bool
	SameAs string `json:"same_as"`
	Type   string
	Swept  bool
}

func (f fileOfVector) create(t *testing.T, dir string, here *strings.Replacer) (name string) {
	t.Helper()
	name = here.Replace(f.Name)
	path := filepath.Join(dir, name)
	switch f.Type {
	case "symlink":
		check(t, os.Symlink("nowhere", path))
	case "directory":
		check(t, os.Mkdir(path, 0o755))
	case "fifo":
		check(t, syscall.Mkfifo(path, 0o644))
	case "":
		if f.SameAs != "" {
			check(t, os.Link(filepath.Join(dir, here.Replace(f.SameAs)), path))
			break
		}
		check(t, os.WriteFile(path, []byte(here.Replace(string(f.bytes(t)))), 0o644))
		setAge(t, path, f.AgeS)
	default:
		t.Fatalf("%s: no type", f.Type)
	}
	if f.Flock {
		file, err := os.Open(path)
		check(t, err)
		t.Cleanup(func() { file.Close() })
		check(t, syscall.Flock(int(file.Fd()), syscall.LOCK_EX))
	}
	if f.Writer {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		check(t, err)
		t.Cleanup(func() { file.Close() })
	}
	return name
}

type lockOfVector struct {
	State string
	Kind  *string
	PID   any
}

func (want *lockOfVector) look(t *testing.T, lock *jlock.Lock, here *strings.Replacer) {
	t.Helper()
	holder, err := lock.Inspect()
	if want == nil {
		if err == nil {
			t.Errorf("looked at, and not refused: %+v", holder)
		}
		return
	}
	check(t, err)
	states := map[jlock.State]string{
		jlock.Free: "free", jlock.Held: "held", jlock.Mine: "mine", jlock.Abandoned: "abandoned",
	}
	kinds := map[jlock.Peer][]string{
		jlock.PeerNone: {"none"}, jlock.PeerLibrary: {"library"}, jlock.PeerShipped: {"shipped"},
		jlock.PeerUnknown: {"cut short", "foreign"},
	}
	kind, pid := "none", "0"
	if want.Kind != nil {
		kind = *want.Kind
	}
	if want.PID != nil {
		pid = here.Replace(fmt.Sprint(want.PID))
	}
	equal(t, "state", states[holder.State], want.State)
	equal(t, "pid", fmt.Sprint(float64(holder.PID)), asFloat(t, pid))
	if !slices.Contains(kinds[holder.Peer], kind) {
		t.Errorf("kind: %q, not %q", kinds[holder.Peer], kind)
	}
}

// asFloat reads JSON's numbers, and numbers in strings.
func asFloat(t *testing.T, number string) string {
	t.Helper()
	value, err := strconv.ParseFloat(number, 64)
	check(t, err)
	return fmt.Sprint(value)
}

// how says how an acquire ended, in the words of the vectors.
func how(t *testing.T, lock *jlock.Lock, stood standing, timeout time.Duration) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(background, timeout)
	defer cancel()
	began := time.Now()
	err := lock.Acquire(ctx)
	took := time.Since(began)
	switch {
	case errors.Is(err, jlock.ErrTimeout):
		return "times out"
	case err != nil:
		return "refuses"
	case stood.info == nil:
		return "links"
	case took < settle:
		return fmt.Sprintf("claims without settling, in %v", took)
	case stood.isStill(t):
		return "claims in place"
	}
	return "claims, and moves to another inode"
}

// names returns what is in the directory, and in its subdirectories.
func names(t *testing.T, dir string) []string {
	t.Helper()
	all := []string{}
	check(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		all = append(all, name)
		return err
	}))
	slices.Sort(all)
	return all
}

func TestVectorsOfDirectories(t *testing.T) {
	type directoryVector struct {
		own
		Files   []fileOfVector
		Lock    *lockOfVector
		Acquire string
	}
	here := placeholders(t)
	run(t, "directories.json", func(t *testing.T, v directoryVector, dir string) {
		made, remaining := []string{}, []string{}
		for _, file := range v.Files {
			name := file.create(t, dir, here)
			made = append(made, name)
			if !file.Swept {
				remaining = append(remaining, name)
			}
		}
		slices.Sort(made)
		slices.Sort(remaining)
		lock := open(t, dir, nil)
		v.Lock.look(t, lock, here)
		equal(t, "once it is looked at", names(t, dir), made)

		stood := keep(t, filepath.Join(dir, "changes.journal.lock"))
		timeout := patience
		if v.Acquire == "times out" {
			timeout = 300 * time.Millisecond
		}
		went := how(t, lock, stood, timeout)
		equal(t, "acquire", went, v.Acquire)
		if went == "times out" || went == "refuses" {
			_, text := stood.now(t)
			equal(t, "what the lock is still", [2]any{stood.isStill(t), string(text)}, [2]any{true, string(stood.text)})
		} else {
			mine, err := lock.Inspect()
			check(t, err)
			equal(t, "holder", [3]any{mine.State, mine.Peer, mine.PID}, [3]any{jlock.Mine, jlock.PeerLibrary, os.Getpid()})
			check(t, lock.Release())
			remaining = slices.DeleteFunc(remaining, func(name string) bool { return name == "changes.journal.lock" })
		}
		check(t, lock.Close())
		equal(t, "once it is closed", names(t, dir), remaining)
	})
}
