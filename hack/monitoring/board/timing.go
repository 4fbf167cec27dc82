package board

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Timing says how time runs in the rules. The tests let it run faster, so that a rule that waits for minutes waits for seconds.
type Timing struct {
	// Faster is by how much; 1 is production.
	Faster int
	// Stale is after how long a silent watch is one that has broken. It does not run faster: the API server sends its bookmarks
	// about once a minute, whatever the rules say.
	Stale time.Duration
}

// Production is the timing that is shipped.
func Production() Timing { return Timing{Faster: 1, Stale: 5 * time.Minute} }

// timespan is a span in an expression: %5m% is a duration, and %5m:s% the number of its seconds.
var timespan = regexp.MustCompile(`%(\d+)([smhdw])(:s)?%`)

var unitOf = map[string]time.Duration{
	"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour,
}

// expand puts the spans into an expression.
func (t Timing) expand(expr string) string {
	return timespan.ReplaceAllStringFunc(expr, func(found string) string {
		parts := timespan.FindStringSubmatch(found)
		n, err := strconv.Atoi(parts[1])
		if err != nil {
			return found // more digits than a number has: it does not parse as PromQL either
		}
		d := time.Duration(n) * unitOf[parts[2]] / time.Duration(t.Faster)
		if parts[3] != "" {
			return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
		}
		return duration(d)
	})
}

// duration writes a duration as Prometheus does: in the largest unit that leaves a whole number.
func duration(d time.Duration) string {
	for _, unit := range []string{"d", "h", "m", "s"} {
		if d >= unitOf[unit] && d%unitOf[unit] == 0 {
			return fmt.Sprintf("%d%s", d/unitOf[unit], unit)
		}
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}
