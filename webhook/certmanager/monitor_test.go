package certmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// log takes the lines that a Monitor logs.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// lines gives the level and the problem of each line.
func (l *log) lines(t *testing.T) []string {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for line := range bytes.Lines(l.text.Bytes()) {
		var entry struct{ Level, Problem string }
		if err := json.Unmarshal(line, &entry); err != nil {
			t.Fatal(err)
		}
		out = append(out, entry.Level+" "+entry.Problem)
	}
	return out
}

// TestMonitor follows a Certificate from its absence through an outage to its issuance, and looks at the log, at what is told
// in between, and at how often the API server is asked.
func TestMonitor(t *testing.T) {
	a, client := newAPI(t, map[string]any{})
	now, lines := clocktesting.NewFakeClock(testStart), &log{}
	m := NewMonitor(Options{Client: client, Namespace: "bulkhead-system", Name: "bulkhead", Clock: now, Logger: slog.New(slog.NewJSONHandler(lines, nil))})
	if got := m.Problem(); got != "Certificate bulkhead-system/bulkhead has not been read yet" {
		t.Errorf("before the first look: %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- m.Run(ctx) }()
	deadline := time.After(10 * time.Second)
	looked := func() { // it waits for the next look
		t.Helper()
		for !now.HasWaiters() {
			select {
			case <-deadline:
				t.Fatal("it does not look")
			case <-time.After(time.Millisecond):
			}
		}
	}
	step := func(d time.Duration, edit func(a *api)) {
		t.Helper()
		looked()
		a.change(edit)
		now.Step(d)
		looked()
	}
	const missing, broken = "Certificate bulkhead-system/bulkhead not found",
		"Certificate bulkhead-system/bulkhead cannot be read: Internal error occurred: net/http: abort Handler"
	same := func(*api) {}
	step(6*time.Second, same)
	step(6*time.Second, func(a *api) { a.broken = true })
	if got := m.Problem(); got != broken {
		t.Errorf("in the outage: %q", got)
	}
	step(6*time.Second, func(a *api) {
		a.broken, a.objects = false, map[string]any{certificatePath: issued(), issuerPath: readyIssuer()}
	})
	if got := m.Problem(); got != "" {
		t.Errorf("with the certificate: %q", got)
	}
	requests := func() (n int) {
		a.change(func(a *api) { n = len(a.requests) })
		return n
	}
	before := requests()
	now.Step(55 * time.Second) // calm: it does not look yet
	looked()
	if asked := requests() - before; asked != 0 {
		t.Errorf("%d requests within a minute of a good answer", asked)
	}
	step(20*time.Second, func(a *api) { delete(a.objects, certificatePath) })
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
	want := []string{"WARN " + missing, "WARN " + broken, "INFO ", "WARN " + missing}
	if got := lines.lines(t); !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
}
