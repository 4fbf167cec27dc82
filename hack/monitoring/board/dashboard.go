package board

// Dashboard is one page of Grafana.
type Dashboard struct {
	// UID is in the dashboard's address and the file's name.
	UID, Title, Description string
	// Guardrails says whether there is a variable to choose guardrails with, which queries name as $guardrail.
	Guardrails bool
	Rows       []Row
}

// Row is a headline with panels below.
type Row struct {
	Title  string
	Panels []Panel
}

// Kind is how a panel draws its queries.
type Kind string

// The kinds of panels, as Grafana calls them.
const (
	Lines Kind = "timeseries"
	Stat  Kind = "stat"
	Bars  Kind = "bargauge"
	Table Kind = "table"
)

// Panel is one picture.
type Panel struct {
	Title string
	// Description is for a newcomer: what it shows and what to make of it.
	Description string
	Kind        Kind
	// Unit is a unit of Grafana's; Axis is the words beside it.
	Unit, Axis string
	// Width of the 24 columns of a row, and height in units of some 30 pixels.
	Width, Height int
	// Stacked lines add up.
	Stacked bool
	// Most is the axis' upper end; 0 leaves it to the data.
	Most float64
	// Warn and Bad are where a stat turns yellow and red; Bad below Warn means that low values are bad.
	Warn, Bad float64
	// Words show values in place of numbers.
	Words map[string]string
	// Runbook is the alert that belongs to it.
	Runbook string
	Queries []Query
}

// Query is one expression.
type Query struct {
	// Expr is PromQL with Grafana's $__rate_interval, $__range and $guardrail.
	Expr string
	// Legend names the series, or the column of a table.
	Legend string
}

// Instant reports whether the panel shows one moment rather than a span of time.
func (p *Panel) Instant() bool { return p.Kind != Lines }

// All gives the dashboards.
func All() []Dashboard { return []Dashboard{Denied(), Health(), Posture()} }

// The address below which docs/runbooks are published.
const runbooks = "https://bulkhead.dev/runbooks/"
