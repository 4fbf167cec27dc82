package webhook

import (
	"errors"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// errOverrun is the failure of a guardrail that did not answer in time.
var errOverrun = errors.New("did not finish in time")

// errCrowded is the failure of a guardrail of which too many runs that were given up have not ended.
var errCrowded = errors.New("was not run: earlier runs of it did not finish in time and still use processors")

// A run that is given up cannot be stopped; it uses a processor until it ends. One guardrail leaves at most overrunsEach
// runs behind. Once all together have left overrunsAll, those that have left any are not run; the others are.
const (
	overrunsEach = 4
	overrunsAll  = 16
)

// triedFixes stands for the runs that try the fixes of a denial, in the place of a guardrail.
const triedFixes = "fixes"

// overruns counts the runs of guardrails that were given up and have not ended, in all requests together.
type overruns struct {
	mu    sync.Mutex
	all   int
	each  map[string]int
	gauge prometheus.Gauge
}

func newOverruns(gauge prometheus.Gauge) *overruns {
	return &overruns{each: map[string]int{}, gauge: gauge}
}

// crowded reports whether the guardrail is not to be run now.
func (o *overruns) crowded(slug string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.each[slug]
	return n >= overrunsEach || n > 0 && o.all >= overrunsAll
}

// add counts a run that is given up, or with -1 one that has ended after all.
func (o *overruns) add(slug string, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all += n
	if o.each[slug] += n; o.each[slug] == 0 {
		delete(o.each, slug)
	}
	o.gauge.Set(float64(o.all))
}
