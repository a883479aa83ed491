// Writer appends each path on standard input to a journal:
//
//	writer DIR PREFIX < paths
//
// Every entry is PREFIX/path; every tenth also stamps the header. It prints "ack <entry>" once an entry is in the
// journal, and at the end "wait <milliseconds>", the time that the longest call took.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"jlock.example/jlock"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: writer DIR PREFIX < paths")
		os.Exit(1)
	}
	// Not buffered: an entry is acknowledged as soon as it is safe.
	if err := write(os.Args[1], os.Args[2], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "writer:", err)
		os.Exit(1)
	}
}

func write(dir, prefix string, paths io.Reader, out io.Writer) error {
	journal, err := jlock.Open(dir, nil)
	if err != nil {
		return err
	}
	defer journal.Close()
	var longest time.Duration
	lines := bufio.NewScanner(paths)
	for count := 1; lines.Scan(); count++ {
		entry := jlock.Changed(prefix + "/" + lines.Text())
		began := time.Now()
		if err := appendOne(journal, entry, count%10 == 0); err != nil {
			return err
		}
		longest = max(longest, time.Since(began))
		if _, err := fmt.Fprintf(out, "ack %s\n", entry.Path); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "wait %.3f\n", float64(longest)/float64(time.Millisecond))
	return err
}

func appendOne(journal *jlock.Lock, entry jlock.Entry, stamp bool) error {
	if stamp {
		return journal.AppendStamped(context.Background(), time.Now(), entry)
	}
	return journal.Append(context.Background(), entry)
}
