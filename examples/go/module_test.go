//go:build !jlock_pkgconfig

package jlock_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// The module, as somebody else's program uses it.

// project is a program that requires this module from here.
func project(t *testing.T) (dir string) {
	t.Helper()
	here, err := os.Getwd()
	check(t, err)
	dir = t.TempDir()
	program, err := os.ReadFile("example_quickstart/main.go")
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "main.go"), program, 0o644))
	mod := "module project\n\ngo 1.21\n\nrequire jlock.example/jlock v0.0.0\n\nreplace jlock.example/jlock => " + here + "\n"
	check(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644))
	return dir
}

func goCommand(dir string, arguments ...string) *exec.Cmd {
	cmd := exec.Command("go", arguments...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=")
	return cmd
}

func TestAVendoredModuleBringsTheLibrary(t *testing.T) {
	dir := project(t)
	for _, arguments := range [][]string{{"mod", "vendor"}, {"build", "-mod=vendor", "-o", "program", "."}} {
		if out, err := goCommand(dir, arguments...).CombinedOutput(); err != nil {
			t.Fatalf("go %q: %v\n%s", arguments, err, out)
		}
	}
	program := filepath.Join(dir, "program")
	out, err := exec.Command(program, t.TempDir()).CombinedOutput()
	if err != nil || string(out) != "[src/a.go] [src/b.go]\n" {
		t.Fatalf("%v, %s", err, out)
	}
	needs, err := exec.Command("readelf", "--dynamic", program).Output()
	if err != nil || strings.Contains(string(needs), "libjlock") {
		t.Fatalf("%v: it needs an installed library\n%s", err, needs)
	}
}

func TestTheCompilerSaysThatItNeedsCgo(t *testing.T) {
	cmd := goCommand(project(t), "build", ".")
	cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err == nil || len(lines) != 2 || !strings.HasSuffix(lines[1], "undefined: jlock_needs_CGO_ENABLED_1_and_a_C_compiler") {
		t.Fatalf("%v\n%s", err, out)
	}
}

// The go command does not look into the archive, but notices that the file beside it has changed.
func TestANewArchiveIsLinked(t *testing.T) {
	here, dir := filepath.Join(t.TempDir(), "copy"), project(t)
	if out, err := exec.Command("cp", "-R", ".", here).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	check(t, err)
	end := strings.LastIndex(string(mod), "=>")
	check(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(string(mod)[:end]+"=> "+here+"\n"), 0o644))
	build := func() error { return goCommand(dir, "build", "-o", "program", ".").Run() }
	check(t, build())
	archive := filepath.Join(here, "lib", "linux_"+runtime.GOARCH)
	check(t, os.WriteFile(filepath.Join(archive, "libjlock.a"), []byte("!<arch>\n"), 0o644))
	sum := filepath.Join(archive, "sum.go")
	text, err := os.ReadFile(sum)
	check(t, err)
	check(t, os.WriteFile(sum, bytes.Replace(text, []byte(` = "`), []byte(` = "0`), 1), 0o644))
	if build() == nil {
		t.Fatal("linked with an archive that is empty now")
	}
}
