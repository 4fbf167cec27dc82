package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// scrapes is how many requests for metrics are worked on at a time; more get 503.
const scrapes = 8

// Check is one condition of readiness. It gives nil, or why it does not hold.
type Check struct {
	Name  string
	Ready func() error
}

// Probes serves /healthz, /readyz and /metrics; the last not without a gatherer. Liveness asks nothing but that the process answers: restarting it mends
// neither a missing API server nor a broken config. Readiness names what is missing.
func Probes(checks []Check, gatherer prometheus.Gatherer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		var lines []string
		failed := false
		for _, c := range checks {
			if err := c.Ready(); err != nil {
				failed = true
				lines = append(lines, fmt.Sprintf("[-] %s: %s", c.Name, printable(err.Error())))
			} else {
				lines = append(lines, "[+] "+c.Name)
			}
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if failed {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprintln(w, strings.Join(lines, "\n"))
	})
	if gatherer != nil {
		mux.Handle("GET /metrics", MetricsHandler(gatherer))
	}
	return mux
}

// MetricsHandler answers with the metrics, whatever the path.
func MetricsHandler(gatherer prometheus.Gatherer) http.Handler {
	return promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{
		MaxRequestsInFlight: scrapes, EnableOpenMetrics: true, // the older format has no exemplars
	})
}

// ReadyCheck is the readiness of the store: every resource listed once. A watch that breaks later does not undo it,
// because replicas that all turn unready together would take the webhook away.
func (s *Store) ReadyCheck() error {
	if s.Snapshot() != nil {
		return nil
	}
	if missing := s.Missing(); len(missing) > 0 {
		return fmt.Errorf("waiting for the first list of %s", strings.Join(missing, ", "))
	}
	return errors.New("waiting for the first snapshot")
}
