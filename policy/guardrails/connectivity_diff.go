package guardrails

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// connectivityDiff: the change cuts or opens connections between workloads, or between workloads and addresses outside
// the cluster. It is a report rather than a complaint, so it goes to the audit log unless the config wants more.
var connectivityDiff = policy.Guardrail{
	Slug:    "connectivity-diff",
	Summary: "what the change cuts and opens, by workload",
	On: []policy.Trigger{
		policy.PolicyWrite, policy.PolicyDelete, policy.PodWrite, policy.TemplateWrite, policy.NamespaceWrite,
	},
	DefaultAction: config.Audit,
	Describes:     true,
	Seeks:         func(any) func(*cluster.Workload) bool { return anyPod },
	Check:         checkConnectivityDiff,
	Documentation: policy.Documentation{
		Why: `A NetworkPolicy says what is allowed, not what changes. What a change cuts and opens depends on every other policy
that selects the pods at either end, and nobody sees that in the diff of one manifest.`,
		Judged: `All connections between live workloads, and between those and addresses outside the cluster, before and after the
change: both ends have to allow one. A pair of workloads counts once whatever its ports, and so does a run of addresses. Pods
that no policy tells apart are one workload. A pod template is compared with the pods of its last version, as its next rollout
would replace them. New pods and templates have no connections to lose. A change that alters no connection, such as a rename or
a reordering of rules, says nothing. Workloads of other namespaces are counted, not named, unless the config discloses them. At
most 400,000 pairs of workloads are compared one by one; where that was not enough, the finding says so.`,
		Bad: `# pods app=web reach app=api on every port until this policy is there, and only on 8080 afterwards
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{protocol: TCP, port: 8080}]
`,
		Good: `# the same policy again, with a label of its own that no connection depends on
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api, labels: {team: shop}}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{protocol: TCP, port: 8080}]
`,
		Fix: `Nothing has to be fixed. Read whether what is cut and opened is what the change is for. Set the guardrail to ` + "`Warn`" + `
to show it to the authors of changes.`,
	},
}

func checkConnectivityDiff(c *policy.Change, _ any) []policy.Violation {
	d := c.Difference()
	if d.Cut+d.Opened == 0 {
		return nil
	}
	cut, opened := sides(d)
	_, live := touchedBy(cut.flows)
	return []policy.Violation{{
		Field: changedField(c), Headline: differenceHeadline(d), Live: live, Affected: touchedByBoth(cut, opened),
		Detail: actor(c) + differenceWords(c, d, cut, opened),
	}}
}

// sides gives the two signs of a difference.
func sides(d *policy.Difference) (cut, opened *side) {
	cut, opened = &side{of: cutPorts, count: d.Cut}, &side{of: openedPorts, count: d.Opened}
	for i := range d.Flows {
		cut.add(&d.Flows[i])
		opened.add(&d.Flows[i])
	}
	return cut, opened
}

func touchedByBoth(cut, opened *side) []policy.Affected {
	workloads, _ := touchedBy(slices.Concat(cut.flows, opened.flows))
	return policy.Affect(workloads)
}

func cutPorts(f *policy.Flow) connectivity.Ports    { return f.Cut }
func openedPorts(f *policy.Flow) connectivity.Ports { return f.Opened }

// side is one sign of a difference: what is cut, or what is opened.
type side struct {
	of    func(*policy.Flow) connectivity.Ports
	count int
	flows []*policy.Flow
}

func (s *side) add(f *policy.Flow) {
	if !s.of(f).Empty() {
		s.flows = append(s.flows, f)
	}
}

// changedField is where the reviewed object says what changed the connections.
func changedField(c *policy.Change) string {
	switch {
	case c.NewWorkload != nil && c.OldWorkload != nil && maps.Equal(c.OldWorkload.Labels, c.NewWorkload.Labels):
		return "spec" // its ports, or the host's network
	case c.NewWorkload != nil:
		return labelsField(c)
	case c.Trigger == policy.NamespaceWrite:
		return "metadata.labels"
	case c.NewPolicy != nil:
		return "spec"
	}
	return ""
}

// actor says what cuts and opens where that is not the submitted policy.
func actor(c *policy.Change) string {
	switch c.Trigger {
	case policy.PolicyDelete:
		return "deleting " + c.Name + " "
	case policy.PodWrite:
		return "this edit of the pod "
	case policy.TemplateWrite:
		return "the next rollout "
	case policy.NamespaceWrite:
		return "label change on namespace " + c.Name + " "
	}
	return ""
}

func differenceHeadline(d *policy.Difference) string {
	switch {
	case d.Opened == 0:
		return policy.Plural(d.Cut, "connection") + " would be cut"
	case d.Cut == 0:
		return policy.Plural(d.Opened, "connection") + " would be opened"
	}
	return fmt.Sprintf("%s would be cut, %d opened", policy.Plural(d.Cut, "connection"), d.Opened)
}

// differenceWords says both signs: "cuts 4 connections (app=web->app=api:8080, +3), opens 1 (app=api->0.0.0.0/0:443)".
func differenceWords(c *policy.Change, d *policy.Difference, cut, opened *side) string {
	atLeast := ""
	if !d.Extent.Complete() {
		atLeast = "at least "
	}
	var parts []string
	if cut.count > 0 {
		parts = append(parts, fmt.Sprintf("cuts %s%s%s", atLeast, policy.Plural(cut.count, "connection"), cut.examples(c, true)))
	}
	if opened.count > 0 {
		count := policy.Plural(opened.count, "connection")
		if cut.count > 0 {
			count = fmt.Sprint(opened.count)
		}
		parts = append(parts, fmt.Sprintf("opens %s%s%s", atLeast, count, opened.examples(c, false)))
	}
	return strings.Join(parts, ", ") + extentWords(d)
}

// extentWords says how far the comparison got, where it did not get to the end.
func extentWords(d *policy.Difference) string {
	if d.Extent.Complete() {
		return ""
	}
	return fmt.Sprintf("; compared are the first %d of %d pairs of workloads", d.Extent.Compared, d.Extent.Total)
}

// examples names the directions that open or close as a whole, or else one connection, and counts the others.
func (s *side) examples(c *policy.Change, cut bool) string {
	words, grouped := wholes(c, s.flows, cut)
	var parts []string
	if words != "" {
		parts = append(parts, words)
	}
	more, unnamed := 0, &side{}
	for _, f := range s.flows {
		switch {
		case grouped[f]:
		case !nameablePeers(c, f):
			unnamed.flows, unnamed.count = append(unnamed.flows, f), unnamed.count+f.Pairs()
		case len(parts) == 0:
			parts = append(parts, connection(c, f)+portWords(s.of(f)))
			more += f.Pairs() - 1
		default:
			more += f.Pairs()
		}
	}
	if len(parts) == 0 {
		workloads, _ := touchedBy(unnamed.flows)
		return fmt.Sprintf(" of %s with %s", policy.Names(workloads), unnamed.namespaces())
	}
	if more > 0 {
		parts = append(parts, fmt.Sprintf("+%d", more))
	}
	if unnamed.count > 0 {
		parts = append(parts, fmt.Sprintf("%d with %s", unnamed.count, unnamed.namespaces()))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// namespaces counts the namespaces of the peers: "2 other namespaces".
func (s *side) namespaces() string {
	seen := map[string]bool{}
	for _, f := range s.flows {
		seen[f.Namespace] = true
	}
	return policy.Plural(len(seen), "other namespace")
}

// wholes finds the flows of workloads that become isolated, or are no longer, in the flow's direction. Hundreds of
// connections are then said as one: "all ingress of app=api, app=web".
func wholes(c *policy.Change, flows []*policy.Flow, cut bool) (words string, grouped map[*policy.Flow]bool) {
	grouped = map[*policy.Flow]bool{}
	subjects := map[*cluster.Workload]*policy.Subject{}
	for i := range c.Subjects {
		subjects[c.Subjects[i].Workload] = &c.Subjects[i]
	}
	var texts []string
	for _, d := range netpol.Directions {
		var of []*cluster.Workload
		rules := false
		for _, f := range flows {
			s := subjects[f.Subject]
			if f.Direction != d || s == nil || s.Before.Isolated(d) == cut || s.After.Isolated(d) != cut {
				continue
			}
			grouped[f], of = true, append(of, f.Subject)
			rules = rules || cut && hasRules(&s.After, d)
		}
		if len(of) == 0 {
			continue
		}
		text := fmt.Sprintf("all %s of %s", d.Field(), policy.Names(of))
		if rules {
			text += " that no rule allows"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " and "), grouped
}

// hasRules reports whether the workload's own side may allow anything while it is isolated.
func hasRules(c *policy.Coverage, d netpol.Direction) bool {
	if len(c.Tiers.Selecting(netpol.AdminTier, c.Endpoint)) > 0 {
		return true
	}
	for _, p := range c.Policies {
		if p.Isolates[d] && len(p.Rules[d]) > 0 {
			return true
		}
	}
	return false
}
