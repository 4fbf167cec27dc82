package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/hack/monitoring/board"
)

// prometheusPath is where make puts Prometheus.
var prometheusPath = filepath.Join("..", "bin", "tools", "prometheus")

// faster is by how much the rules run faster than in production: a minute is a second.
const faster = 60

// staleAfter is after how long a silent watch is one that has broken: bookmarks come about once a minute.
const staleAfter = 85 * time.Second

// prometheus is a running Prometheus with the rules that are shipped. It notes which alerts fire.
type prometheus struct {
	url   string
	begun time.Time

	mu     sync.Mutex
	fired  map[string]string // what each alert that has fired ever said
	firing map[string]bool   // those that fire now
}

// startPrometheus runs Prometheus with the scrape configs, until the test ends.
func startPrometheus(t *testing.T, scrape string) *prometheus {
	t.Helper()
	if _, err := os.Stat(prometheusPath); err != nil {
		t.Fatalf("there is no Prometheus: %v; run make %s, or make e2e", err, filepath.Join("bin", "tools", "prometheus"))
	}
	dir := t.TempDir()
	rules, err := board.Rules(board.Timing{Faster: faster, Stale: staleAfter}).YAML()
	if err != nil {
		t.Fatal(err)
	}
	config := "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 500ms}\nrule_files: [rules.yaml]\nscrape_configs:\n" + scrape
	for name, text := range map[string]string{"rules.yaml": string(rules), "prometheus.yaml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := freeAddress(t)
	p := &prometheus{url: "http://" + address, begun: time.Now(), fired: map[string]string{}, firing: map[string]bool{}}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	command := exec.Command(prometheusPath, "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil && t.Failed() {
			t.Logf("Prometheus ended with %v\n%s", err, lastLines(log.Name(), 20))
		}
	})
	eventually(t, "Prometheus to be ready", func(ctx context.Context) error {
		_, err := p.get(ctx, "/api/v1/status/buildinfo", nil)
		return err
	})
	p.note(t)
	return p
}

// freeAddress gives an address of the loopback interface on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	return addressOn(t, "127.0.0.1")
}

// get asks Prometheus' API and gives what is under data.
func (p *prometheus) get(ctx context.Context, path string, query url.Values) (json.RawMessage, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("%s: HTTP %d: %w", path, resp.StatusCode, err)
	}
	if answer.Status != "success" {
		return nil, errors.New(answer.Error)
	}
	return answer.Data, nil
}

// series is one series of a result over time.
type series struct {
	Metric map[string]string
	Values [][2]any
}

// during gives what an expression was in each second of the run.
func (p *prometheus) during(ctx context.Context, expr string) ([]series, error) {
	moment := func(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64) }
	data, err := p.get(ctx, "/api/v1/query_range", url.Values{
		"query": {expr}, "start": {moment(p.begun)}, "end": {moment(time.Now())}, "step": {"1"},
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", expr, err)
	}
	var result struct{ Result []series }
	err = json.Unmarshal(data, &result)
	return result.Result, err
}

// note watches the alerts until the test ends.
func (p *prometheus) note(t *testing.T) {
	tick := time.NewTicker(250 * time.Millisecond)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	t.Cleanup(func() { stop(); <-ended })
	go func() {
		defer close(ended)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				p.look(ctx)
			}
		}
	}()
}

// look notes what fires now. What cannot be asked for now is asked for again.
func (p *prometheus) look(ctx context.Context) {
	data, err := p.get(ctx, "/api/v1/alerts", nil)
	if err != nil {
		return
	}
	var result struct {
		Alerts []struct {
			State               string
			Labels, Annotations map[string]string
		}
	}
	if json.Unmarshal(data, &result) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.firing)
	for _, a := range result.Alerts {
		if a.State == "firing" {
			p.firing[a.Labels["alertname"]] = true
			p.fired[a.Labels["alertname"]] = a.Annotations["description"]
		}
	}
}

// awaitFiring waits until all of the alerts have fired.
func (p *prometheus) awaitFiring(t *testing.T, alerts ...string) {
	t.Helper()
	p.await(t, "to fire", alerts, func(name string) bool { _, fired := p.fired[name]; return fired })
	for _, name := range alerts {
		t.Logf("after %3.0f s %s: %s", time.Since(p.begun).Seconds(), name, p.fired[name])
	}
}

// awaitQuiet waits until none of the alerts fires.
func (p *prometheus) awaitQuiet(t *testing.T, alerts ...string) {
	t.Helper()
	p.await(t, "to be resolved", alerts, func(name string) bool { return !p.firing[name] })
}

func (p *prometheus) await(t *testing.T, what string, alerts []string, is func(name string) bool) {
	t.Helper()
	eventuallyWithin(t, 3*time.Minute, "alerts "+what, func(context.Context) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		var open []string
		for _, name := range alerts {
			if !is(name) {
				open = append(open, name)
			}
		}
		if len(open) > 0 {
			return fmt.Errorf("not yet: %s", strings.Join(open, ", "))
		}
		return nil
	})
}
