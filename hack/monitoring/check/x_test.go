package check

import (
	_ "github.com/bulkhead-dev/bulkhead/hack/monitoring/board"
	_ "github.com/bulkhead-dev/bulkhead/hack/monitoring/reference"
	_ "github.com/prometheus/prometheus/promql/parser"
	_ "github.com/prometheus/prometheus/promql/promqltest"
	_ "github.com/prometheus/prometheus/model/rulefmt"
	_ "github.com/prometheus/prometheus/rules"
)
