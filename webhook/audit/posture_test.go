package audit

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	scan "github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// exported gives the audit's series without help texts, but for those about time.
func (w *world) exported() string {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			value := m.GetGauge().GetValue()
			if m.Counter != nil {
				value = m.GetCounter().GetValue()
			}
			name := strings.TrimPrefix(f.GetName(), prefix)
			if name != "scan_duration_seconds" && name != "last_scan_timestamp_seconds" {
				out = append(out, fmt.Sprintf("%s{%s} %v", name, strings.Join(labels, ","), value))
			}
		}
	}
	return strings.Join(out, "\n")
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Options{Grace: time.Hour}, "a", "b", "c")
		w.finds("a", "dns-cut one", "dns-cut one", "dns-cut two", "endport two", "peer-no-pods two?")
		w.finds("", "cni-inert x")
		a := w.found["a"]
		a.Findings[3].Action, a.Findings[3].WouldDeny = config.Warn, false
		a.Posture = scan.Posture{
			Pods: 5, Ungoverned: 2, Isolated: [2]int{3, 1}, DefaultDeny: [2]bool{netpol.Ingress: true}, WithoutDNS: 1, SelectNothing: []string{"x", "y"},
		}
		w.found["a"] = a
		w.found["b"] = scan.Namespace{Posture: scan.Posture{Pods: 1, Isolated: [2]int{1, 1}, DefaultDeny: [2]bool{true, true}}}
		own := `namespaces_scanned_total{} %d
reports_total{result=deleted} 0
reports_total{result=failed} 0
reports_total{result=unchanged} 0
reports_total{result=written} 0`
		want(t, "a follower", w.exported(), "leader{} 0\n"+fmt.Sprintf(own, 0))
		stop := w.lead()
		time.Sleep(time.Second)
		want(t, "the leader", w.exported(), `leader{} 1
namespaces{default_deny=both} 1
namespaces{default_deny=egress} 0
namespaces{default_deny=ingress} 1
namespaces{default_deny=none} 1
`+fmt.Sprintf(strings.Replace(own, "reports_total", "pods{direction=egress,isolated=false} 4\npods{direction=egress,isolated=true} 2\n"+
			"pods{direction=ingress,isolated=false} 2\npods{direction=ingress,isolated=true} 4\npods_without_dns{} 1\n"+
			"policies_selecting_nothing{} 2\nreports_total", 1), 3)+`
violations{action=Deny,guardrail=cni-inert} 1
violations{action=Deny,guardrail=dns-cut} 3
violations{action=Warn,guardrail=endport} 1
would_deny{guardrail=cni-inert} 1
would_deny{guardrail=dns-cut} 2`)
		problems, err := testutil.GatherAndLint(w.registry)
		if err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
		stop()
		want(t, "who no longer leads", w.exported(), "leader{} 0\n"+fmt.Sprintf(own, 3))
	})
}

// TestNamespaceSeries: with the label there is a series for each of the worst namespaces, and the rest are one.
func TestNamespaceSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range 300 {
			names = append(names, fmt.Sprintf("ns-%03d", i))
		}
		w := newWorld(t, Options{}, names...)
		for i, name := range names {
			findings := []string{"dns-cut one"}
			if i%2 == 0 {
				findings = append(findings, "dns-cut two", "endport two")
			}
			w.finds(name, findings...)
		}
		stop := w.lead()
		defer stop()
		time.Sleep(5 * time.Second)
		if got := w.exported(); strings.Contains(got, "namespace=") {
			t.Errorf("series by namespace without being asked for:\n%s", got)
		}
		cfg, err := config.Parse([]byte("apiVersion: bulkhead.dev/v1alpha1\nkind: BulkheadConfig\nmetrics: {namespaceLabel: true}\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		w.config.Store(cfg)
		time.Sleep(5 * time.Second)
		got := w.exported()
		for _, line := range []string{
			"namespace_violations{guardrail=dns-cut,namespace=ns-000} 2", "namespace_violations{guardrail=endport,namespace=ns-298} 1",
			"namespace_violations{guardrail=dns-cut,namespace=ns-099} 1", "namespace_violations{guardrail=dns-cut,namespace=} 100",
		} {
			if !strings.Contains(got+"\n", line+"\n") {
				t.Errorf("%s is missing", line)
			}
		}
		if n := strings.Count(got, "namespace=ns-"); n != 2*150+50 {
			t.Errorf("%d series by namespace", n)
		}
	})
}
