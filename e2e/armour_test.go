package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/bulkhead-dev/bulkhead/hack/replica"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// maxMemory is what a replica may take, in MiB, whatever it is sent: what the chart gives it. The pages of the binary do
// not count, which the kernel can drop.
const maxMemory = 300

// chartEnv is what the chart tells the garbage collector.
func chartEnv() []string { return []string{"GOMEMLIMIT=258MiB", "GOGC=200"} }

// testArmour sends the shipped binary all that no API server sends, each to a replica that serves the cluster meanwhile,
// and prints a table of what came back, the memory, and how fast a valid review is answered right after.
func (s *suite) testArmour(t *testing.T) {
	table := &armourTable{}
	t.Run("attacks", func(t *testing.T) {
		for name, run := range map[string]func(*testing.T, *siege){
			"requests": testHostileRequests, "slow": testSlowClients, "flood": s.testFlood,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				run(t, s.besiege(t, table, name))
			})
		}
	})
	t.Logf("what is sent, what comes back, resident memory in MiB without the binary's pages before, at most and after, and the next valid review:\n%s", table)
}

// armourTable is what the attacks came to.
type armourTable struct {
	mu   sync.Mutex
	rows []armourRow
}

type armourRow struct {
	group, attack, answer string
	before, most, after   float64 // MiB
	served                time.Duration
}

func (a *armourTable) add(r armourRow) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rows = append(a.rows, r)
}

// String groups the rows; within a group they are in the order in which they came.
func (a *armourTable) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "attack\tanswer\tbefore\tmost\tafter\tnext review")
	for _, group := range []string{"requests", "slow", "flood"} {
		for _, r := range a.rows {
			if r.group == group {
				fmt.Fprintf(w, "%s\t%s\t%.0f\t%.0f\t%.0f\t%s\n", r.attack, r.answer, r.before, r.most, r.after, r.served.Round(100*time.Microsecond))
			}
		}
	}
	_ = w.Flush() // to memory
	return b.String()
}

// siege is one replica under attack.
type siege struct {
	group   string
	table   *armourTable
	replica *replica.Replica
	trust   *tls.Config
	client  *http.Client
}

// besiege starts a replica of its own for some attacks, which has to be ready all the time.
func (s *suite) besiege(t *testing.T, table *armourTable, group string) *siege {
	t.Helper()
	r := s.startExtra(t, replica.Options{Env: chartEnv()})
	trust, err := s.balancer.trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &siege{group: group, table: table, replica: r, trust: trust, client: clientOf(trust)}
}

// clientOf makes a client of replicas that has no connections yet.
func clientOf(trust *tls.Config) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: trust, MaxIdleConnsPerHost: 8}}
}

// against runs an attack, notes it in the table and asks for a valid review afterwards.
func (g *siege) against(t *testing.T, attack string, run func() (answer string)) {
	t.Helper()
	resetPeak(g.replica.PID())
	row := armourRow{group: g.group, attack: attack, before: g.memory(t, "RssAnon")}
	row.answer = run()
	start := time.Now()
	if err := g.review(t.Context(), clientOf(g.trust)); err != nil {
		t.Errorf("after %s, a valid review: %v", attack, err)
	}
	row.served = time.Since(start)
	row.most, row.after = g.memory(t, "VmHWM")-g.memory(t, "RssFile"), g.memory(t, "RssAnon")
	if row.most > maxMemory {
		t.Errorf("%s: it took %.0f MiB, at most %d are allowed", attack, row.most, maxMemory)
	}
	g.table.add(row)
}

// review has a valid review answered.
func (g *siege) review(ctx context.Context, client *http.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url(), strings.NewReader(emptyReview))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"allowed":true`)) {
		err = fmt.Errorf("HTTP %d: %s", resp.StatusCode, body)
	}
	return err
}

func (g *siege) url() string { return g.replica.URL + webhook.Path + "?timeout=5s" }

// dial opens a TLS connection on which a test writes bytes of its own.
func (g *siege) dial(ctx context.Context) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conn, err := (&tls.Dialer{Config: g.trust}).DialContext(ctx, "tcp", hostOf(g.replica.URL))
	if err != nil {
		return nil, err
	}
	secured, is := conn.(*tls.Conn)
	if !is {
		return nil, errors.Join(errors.New("no TLS connection"), conn.Close())
	}
	return secured, secured.SetDeadline(time.Now().Add(40 * time.Second))
}

// memory reads a figure of the process in MiB; 0 where the system does not have it.
func (g *siege) memory(t *testing.T, name string) float64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.replica.PID()))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, is := strings.CutPrefix(line, name+":"); is {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib / 1024
		}
	}
	return 0
}

// resetPeak makes VmHWM begin anew. Where the system cannot, it goes on from before.
func resetPeak(pid int) { _ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) }
