package guardrails

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// dependencyCut: a pod's spec names a Service, some pod behind it could be reached before the change and none can after. New
// pods and templates, and hosts that a change brings, are told of where they are blocked from the start. What a spec says may be
// stale, so that no violation counts as one of live pods: it never denies.
var dependencyCut = policy.Guardrail{
	Slug:          "dependency-cut",
	Summary:       "pods lose a Service that their environment or arguments name",
	On:            []policy.Trigger{policy.PolicyWrite, policy.PolicyDelete, policy.PodWrite, policy.TemplateWrite},
	Needs:         []cluster.Resource{cluster.Nodes},
	AtMost:        config.Warn,
	DefaultAction: config.Warn,
	LiveOnly:      true,
	Check:         checkDependencyCut,
	Documentation: policy.Documentation{
		Why: `Most pods are told by environment variables and arguments where their database, cache and queue are. A policy that
leaves one of them out shows as timeouts, long after the change and in another team's log.`,
		Judged: `The hosts in the values of environment variables and in arguments: in URLs, with the port of their scheme where none
is written; with a port, in lists too; a Service's full name; and ` + "`X_HOST`" + ` with ` + "`X_PORT`" + `. What comes from Secrets and ConfigMaps
is not known. A host counts where it is exactly a Service that exists, as the pod's resolver finds it, and the port one of its
ports. Headless Services, those without a selector, those with pods on their host's network and the pod's own are left alone.

Both sides count: the egress of the pod and the ingress of the pods behind the Service, on the target port. Some of them could be
reached before the change and none can after. Judged are the pods that a policy selects as clients, the live pods that name a Service
whose pods it selects, and changed pods and pod templates. Pods and templates that are new, and hosts that a change of theirs
brings, are told of where they are blocked from the start: the policy that allows it may still be on its way. A rule for an
` + "`ipBlock`" + ` that may hold the Service or its pods counts as reaching them. At most 2,000 connections are looked at. Pods of other
namespaces are counted and not named, unless the config discloses them.

Specs grow stale: it never denies, whatever the config says.`,
		Bad: `# the pods app=orders have the variable REDIS_ADDR=cache:6379
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: orders}
spec:
  podSelector: {matchLabels: {app: orders}}
  policyTypes: [Egress]
  egress:
  - to: [{podSelector: {matchLabels: {app: db}}}]
    ports: [{protocol: TCP, port: 5432}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: orders}
spec:
  podSelector: {matchLabels: {app: orders}}
  policyTypes: [Egress]
  egress:
  - to: [{podSelector: {matchLabels: {app: db}}}]
    ports: [{protocol: TCP, port: 5432}]
  - to: [{podSelector: {matchLabels: {app: cache}}}]
    ports: [{protocol: TCP, port: 6379}]
`,
		Fix: "Allow the connection on the side that refuses it, by the port on which the pods listen. If nothing uses the variable any more, " +
			"remove it.",
	},
}

func checkDependencyCut(c *policy.Change, _ any) []policy.Violation {
	if len(c.Subjects) == 0 {
		return nil
	}
	x := newDependencies(c)
	var lost [2]dependencyLoss
	add := func(before, after *cluster.Workload, d *dependency) {
		if side, cut := x.blocked(before, after, d); cut {
			lost[side].add(after, d)
		}
	}
	if c.NewWorkload != nil {
		for _, d := range x.of(c.NewWorkload, anyService) {
			before := c.OldWorkload
			if before != nil && !names(before, d.Reference) {
				before = nil
			}
			add(before, c.NewWorkload, d)
		}
	} else {
		x.clients(func(w *cluster.Workload, wanted func(*cluster.Service) bool) {
			for _, d := range x.of(w, wanted) {
				add(w, w, d)
			}
		})
	}
	var out []policy.Violation
	for _, d := range netpol.Directions {
		if len(lost[d].clients) > 0 {
			out = append(out, lost[d].violation(c, d))
		}
	}
	return out
}

func anyService(*cluster.Service) bool { return true }

// names reports whether the workload's pods have the reference.
func names(w *cluster.Workload, r cluster.Reference) bool {
	return slices.ContainsFunc(w.Uses(), func(u cluster.Use) bool { return slices.Contains(u.References, r) })
}

// clients calls look for the workloads whose connections a change of a policy may end: the subjects, if it is about egress, and
// if it is about ingress all live pods that name a Service with subjects behind it.
func (x *dependencies) clients(look func(w *cluster.Workload, wanted func(*cluster.Service) bool)) {
	c := x.c
	changes := func(d netpol.Direction) bool {
		return c.OldPolicy != nil && c.OldPolicy.Isolates[d] || c.NewPolicy != nil && c.NewPolicy.Isolates[d]
	}
	looked := map[*cluster.Workload]bool{}
	if changes(netpol.Egress) {
		for _, s := range toJudge(c) {
			looked[s.Workload] = true
			look(s.Workload, anyService)
		}
	}
	if !changes(netpol.Ingress) {
		return
	}
	behind := map[*cluster.Service]bool{}
	live := c.LiveSubjects()
	for _, svc := range c.After.Namespace(c.Namespace).Services {
		if slices.ContainsFunc(live, func(s *policy.Subject) bool { return serves(svc, s.Workload) }) {
			behind[svc] = true
		}
	}
	inNamespace := func(n *cluster.Namespace) (more bool) {
		for _, w := range c.After.Live(n) {
			if x.through++; x.through > maxThrough || x.left < 0 {
				return false
			}
			if !looked[w] && !w.HostNetwork {
				look(w, func(svc *cluster.Service) bool { return behind[svc] })
			}
		}
		return true
	}
	if len(behind) == 0 || !inNamespace(c.After.Namespace(c.Namespace)) {
		return
	}
	for n := range c.After.Mentioning(c.Namespace) {
		if n.Name != c.Namespace && !inNamespace(n) {
			return
		}
	}
}
