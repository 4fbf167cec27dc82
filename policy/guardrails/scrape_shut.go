package guardrails

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// scrapeCuts are the scrapes that the change ends.
type scrapeCuts struct {
	names    []string
	asked    bool // by the request's own namespace
	ports    []uint16
	subjects []*policy.Subject
	pods     []foundPods
}

// shutTargets finds the subjects whose ingress no longer lets in what scrapes them.
func (x *scrapes) shutTargets() []policy.Violation {
	c := x.change
	if !concerns(c, netpol.Ingress) {
		return nil
	}
	var targets *scrapeTargets
	cuts := &scrapeCuts{}
	for i := range c.Subjects {
		s := &c.Subjects[i]
		if !s.After.Isolated(netpol.Ingress) && c.After.Tiers() == nil {
			continue
		}
		if targets == nil {
			targets = scrapeTargetsIn(c.After, c.After.Namespace(c.Namespace))
		}
		for _, t := range targets.of(s.Workload) {
			if x.ends(s, t) {
				cuts.add(c, s, t, x.scrapers().of(t))
			}
		}
	}
	if len(cuts.subjects) == 0 {
		return nil
	}
	return []policy.Violation{cuts.violation(c)}
}

// ends reports whether the change ends the scrapes of the subject: it shuts a port and leaves none of the target open.
func (x *scrapes) ends(s *policy.Subject, t scrapeTarget) bool {
	lost := 0
	for _, number := range t.ports {
		port := netpol.Port{Protocol: corev1.ProtocolTCP, Number: number}
		switch {
		case mayLoseIngress(x.change, s, port) && losesIngress(x.change, s, x.scrapers().of(t), port):
			lost++
		case len(t.ports) > 1 && (anyAdmitted(x.change.After, x.scrapers().of(t), &s.After, port) ||
			allowsBlock(&s.After, netpol.Ingress, port.Protocol, number, anyBlock)):
			return false
		}
	}
	return lost > 0
}

func (x *scrapeCuts) add(c *policy.Change, s *policy.Subject, t scrapeTarget, pods []foundPods) {
	name := "Prometheus, by annotation,"
	own := t.monitor == nil || t.monitor.Namespace == c.Namespace
	switch {
	case own && t.monitor != nil:
		name = t.monitor.Kind + " " + t.monitor.Name
	case !own && c.Disclose:
		name = fmt.Sprintf("%s %s/%s", t.monitor.Kind, t.monitor.Namespace, t.monitor.Name)
	case !own:
		name = "a " + t.monitor.Kind + " of another namespace"
	}
	if !slices.Contains(x.names, name) {
		x.names = append(x.names, name)
	}
	x.asked = x.asked || own
	x.ports = append(x.ports, t.ports...)
	x.subjects = append(x.subjects, s)
	for _, p := range pods {
		if !slices.ContainsFunc(x.pods, func(have foundPods) bool { return have.Workload == p.Workload }) {
			x.pods = append(x.pods, p)
		}
	}
}

func (x *scrapeCuts) violation(c *policy.Change) policy.Violation {
	subjects := unique(x.subjects)
	workloads, live := policy.Worse(subjects)
	slices.Sort(x.ports)
	ports := slices.Compact(x.ports)
	peers, from := x.peers(c)
	verb := "scrapes"
	if len(x.names) > 1 {
		verb = "scrape"
	}
	v := policy.Violation{
		Field: lossField(c, workloads, netpol.Ingress), Live: live, Affected: policy.Affect(workloads),
		Detail: fmt.Sprintf("%s %s %s on %s%s; that would be blocked", listed(x.names), verb, policy.Count(workloads), numberWords(ports), from),
	}
	if len(peers) > 0 {
		v.Fix = admitFix(c, subjects, nil, "allow-scrapes", []networkingv1.NetworkPolicyIngressRule{ruleFor(peers, ports)})
	}
	if live {
		v.Headline = policy.Plural(policy.LivePods(workloads), "live pod") + " would no longer be scraped"
	}
	if c.NewPolicy == nil {
		v.Detail = fmt.Sprintf("deleting %s: %s", c.Name, v.Detail)
	}
	return v
}

// peers are those of a rule that admits what scrapes, and words for where it comes from, empty where that must not be named.
// There are none where the rule could not tell those pods from any others without the name.
func (x *scrapeCuts) peers(c *policy.Change) (peers []networkingv1.NetworkPolicyPeer, from string) {
	var namespaces []string
	for _, p := range x.pods {
		if !slices.Contains(namespaces, p.Namespace) {
			namespaces = append(namespaces, p.Namespace)
		}
	}
	peers = peersFor(x.pods)
	if c.Disclose || len(namespaces) == 1 && (x.asked || namespaces[0] == c.Namespace) {
		return peers, " from " + listed(namespaces)
	}
	var anywhere []networkingv1.NetworkPolicyPeer
	for _, p := range peers {
		if p.PodSelector == nil {
			return nil, ""
		}
		p.NamespaceSelector = &metav1.LabelSelector{}
		if !slices.ContainsFunc(anywhere, func(have networkingv1.NetworkPolicyPeer) bool { return equality.Semantic.DeepEqual(have, p) }) {
			anywhere = append(anywhere, p)
		}
	}
	return anywhere, ""
}
