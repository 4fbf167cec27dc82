package reference

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// recorder takes what is registered with it apart. It implements prometheus.Registerer.
type recorder struct{ metrics []Metric }

// Register notes what the collector exports.
func (r *recorder) Register(c prometheus.Collector) error {
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		c.Describe(descs)
	}()
	var failed error
	for d := range descs { // to the end, so that Describe ends as well
		m, err := parseDesc(d.String())
		if err != nil {
			failed = err
		}
		m.Type = typeOf(c, m.Name)
		r.metrics = append(r.metrics, m)
	}
	return failed
}

// MustRegister notes what the collectors export.
func (r *recorder) MustRegister(collectors ...prometheus.Collector) {
	for _, c := range collectors {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister does nothing: nothing is ever exported from here.
func (r *recorder) Unregister(prometheus.Collector) bool { return false }

// descForm is how client_golang prints a Desc, which has no other way to tell its name and labels.
var descForm = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"), unit: "[^"]*", constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// constLabel is one label of those that a Desc fixes.
var constLabel = regexp.MustCompile(`(?:^|,)([a-zA-Z_][a-zA-Z0-9_]*)="`)

func parseDesc(text string) (Metric, error) {
	parts := descForm.FindStringSubmatch(text)
	if parts == nil {
		return Metric{}, fmt.Errorf("client_golang prints a Desc in another form than is known here: %s", text)
	}
	name, err := strconv.Unquote(parts[1])
	if err != nil {
		return Metric{}, fmt.Errorf("the name in %s: %w", text, err)
	}
	help, err := strconv.Unquote(parts[2])
	if err != nil {
		return Metric{}, fmt.Errorf("the help in %s: %w", text, err)
	}
	m := Metric{Name: name, Meaning: help}
	for _, l := range constLabel.FindAllStringSubmatch(parts[3], -1) {
		m.Labels = append(m.Labels, l[1])
	}
	if parts[4] != "" {
		m.Labels = append(m.Labels, strings.Split(parts[4], ",")...)
	}
	return m, nil
}

// typeOf gives the type of what a collector exports. A collector of Bulkhead's own does not say; there the name does, as
// Prometheus' naming has it.
func typeOf(c prometheus.Collector, name string) string {
	switch c.(type) {
	case *prometheus.CounterVec:
		return Counter
	case *prometheus.GaugeVec, interface{ Set(float64) }:
		return Gauge
	case *prometheus.HistogramVec, interface{ Observe(float64) }:
		return Histogram
	}
	if strings.HasSuffix(name, "_total") {
		return Counter
	}
	return Gauge
}
