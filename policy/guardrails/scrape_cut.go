package guardrails

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// scrapeCut: pods that a ServiceMonitor, a PodMonitor or the annotation prometheus.io/scrape has scraped let in some pod of
// Prometheus before the change and none after it, on the port that is scraped; or Prometheus's own egress no longer reaches
// such pods. Agents on the host's network are not known by their labels, so that nothing is said of them.
var scrapeCut = policy.Guardrail{
	Slug:          "scrape-cut",
	Summary:       "pods that Prometheus scrapes shut it out",
	On:            []policy.Trigger{policy.PolicyWrite, policy.PolicyDelete},
	Needs:         []cluster.Resource{cluster.ServiceMonitors, cluster.PodMonitors},
	DefaultAction: config.Warn,
	NewParameters: func() any { return defaultScrapers() },
	Check:         checkScrapeCut,
	Documentation: policy.Documentation{
		Why: `Prometheus connects to the pods that it scrapes. When a policy shuts it out the pods go on working, but their metrics end,
and alerts that are computed from them stay silent.`,
		Judged: `The pods whose policies the change touches, if a ServiceMonitor selects their Service, a PodMonitor selects them, or they or
their Service have the annotation ` + "`prometheus.io/scrape`" + `: could some live pod of Prometheus connect to the scraped port before the
change, and does no rule let any of them in after it? An annotation without ` + "`prometheus.io/port`" + ` is lost with the last of the declared
ports. The pods of Prometheus are found by ` + "`scrapers`" + `, in any namespace: write down other agents there. Monitors are taken to be read by
the pods that the Prometheus operator runs, where there are such, and annotations by the others.

Nothing is said where no such pods run, or only on their node's network; where a rule admits an ` + "`ipBlock`" + ` on the port; and of
pods that were shut before. A change of the policies around Prometheus is judged from the other side: do its pods' egress rules still
let it reach the pods that it scrapes? At most 500 workloads that are scraped are tried.

The namespace of Prometheus is named where the namespace itself asks to be scraped and Prometheus runs in one namespace alone, else only
where the config discloses other namespaces.`,
		Bad: `# ServiceMonitor shop/api scrapes the port 8080 of app=api
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
  - from:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}
      podSelector: {matchLabels: {app.kubernetes.io/name: prometheus}}
    ports: [{protocol: TCP, port: 8080}]
`,
		Fix: "Let the pods of Prometheus in on the scraped port.",
	},
}

// scrapeParameters are what the config may set for scrape-cut.
type scrapeParameters struct {
	// Scrapers lists the pods that scrape: Prometheus, and agents in its place.
	Scrapers []scraper `json:"scrapers"`
}

// scraper describes pods that scrape.
type scraper struct {
	// Namespace of the pods. Empty means all.
	Namespace string `json:"namespace"`
	// PodLabels that the pods carry, all of them. Empty means all pods of the namespace.
	PodLabels map[string]string `json:"podLabels"`
}

// defaultScrapers are the pods of Prometheus as the operator and the charts label them, now and before.
func defaultScrapers() *scrapeParameters {
	return &scrapeParameters{Scrapers: []scraper{
		{PodLabels: labels.Set{nameLabel: "prometheus"}},
		{PodLabels: labels.Set{nameLabel: "prometheus-agent"}},
		{PodLabels: labels.Set{"app": "prometheus"}},
	}}
}

// Validate reports scrapers of which neither the namespace nor the labels are given.
func (p *scrapeParameters) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, s := range p.Scrapers {
		if s.Namespace == "" && len(s.PodLabels) == 0 {
			errs = append(errs, field.Required(path.Child("scrapers").Index(i), "write a namespace, podLabels or both"))
		}
	}
	return errs
}

func checkScrapeCut(c *policy.Change, parameters any) []policy.Violation {
	x := &scrapes{change: c}
	for _, s := range parameters.(*scrapeParameters).Scrapers {
		x.descriptions = append(x.descriptions, podsWith{s.Namespace, s.PodLabels})
	}
	return append(x.shutTargets(), x.shutScrapers()...)
}

// scrapes judges one change.
type scrapes struct {
	change       *policy.Change
	descriptions []podsWith
	found        *scrapers
}

// scrapers gives the pods that scrape; they are looked for once, and only where something is scraped.
func (x *scrapes) scrapers() *scrapers {
	if x.found == nil {
		x.found = findScrapers(x.change.After, x.descriptions)
	}
	return x.found
}

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
			if pods := x.scrapers().of(t); x.ends(s, t, pods) {
				cuts.add(c, s, t, pods)
			}
		}
	}
	if len(cuts.subjects) == 0 {
		return nil
	}
	return []policy.Violation{cuts.violation(c)}
}

// ends reports whether the change ends the scrapes of the subject: it shuts a port and leaves none of the target open.
func (x *scrapes) ends(s *policy.Subject, t scrapeTarget, pods []foundPods) bool {
	lost := 0
	for _, number := range t.ports {
		port := netpol.Port{Protocol: corev1.ProtocolTCP, Number: number}
		switch {
		case losesIngress(x.change, s, pods, port):
			lost++
		case anyAdmitted(x.change.After, pods, &s.After, port) || allowsBlock(&s.After, netpol.Ingress, port.Protocol, number, anyBlock):
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
		Field: changedIngressField(c, workloads), Live: live, Affected: policy.Affect(workloads),
		Detail: fmt.Sprintf("%s %s %s on %s%s; that would be blocked", listed(x.names), verb, policy.Count(workloads), numberWords(ports), from),
		Fix:    admitFix(c, subjects, nil, "allow-scrapes", []networkingv1.NetworkPolicyIngressRule{ruleFor(peers, ports)}),
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
		p.NamespaceSelector = &metav1.LabelSelector{}
		if !slices.ContainsFunc(anywhere, func(have networkingv1.NetworkPolicyPeer) bool { return equality.Semantic.DeepEqual(have, p) }) {
			anywhere = append(anywhere, p)
		}
	}
	return anywhere, ""
}

// shutScrapers is scrape-cut seen from Prometheus: the change keeps its pods from those that it scrapes.
func (x *scrapes) shutScrapers() []policy.Violation {
	c := x.change
	var isolated []*policy.Subject
	for _, s := range c.LiveSubjects() {
		if (s.After.Isolated(netpol.Egress) || c.After.Tiers() != nil) &&
			slices.ContainsFunc(x.descriptions, func(p podsWith) bool { return p.finds(s.Workload) }) {
			isolated = append(isolated, s)
		}
	}
	if len(isolated) == 0 {
		return nil
	}
	isolated, foundBy := x.shutOff(isolated)
	if len(isolated) == 0 {
		return nil
	}
	workloads := workloadsOf(isolated)
	v := policy.Violation{
		Live: true, Affected: policy.Affect(workloads), Headline: "Prometheus would lose pods that it scrapes",
		Detail: policy.Count(workloads) + " would be cut off from pods to scrape: no egress rule reaches them",
		Fix:    reachPods(c, isolated, "allow-scraping", foundBy),
	}
	switch {
	case c.NewPolicy == nil:
		v.Detail = fmt.Sprintf("deleting %s: %s", c.Name, v.Detail)
	case !c.NewPolicy.Isolates[netpol.Egress]:
		v.Field = "spec.policyTypes"
	default:
		v.Field = "spec.egress"
	}
	return []policy.Violation{v}
}

// shutOff gives those of the isolated pods whose egress shuts off the scrapes of some live workload, and the labels by which
// they were found.
func (x *scrapes) shutOff(isolated []*policy.Subject) (own []*policy.Subject, by []labels.Set) {
	c := x.change
	tried, budget := 0, maxLookedAt
	for n := range c.After.All() {
		targets := scrapeTargetsIn(c.After, n)
		for _, w := range c.After.Live(n) {
			if budget--; budget < 0 || tried >= maxClients {
				return nil, nil
			}
			if w.HostNetwork {
				continue
			}
			for _, t := range targets.of(w) {
				pods := x.scrapers().of(t)
				if own, by = carriersAmong(isolated, pods); len(own) == 0 {
					continue
				}
				tried++
				to := c.After.Endpoint(w)
				if !slices.ContainsFunc(t.ports, func(number uint16) bool {
					port := netpol.Port{Protocol: corev1.ProtocolTCP, Number: number}
					return sends(c, pods, own, to, port) || !carriersConnect(c.Before, pods, to, port)
				}) {
					return own, by
				}
			}
		}
	}
	return nil, nil
}
