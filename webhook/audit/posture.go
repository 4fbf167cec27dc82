package audit

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	scan "github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// mostNamespaces is how many namespaces have series of their own.
const mostNamespaces = 200

// posture exports what the leader has found.
type posture struct {
	options MetricsOptions
	auditor atomic.Pointer[Auditor]
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

var (
	descLeader     = desc("leader", "1 where this replica leads the audit.")
	descViolations = desc("violations", "Violations by stored objects, by what would be done about whoever applied them now.",
		"guardrail", "action")
	descInNamespace = desc("namespace_violations", "Violations by stored objects in each of the 200 namespaces that have most, "+
		"and in all others together as namespace=\"\"; empty unless metrics.namespaceLabel is set in the config.", "namespace", "guardrail")
	descWouldDeny = desc("would_deny", "Stored objects that could not be applied now if the guardrail's action were Deny.", "guardrail")
	descDefault   = desc("namespaces", "Namespaces by the directions in which they deny by default: none, ingress, egress or both.",
		"default_deny")
	descPods    = desc("pods", "Pods that NetworkPolicies govern, by whether any isolates them.", "direction", "isolated")
	descNoDNS   = desc("pods_without_dns", "Pods that are isolated for egress and reach no DNS resolver.")
	descNothing = desc("policies_selecting_nothing", "NetworkPolicies that select no pod and no pod template.")
)

// Describe implements prometheus.Collector.
func (p *posture) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descLeader, descViolations, descInNamespace, descWouldDeny, descDefault, descPods, descNoDNS, descNothing,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (p *posture) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
	}
	a := p.auditor.Load()
	if a == nil || !a.Leading() {
		gauge(descLeader, 0)
		return
	}
	gauge(descLeader, 1)
	report := a.Report()
	if report == nil {
		return
	}
	t := tally(report, p.options.Actions())
	for of, n := range t.violations {
		gauge(descViolations, n, of.guardrail, of.action)
	}
	for slug, n := range t.wouldDeny {
		gauge(descWouldDeny, n, slug)
	}
	for covered, n := range t.namespaces {
		gauge(descDefault, n, covered)
	}
	for direction, name := range directions {
		for isolated, n := range t.pods[direction] {
			gauge(descPods, n, name, strconv.FormatBool(isolated == 1))
		}
	}
	gauge(descNoDNS, t.withoutDNS)
	gauge(descNothing, t.selectNothing)
	if p.options.Namespaces() {
		for of, n := range t.byNamespace() {
			gauge(descInNamespace, n, of.namespace, of.guardrail)
		}
	}
}

// directions are the values of the label direction, by netpol.Direction.
var directions = [2]string{netpol.Ingress: "ingress", netpol.Egress: "egress"}

type violation struct{ guardrail, action string }

type inNamespace struct{ namespace, guardrail string }

// totals is a report in numbers.
type totals struct {
	violations    map[violation]int
	wouldDeny     map[string]int // objects, by guardrail
	namespaces    map[string]int // by the directions that are denied by default
	pods          [2][2]int      // by direction: not isolated, isolated
	withoutDNS    int
	selectNothing int
	within        map[inNamespace]int
}

// tally counts a report. What there is none of counts 0, for each guardrail that judges, by its action.
func tally(r *scan.Report, actions map[string]string) *totals {
	t := &totals{
		violations: map[violation]int{}, wouldDeny: map[string]int{}, within: map[inNamespace]int{},
		namespaces: map[string]int{"none": 0, "ingress": 0, "egress": 0, "both": 0},
	}
	for slug, action := range actions {
		t.violations[violation{slug, action}] = 0
		t.wouldDeny[slug] = 0
	}
	t.count("", r.Cluster)
	for i := range r.Namespaces {
		n := &r.Namespaces[i]
		t.count(n.Name, n.Findings)
		t.namespaces[covered(&n.Posture)]++
		for d, isolated := range n.Posture.Isolated {
			t.pods[d][1] += isolated
			t.pods[d][0] += n.Posture.Pods - isolated
		}
		t.withoutDNS += n.Posture.WithoutDNS
		t.selectNothing += len(n.Posture.SelectNothing)
	}
	return t
}

func covered(p *scan.Posture) string {
	switch ingress, egress := p.Covered(netpol.Ingress), p.Covered(netpol.Egress); {
	case ingress && egress:
		return "both"
	case ingress:
		return "ingress"
	case egress:
		return "egress"
	}
	return "none"
}

// count adds findings of one namespace.
func (t *totals) count(namespace string, findings []scan.Finding) {
	type object struct{ guardrail, kind, name string }
	denied := map[object]bool{}
	for i := range findings {
		f := &findings[i]
		t.violations[violation{f.Guardrail, string(f.Action)}]++
		if namespace != "" {
			t.within[inNamespace{namespace, f.Guardrail}]++
		}
		if o := (object{f.Guardrail, f.Kind, f.Name}); f.WouldDeny && !denied[o] {
			denied[o] = true
			t.wouldDeny[f.Guardrail]++
		}
	}
}

// byNamespace gives the violations in the namespaces that have most, and those of all others under "".
func (t *totals) byNamespace() map[inNamespace]int {
	all := map[string]int{}
	for of, n := range t.within {
		all[of.namespace] += n
	}
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int { return cmp.Or(cmp.Compare(all[b], all[a]), cmp.Compare(a, b)) })
	own := map[string]bool{}
	for _, name := range names[:min(len(names), mostNamespaces)] {
		own[name] = true
	}
	out := map[inNamespace]int{}
	for of, n := range t.within {
		if !own[of.namespace] {
			of.namespace = ""
		}
		out[of] += n
	}
	return out
}
