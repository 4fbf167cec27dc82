package guardrails

import (
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// tenantCrossing: the change opens a connection between live pods of namespaces whose tenant labels differ. Both ends
// have to allow it, so that nothing is said while the other tenant's policies keep it shut.
var tenantCrossing = policy.Guardrail{
	Slug:          "tenant-crossing",
	Summary:       "connections between two tenants are opened",
	On:            []policy.Trigger{policy.PolicyWrite, policy.PolicyDelete, policy.PodWrite, policy.TemplateWrite},
	DefaultAction: config.Warn,
	NewParameters: func() any { return &tenantParameters{} },
	Seeks:         seekTenants,
	Check:         checkTenantCrossing,
	Documentation: policy.Documentation{
		Why: `Where several tenants share a cluster, policies are what keeps them apart. One rule with a wide
` + "`namespaceSelector`" + `, or one default-deny less, joins them again.`,
		Judged: `The connections between live pods that the change opens, so that both ends allow them after it and did not before:
do the namespaces of the two ends have different values of the label ` + "`tenantLabel`" + `? Namespaces without the label are no
tenant's, and connections to tenants that are ` + "`shared`" + ` are fine. Connections that were open before, and those that the
change closes, are left alone. A pod template is judged by what its next rollout opens. Until ` + "`tenantLabel`" + ` is set
nothing is judged. At most 400,000 pairs of workloads are compared.`,
		Bad: `# with tenantLabel: tenant, and namespaces oil and water of two tenants
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: water, name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {}
    ports: [{protocol: TCP, port: 5432}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: water, name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {tenant: water}}
    ports: [{protocol: TCP, port: 5432}]
`,
		Fix: "Select the namespaces of one's own tenant by the tenant label. What all tenants use belongs in `shared`.",
	},
}

// tenantParameters are what the config may set for tenant-crossing.
type tenantParameters struct {
	// TenantLabel is the key of the Namespace label whose value is the tenant. Empty judges nothing.
	TenantLabel string `json:"tenantLabel"`
	// Shared lists tenants to which the others may connect.
	Shared []string `json:"shared"`
}

// Validate reports a key that is no label's, and shared tenants that are no label's value or named twice.
func (p *tenantParameters) Validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if p.TenantLabel != "" {
		for _, problem := range validation.IsQualifiedName(p.TenantLabel) {
			errs = append(errs, field.Invalid(path.Child("tenantLabel"), p.TenantLabel, "a label key: "+problem))
		}
	}
	for i, tenant := range p.Shared {
		at := path.Child("shared").Index(i)
		switch problems := validation.IsValidLabelValue(tenant); {
		case tenant == "":
			errs = append(errs, field.Required(at, "write a tenant"))
		case len(problems) > 0:
			errs = append(errs, field.Invalid(at, tenant, "a label value: "+problems[0]))
		case slices.Contains(p.Shared[:i], tenant):
			errs = append(errs, field.Duplicate(at, tenant))
		}
	}
	return errs
}

// crossing is what one place of the change opens between tenants.
type crossing struct {
	direction netpol.Direction
	rule      int // in the new policy; -1 where no rule opens it but lost isolation or a label
	flows     []*policy.Flow
}

func checkTenantCrossing(c *policy.Change, parameters any) []policy.Violation {
	p := parameters.(*tenantParameters)
	if p.TenantLabel == "" {
		return nil
	}
	d := c.Difference()
	var crossings []*crossing
	for i := range d.Flows {
		f := &d.Flows[i]
		if !p.crosses(c, f) {
			continue
		}
		rule := openingRule(c, f)
		at := slices.IndexFunc(crossings, func(x *crossing) bool { return x.direction == f.Direction && x.rule == rule })
		if at < 0 {
			at = len(crossings)
			crossings = append(crossings, &crossing{direction: f.Direction, rule: rule})
		}
		crossings[at].flows = append(crossings[at].flows, f)
	}
	var out []policy.Violation
	for _, x := range crossings {
		out = append(out, p.violation(c, x))
	}
	return out
}

// crosses reports whether the flow is opened between two tenants of which the destination is not shared.
func (p *tenantParameters) crosses(c *policy.Change, f *policy.Flow) bool {
	if f.First == nil || f.Opened.Empty() {
		return false
	}
	from, to := c.After.NamespaceLabels(c.Namespace)[p.TenantLabel], c.After.NamespaceLabels(f.Namespace)[p.TenantLabel]
	if f.Direction == netpol.Ingress {
		from, to = to, from
	}
	return from != "" && to != "" && from != to && !slices.Contains(p.Shared, to)
}

// openingRule gives the first rule of the new policy that allows what the flow opens, -1 where none does.
func openingRule(c *policy.Change, f *policy.Flow) int {
	subject, peer := c.After.Endpoint(f.Subject), c.After.Endpoint(f.First)
	if c.NewPolicy == nil || !c.NewPolicy.Isolates[f.Direction] || !c.NewPolicy.Selects(subject) {
		return -1
	}
	destination := peer
	if f.Direction == netpol.Ingress {
		destination = subject
	}
	return slices.IndexFunc(c.NewPolicy.Rules[f.Direction], func(r netpol.Rule) bool {
		return r.MatchesPeer(c.Namespace, peer) && !destinationPorts(&r, destination.Ports).Intersect(f.Opened).Empty()
	})
}

func (p *tenantParameters) violation(c *policy.Change, x *crossing) policy.Violation {
	workloads, live := touchedBy(x.flows)
	v := policy.Violation{Live: live, Affected: policy.Affect(workloads)}
	pairs := 0
	for _, f := range x.flows {
		pairs += f.Pairs()
	}
	if live {
		v.Headline = policy.Plural(pairs, "connection") + " between tenants would be opened"
	}
	v.Detail = fmt.Sprintf("opens %s; tenants differ", crossingWords(c, x.flows[0], pairs-1))
	directions := []netpol.Direction{x.direction}
	switch {
	case c.NewWorkload != nil:
		v.Field, v.Fix = changedField(c), keepLabels(c)
		v.Detail = actor(c) + v.Detail
	case c.NewPolicy == nil:
		v.Detail = actor(c) + v.Detail
		v.Fix = isolationFix(c, directions)
	case x.rule < 0:
		v.Field, v.Detail = "spec.podSelector", "this change "+v.Detail
		if c.OldPolicy != nil {
			v.Fix = isolationFix(c, directions)
		}
	default:
		place := fmt.Sprintf("%s[%d]", x.direction.Field(), x.rule)
		v.Reason = v.Detail
		v.Field, v.Detail = "spec."+place, place+" "+v.Detail
		v.Fix = p.ownTenant(c, x)
	}
	return v
}

// crossingWords names one connection and counts the others: "oil/app=etl -> water/app=db TCP 5432, +3". Of the other
// tenant's pods it tells only what the message may.
func crossingWords(c *policy.Change, f *policy.Flow, more int) string {
	own, other := c.Namespace+"/"+f.Subject.Label(), "pods of another tenant"
	switch {
	case c.MayName(f.Namespace):
		other = f.Namespace + "/" + f.First.Label()
	case namespaceNamed(c, f.Namespace):
		other = "pods of " + f.Namespace
	}
	if f.Direction == netpol.Ingress {
		own, other = other, own
	}
	words := fmt.Sprintf("%s -> %s %s", own, other, portsWords(f.Opened))
	if more > 0 {
		words += fmt.Sprintf(", +%d", more)
	}
	return words
}

// ownTenant narrows the rule's namespaceSelectors to the tenant's own namespaces. Peers for which that leaves no
// namespace, and a rule that is left without peers, are dropped; a rule without peers has no such fix.
func (p *tenantParameters) ownTenant(c *policy.Change, x *crossing) *policy.Fix {
	fixed := c.Object.DeepCopy()
	peers := peersOf(&fixed.Spec, x)
	if len(*peers) == 0 {
		return nil
	}
	var kept []networkingv1.NetworkPolicyPeer
	for _, peer := range *peers {
		if peer.NamespaceSelector != nil {
			if !p.narrow(c, peer.NamespaceSelector) {
				continue
			}
		}
		kept = append(kept, peer)
	}
	*peers = kept
	place := fmt.Sprintf("spec.%s[%d]", x.direction.Field(), x.rule)
	if len(kept) == 0 {
		dropRule(&fixed.Spec, x)
		return &policy.Fix{Say: "leave out " + place, Instead: fixed}
	}
	field := "to"
	if x.direction == netpol.Ingress {
		field = "from"
	}
	return &policy.Fix{Say: "write in " + place + ":", YAML: pasteable.YAML(map[string]any{field: kept}), Instead: fixed}
}

func peersOf(spec *networkingv1.NetworkPolicySpec, x *crossing) *[]networkingv1.NetworkPolicyPeer {
	if x.direction == netpol.Ingress {
		return &spec.Ingress[x.rule].From
	}
	return &spec.Egress[x.rule].To
}

func dropRule(spec *networkingv1.NetworkPolicySpec, x *crossing) {
	if x.direction == netpol.Ingress {
		spec.Ingress = slices.Delete(spec.Ingress, x.rule, x.rule+1)
	} else {
		spec.Egress = slices.Delete(spec.Egress, x.rule, x.rule+1)
	}
}

// narrow makes the selector one of the tenant's namespaces and reports whether it then selects any.
func (p *tenantParameters) narrow(c *policy.Change, s *metav1.LabelSelector) bool {
	tenant := c.After.NamespaceLabels(c.Namespace)[p.TenantLabel]
	if s.MatchLabels == nil {
		s.MatchLabels = map[string]string{}
	}
	if was, ok := s.MatchLabels[p.TenantLabel]; ok && was != tenant {
		return false
	}
	s.MatchLabels[p.TenantLabel] = tenant
	sel, err := netpol.CompileSelector(*s)
	if err != nil {
		return false
	}
	for range c.After.SelectNamespaces(sel) {
		return true
	}
	return false
}
