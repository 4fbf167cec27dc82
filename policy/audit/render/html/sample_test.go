package html_test

import (
	"fmt"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/audit"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// sampleOptions say how large a sample is.
type sampleOptions struct {
	namespaces, findings int // findings are in each namespace
	hostile              string
}

// sample makes a report whose every number follows from its place.
func sample(o sampleOptions) *audit.Report {
	slugs := []string{"dns-cut", "world-cidr", "baseline-half", "selector-no-pods", "metadata-open", "pod-uncovered"}
	actions := []config.Action{config.Deny, config.Warn, config.Audit}
	r := &audit.Report{}
	for i := range o.namespaces {
		n := audit.Namespace{Name: fmt.Sprintf("team-%02d%s", i, o.hostile), Exempt: i == 3, Posture: audit.Posture{
			Policies: i % 5, Pods: 10 + i*7, Ungoverned: i % 3, DefaultDeny: [2]bool{i%2 == 0, i%4 == 0},
			Isolated: [2]int{7 + i*4, i * 2}, WithoutDNS: i % 4 / 3 * i,
		}}
		if i%6 == 1 {
			n.Posture.SelectNothing = []string{"typo" + o.hostile}
		}
		if i != 3 && i%5 != 2 {
			for j := range o.findings {
				n.Findings = append(n.Findings, audit.Finding{
					Kind: "NetworkPolicy", Name: fmt.Sprintf("policy-%d%s", j/2, o.hostile), NotYet: j%7 == 3,
					Finding: policy.Finding{Guardrail: slugs[(i+j)%len(slugs)], Action: actions[(i+j*j)%3], WouldDeny: j%2 == 0, Violation: policy.Violation{
						Field: "spec.egress[0].to[0]" + o.hostile, Detail: "no rule reaches kube-system/kube-dns on UDP 53" + o.hostile,
						Affected: []policy.Affected{{Name: "api" + o.hostile, Pods: 3}, {Name: "deployment/web"}},
						Fix:      &policy.Fix{Say: "add under spec.egress:" + o.hostile, YAML: "- to:\n  - namespaceSelector: {}\n  ports: [{protocol: UDP, port: 53}]\n" + o.hostile},
					}},
				})
			}
		}
		r.Namespaces = append(r.Namespaces, n)
	}
	if o.namespaces > 0 {
		r.Cluster = []audit.Finding{{Finding: policy.Finding{Guardrail: "cni-inert", Action: config.Warn, Violation: policy.Violation{
			Detail: "Flannel does not enforce NetworkPolicies" + o.hostile,
		}}}}
	}
	return r
}
