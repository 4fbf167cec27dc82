package controlplane

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// buildProgress shows how a build gets on: one line a component, which counts time and packages where out is a terminal.
type buildProgress struct {
	out      io.Writer
	terminal bool

	stop func()
}

func newBuildProgress(out io.Writer) *buildProgress {
	if out == nil {
		out = io.Discard
	}
	file, ok := out.(*os.File)
	return &buildProgress{out: out, terminal: ok && term.IsTerminal(int(file.Fd()))}
}

// say prints a line of its own.
func (p *buildProgress) say(format string, args ...any) { fmt.Fprintf(p.out, format+"\n", args...) }

// start shows that the build of a component begins. total is the number of packages to compile, 0 if unknown; compiled
// returns how many are done.
func (p *buildProgress) start(label string, total int, compiled func() int) {
	begun := time.Now()
	if !p.terminal {
		fmt.Fprintf(p.out, "%s ...", label)
		p.stop = func() { fmt.Fprintf(p.out, " %.0f s\n", time.Since(begun).Seconds()) }
		return
	}

	draw := func() {
		packages := ""
		if total > 1 { // with the main package alone, all that remains is to link
			packages = fmt.Sprintf(", %d of %d packages", min(compiled(), total), total)
		}
		fmt.Fprintf(p.out, "\r\x1b[K%s ... %.0f s%s", label, time.Since(begun).Seconds(), packages)
	}
	ended := make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			draw()
			select {
			case <-ended:
				return
			case <-ticker.C:
			}
		}
	})
	p.stop = func() {
		close(ended)
		drawing.Wait()
		fmt.Fprintf(p.out, "\r\x1b[K%s ... %.0f s\n", label, time.Since(begun).Seconds())
	}
}

// end completes the line that start began.
func (p *buildProgress) end() { p.stop() }

// buildOutput reads what `go build -v` prints: the path of each package that it compiles, and messages. It counts the
// former and keeps the latter for the error.
type buildOutput struct {
	mu       sync.Mutex
	partial  []byte
	packages int
	messages []string
}

// keptMessages bounds what buildOutput keeps; the first errors are the ones that matter.
const keptMessages = 40

func (o *buildOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.partial = append(o.partial, p...)
	for {
		line, rest, found := bytes.Cut(o.partial, []byte("\n"))
		if !found {
			return len(p), nil
		}
		o.partial = rest
		o.line(string(line))
	}
}

// line sorts one line: the path of a package holds no space, every message does.
func (o *buildOutput) line(line string) {
	switch {
	case line == "" || strings.HasPrefix(line, "go: downloading "):
	case !strings.Contains(line, " "):
		o.packages++
	case len(o.messages) < keptMessages:
		o.messages = append(o.messages, line)
	}
}

// compiled returns the number of packages seen so far.
func (o *buildOutput) compiled() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.packages
}

// message returns the messages, one a line.
func (o *buildOutput) message() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.messages, "\n")
}
