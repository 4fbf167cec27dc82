package guardrails

import (
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
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
	Seeks:         seekScrapers,
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
