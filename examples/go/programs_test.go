package jlock_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// build compiles one of the programs beside the package.
func build(t *testing.T, pkg string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	if out, err := exec.Command("go", "build", "-tags", linkTag, "-o", program, pkg).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

func TestTheWriterAcknowledgesWhatItAppended(t *testing.T) {
	writer, dir := build(t, "./cmd/writer"), t.TempDir()
	var paths, acks []string
	for i := 0; i < 24; i++ {
		paths = append(paths, fmt.Sprintf("src/%d", i))
		acks = append(acks, fmt.Sprintf("ack go/src/%d\n", i))
	}
	cmd := exec.Command(writer, dir, "go")
	cmd.Stdin = strings.NewReader(strings.Join(paths, "\n"))
	out, err := cmd.Output()
	check(t, err)
	want := regexp.QuoteMeta(strings.Join(acks, "")) + `wait [0-9]+\.[0-9]+\n`
	if !regexp.MustCompile("^" + want + "$").Match(out) {
		t.Fatalf("%s", out)
	}
	if got := read(t, open(t, dir, nil)).Changed; len(got) != 24 || got[23] != "go/src/23" {
		t.Fatalf("%q", got)
	}
}

func TestTheWriterReportsAnError(t *testing.T) {
	var stderr bytes.Buffer
	cmd := exec.Command(build(t, "./cmd/writer"), t.TempDir(), "go")
	cmd.Stdin = strings.NewReader("good\nbad \n")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if cmd.ProcessState.ExitCode() != 1 || string(out) != "ack go/good\n" || !strings.HasPrefix(stderr.String(), "writer: ") {
		t.Fatalf("%v, %q, %q", err, out, stderr.String())
	}
}

func TestTheQuickstartRunsAndSaysWhoIsInItsWay(t *testing.T) {
	program, dir := build(t, "./example_quickstart"), t.TempDir()
	out, err := exec.Command(program, dir).CombinedOutput()
	if err != nil || string(out) != "[src/a.go] [src/b.go]\n" {
		t.Fatalf("%v, %q", err, out)
	}
	process, _ := holder(t, dir)
	out, err = exec.Command(program, dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprintf("held by pid %d", process.Pid)) {
		t.Fatalf("%v, %q", err, out)
	}
}
