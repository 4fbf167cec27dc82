package guardrails

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// callLoss collects the subjects that the API server can no longer call.
type callLoss struct {
	subjects []*policy.Subject
	calls    []*calledPort
	ports    []netpol.Port
}

func (l *callLoss) add(s *policy.Subject, call *calledPort, port netpol.Port) {
	if n := len(l.subjects); n == 0 || l.subjects[n-1] != s {
		l.subjects = append(l.subjects, s)
	}
	if !slices.Contains(l.calls, call) {
		l.calls = append(l.calls, call)
	}
	if !slices.Contains(l.ports, port) {
		l.ports = append(l.ports, port)
	}
}

func (l *callLoss) violations(c *policy.Change, sure bool) []policy.Violation {
	if len(l.subjects) == 0 {
		return nil
	}
	workloads, live := policy.Worse(l.subjects)
	slices.SortFunc(l.ports, func(a, b netpol.Port) int { return int(a.Number) - int(b.Number) })
	who, on := l.behind(), l.portWords()
	loses := "would lose"
	if !sure {
		loses = "may lose"
	}
	v := policy.Violation{
		Field: lossField(c, workloads, netpol.Ingress), Live: live && sure, Affected: policy.Affect(workloads),
		Detail: fmt.Sprintf("%s behind %s %s API-server ingress on %s%s", policy.Count(workloads), who, loses, on, l.skipped()),
		Fix:    l.fix(c),
	}
	if v.Live {
		v.Headline = "the API server would no longer reach " + who
	}
	if v.Live && v.Field == "spec.ingress" {
		v.Reason = fmt.Sprintf("%s the API server on %s, where it calls %s%s",
			rulesThatShut(len(c.NewPolicy.Rules[netpol.Ingress])), on, policy.Names(workloads), l.skipped())
	}
	if c.NewPolicy == nil {
		v.Detail = fmt.Sprintf("deleting %s: %s", c.Name, v.Detail)
	}
	return []policy.Violation{v}
}

// rulesThatShut begins the sentence that none of n ingress rules admits somebody: "2 rules, none admits".
func rulesThatShut(n int) string {
	switch n {
	case 0:
		return "no rules, so nothing admits"
	case 1:
		return "1 rule, which does not admit"
	}
	return policy.Plural(n, "rule") + ", none admits"
}

// behind names what the API server calls: "ValidatingWebhookConfiguration cert-manager, +1".
func (l *callLoss) behind() string {
	var names []string
	for _, call := range l.calls {
		for _, by := range call.by {
			if name := by.Kind + " " + by.Name; !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("%s, +%d", names[0], len(names)-1)
}

// skipped tells that nobody would notice, where that is so.
func (l *callLoss) skipped() string {
	if slices.ContainsFunc(l.calls, func(call *calledPort) bool { return call.failClosed }) {
		return ""
	}
	return "; failurePolicy Ignore skips it in silence"
}

func (l *callLoss) portWords() string {
	var words []string
	for _, p := range l.ports {
		words = append(words, fmt.Sprint(p.Number))
	}
	return strings.Join(words, ", ")
}

// fix allows the called ports from everywhere: from which address the API server calls is not for sure.
func (l *callLoss) fix(c *policy.Change) *policy.Fix {
	rule := networkingv1.NetworkPolicyIngressRule{}
	for _, p := range l.ports {
		rule.Ports = append(rule.Ports, policyPort(p.Protocol, p.Number))
	}
	pods := narrowSelector(c, l.subjects, netpol.Ingress)
	if s, ok := l.servicePods(c); ok {
		pods = s
	}
	return restoreIngress(c, l.subjects, pods, "allow-from-apiserver", []networkingv1.NetworkPolicyIngressRule{rule})
}

// servicePods selects as the called Service does, where that is one and a policy would isolate no pod that is not isolated.
func (l *callLoss) servicePods(c *policy.Change) (s metav1.LabelSelector, ok bool) {
	svc := l.calls[0].service
	if slices.ContainsFunc(l.calls, func(call *calledPort) bool { return call.service != svc }) {
		return s, false
	}
	policies := c.After.Policies(c.Namespace)
	for _, w := range c.After.Live(c.After.Namespace(c.Namespace)) {
		if serves(svc, w) && !w.HostNetwork && !netpol.Isolated(netpol.Ingress, c.After.Endpoint(w), policies) {
			return s, false
		}
	}
	return metav1.LabelSelector{MatchLabels: map[string]string(svc.Selector)}, true
}
