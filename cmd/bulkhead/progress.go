package main

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progressDelay is how long work may last before it is worth a bar.
const progressDelay = 500 * time.Millisecond

// progress draws a bar for work that lasts, on a terminal only. It is not safe for concurrent use.
type progress struct {
	w        io.Writer
	terminal bool
	since    time.Time
	label    string
	bar      *progressbar.ProgressBar
}

func newProgress(w io.Writer) *progress { return &progress{w: w, terminal: isTerminal(w)} }

// isTerminal reports whether w is a person's screen.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// step shows how far the work that label names is; a total of 0 is one that nobody knows.
func (p *progress) step(label string, done, total int) {
	if !p.terminal {
		return
	}
	if p.since.IsZero() {
		p.since = time.Now()
	}
	if time.Since(p.since) < progressDelay {
		return
	}
	if p.label != label {
		p.clear()
		p.label = label
		p.bar = progressbar.NewOptions(barMax(total), progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(label),
			progressbar.OptionSetWidth(24), progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false))
	}
	_ = p.bar.Set(done) // a screen that cannot be written to is no reason to stop
}

// barMax gives the total as the bar wants it: -1 makes it a spinner.
func barMax(total int) int {
	if total <= 0 {
		return -1
	}
	return total
}

// clear takes the bar from the screen, so that what follows has the line to itself.
func (p *progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar, p.label = nil, ""
	}
}
