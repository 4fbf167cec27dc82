package webhook

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestProbes(t *testing.T) {
	registry := prometheus.NewRegistry()
	NewMetrics(registry)
	broken := error(nil)
	s, _ := newTestStore(t)
	probes := Probes([]Check{
		{"config", func() error { return broken }}, {"cluster", s.ReadyCheck}, {"certificate", func() error { return nil }},
	}, registry)
	get := func(method, path string) (int, string) {
		recorder := httptest.NewRecorder()
		probes.ServeHTTP(recorder, httptest.NewRequest(method, path, nil))
		return recorder.Code, recorder.Body.String()
	}

	code, text := get(http.MethodGet, "/readyz")
	if code != http.StatusServiceUnavailable || !strings.Contains(text, "[+] config\n[-] cluster: waiting for the first list of ") ||
		!strings.Contains(text, "networkpolicies.networking.k8s.io") || !strings.HasSuffix(text, "[+] certificate\n") {
		t.Errorf("nothing listed: %d %q", code, text)
	}
	for _, f := range feeds() {
		if err := (&sink{s, f}).Replace(nil, "1"); err != nil {
			t.Fatal(err)
		}
	}
	if code, text := get(http.MethodGet, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(text, "[-] cluster: waiting for the first snapshot") {
		t.Errorf("all listed: %d %q", code, text)
	}
	s.publish()
	if code, text := get(http.MethodGet, "/readyz"); code != http.StatusOK || text != "[+] config\n[+] cluster\n[+] certificate\n" {
		t.Errorf("ready: %d %q", code, text)
	}
	broken = errors.New("spec.x: \x1b[31mred\nline")
	if code, text := get(http.MethodGet, "/readyz"); code != http.StatusServiceUnavailable || !strings.Contains(text, `[-] config: spec.x: \x1b[31mred\nline`) {
		t.Errorf("broken config: %d %q", code, text)
	}
	if code, text := get(http.MethodGet, "/healthz"); code != http.StatusOK || text != "ok\n" {
		t.Errorf("liveness asks for more than the process: %d %q", code, text)
	}
	if code, text := get(http.MethodGet, "/metrics"); code != http.StatusOK || !strings.Contains(text, "bulkhead_build_info") {
		t.Errorf("metrics: %d %q", code, text)
	}
	probes = Probes(nil, nil)
	if code, _ := get(http.MethodGet, "/metrics"); code != http.StatusNotFound {
		t.Errorf("metrics that are elsewhere: %d", code)
	}
	if code, _ := get(http.MethodPost, "/readyz"); code != http.StatusMethodNotAllowed {
		t.Errorf("POST /readyz: %d", code)
	}
	if code, _ := get(http.MethodGet, "/debug/pprof"); code != http.StatusNotFound {
		t.Errorf("/debug/pprof: %d", code)
	}
}
