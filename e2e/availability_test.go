package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
)

// extent is how long and how hard the availability tests go on.
type extent struct {
	runs, restarts, requests int // of rolling restarts: in each run at least so many restarts, and so many requests
	rate, calm               int // requests in a second, where replicas come and go and elsewhere
	rotations, between       int // of the certificate that replicas sign themselves, and the requests between two
	swaps                    int // of certificates in files
	cut, frozen              time.Duration
	soak, sample             time.Duration
	// together lets tests that do not disturb each other run at the same time.
	together bool
}

// brief is the extent within "make e2e", endurance that of "make endurance".
func brief() extent {
	return extent{
		runs: 1, restarts: 2, requests: 1000, rate: 300, calm: 60, rotations: 20, between: 1, swaps: 1, cut: 2 * time.Second, frozen: 20 * time.Second,
		soak: 10 * time.Second, sample: 200 * time.Millisecond, together: true,
	}
}

func endurance() extent {
	return extent{
		runs: 3, restarts: 6, requests: 50_000, rate: 400, calm: 200, rotations: 20, between: 500, swaps: 4, cut: 30 * time.Second, frozen: 3 * time.Minute,
		soak: 10 * time.Minute, sample: 2 * time.Second,
	}
}

// enduranceVariable set to anything asks for the full extent.
const enduranceVariable = "BULKHEAD_ENDURANCE"

// availability is a control plane on which several installations of Bulkhead are taken down, cut off and worn out, each
// asked only about namespaces of its own.
type availability struct {
	*suite
	extent extent
	report *report
}

// TestAvailability shows what happens to requests while replicas, certificates and the API server come and go. Every
// webhook fails closed here, so that a request that Bulkhead does not answer is a request that fails.
func TestAvailability(t *testing.T) {
	if os.Getenv("BULKHEAD_E2E_KUBECONFIG") != "" {
		t.Skip("these tests stop the API server and every replica: they need a control plane of their own")
	}
	a := &availability{extent: brief(), report: &report{}}
	if os.Getenv(enduranceVariable) != "" {
		a.extent = endurance()
	}
	t.Cleanup(func() { a.report.print(t) })
	a.suite = &suite{dir: t.TempDir(), host: "127.0.0.1"}
	t.Cleanup(func() {
		if err := a.close(); err != nil {
			t.Error(err)
		}
	})
	a.closeOnInterrupt(t)
	a.start(t)
	t.Run("Together", func(t *testing.T) {
		for _, test := range []struct {
			name string
			run  func(*testing.T)
		}{{"Replicas", a.testReplicas}, {"Files", a.testFiles}, {"Outage", a.testOutage}, {"Lockout", a.testLockout}} {
			t.Run(test.name, func(t *testing.T) {
				if a.extent.together {
					t.Parallel()
				}
				test.run(t)
			})
		}
	})
	if !a.extent.together {
		t.Run("Soak", a.testSoak)
	}
	t.Run("Relist", a.testRelist)
	if !a.extent.together {
		if err := a.close(); err != nil { // its memory and processors are for the next one
			t.Fatal(err)
		}
		t.Run("Scale", a.testScale)
	}
}

// start starts the control plane and prepares what all installations share.
func (a *availability) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startWithin)
	defer cancel()
	if err := a.findCluster(ctx); err != nil {
		t.Fatal(err)
	}
	var err error
	if a.binary, err = replica.Build(ctx, "..", a.dir); err != nil {
		t.Fatal(err)
	}
	if err := replica.Install(ctx, a.clients); err != nil {
		t.Fatal(err)
	}
	if a.identity, err = a.kubeconfigFor(replica.User); err != nil {
		t.Fatal(err)
	}
	a.config = filepath.Join(a.dir, "bulkhead.yaml")
	if err := os.WriteFile(a.config, []byte(baseConfig), 0o600); err != nil {
		t.Fatal(err)
	}
}

// report collects the figures of all tests.
type report struct {
	mu    sync.Mutex
	lines []string
}

// figure notes what was measured, in words, and says it at once.
func (r *report) figure(t *testing.T, what, format string, args ...any) {
	t.Helper()
	value := fmt.Sprintf(format, args...)
	t.Logf("%s: %s", what, value)
	r.mu.Lock()
	defer r.mu.Unlock()
	_, name, _ := strings.Cut(t.Name(), "/")
	r.lines = append(r.lines, fmt.Sprintf("%s\t%s\t%s", strings.TrimPrefix(name, "Together/"), what, value))
}

// print writes the table of all figures, in the order of the tests' names.
func (r *report) print(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortStableFunc(r.lines, func(x, y string) int {
		x, _, _ = strings.Cut(x, "\t")
		y, _, _ = strings.Cut(y, "\t")
		return strings.Compare(x, y)
	})
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, line := range r.lines {
		fmt.Fprintln(w, line)
	}
	if err := w.Flush(); err != nil {
		t.Error(err)
	}
	t.Logf("figures\n%s", out.String())
}
