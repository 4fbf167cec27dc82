package guardrails

import (
	"fmt"
	"iter"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// peerNoPods: a peer's namespaces exist, but no live pod and no pod template in them matches its podSelector. Empty
// podSelectors mean whatever comes and are left alone, and so is a peer that an update takes over from the old policy.
var peerNoPods = policy.Guardrail{
	Slug:          "peer-no-pods",
	Summary:       "a peer's podSelector that matches no pod and no pod template",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	NotYet:        true,
	Check:         checkPeerNoPods,
	Documentation: policy.Documentation{
		Why: `A slip in a peer's ` + "`podSelector`" + ` leaves a rule that allows nothing. The policy isolates its pods all the same,
so the connection that the rule was written for breaks. A ` + "`podSelector`" + ` without ` + "`namespaceSelector`" + ` looks in the
policy's own namespace only, which is easy to forget.`,
		Judged: `Each peer with a ` + "`podSelector`" + ` that is not empty, in the directions that ` + "`policyTypes`" + ` names, against the live
pods and the pod templates, scaled to zero or not, of the namespaces that it selects. Where it selects no namespace
` + "`peer-no-namespace`" + ` speaks, for rules of port 53 alone ` + "`dns-dead-peer`" + `, and for one that stands beside the namespaces that it is meant for
` + "`and-or`" + `. Labels of pods that a controller makes on demand are left alone, labels of
the domain of a custom resource that ` + "`bulkhead lint`" + ` reads beside the policy, and namespaces without any workload in manifests
that it judges by themselves. A policy whose selectors would take more than
200,000 comparisons is not judged to the end. An update is not blamed for peers that it found there.`,
		Bad: `# the pods in monitoring are labelled app: prometheus
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-scrape}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}
      podSelector: {matchLabels: {app: prom}}
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-scrape}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}
      podSelector: {matchLabels: {app: prometheus}}
`,
		Fix: "Select labels that the peers' pods carry. For pods of another namespace add a `namespaceSelector` to the same item.",
	},
}

// maxLookedAt bounds the workloads that one request's peers are compared with: a few milliseconds.
const maxLookedAt = 200_000

func checkPeerNoPods(c *policy.Change, _ any) []policy.Violation {
	var out []policy.Violation
	budget := maxLookedAt
	ors := saidByAndOr{change: c}
	for at := range newPeers(c, peerKey) {
		if at.peer.Pods == nil || at.peer.Pods.Everything() || madeByControllers(c, *at.peer.Pods) {
			continue
		}
		if len(out) == maxDeadPeers {
			break
		}
		namespaces, found := lookFor(c, at.peer, &budget)
		if budget < 0 {
			break
		}
		if found || namespaces == 0 && at.peer.Namespaces != nil || at.peer.Namespaces == nil && ors.has(at.peer) {
			continue
		}
		v := policy.Violation{
			Field:    "spec." + at.String() + ".podSelector",
			Headline: "a peer would match no pod",
			Reason:   fmt.Sprintf("%s matches 0 pods or templates in %s", at.peer.Pods.Brief(), where(c, at.peer, namespaces)),
		}
		candidates, known := nameable(c, at.peer)
		if known && len(candidates) == 0 && c.Partial {
			continue // its workloads are kept elsewhere
		}
		if known && len(candidates) == 0 {
			v.Reason += ": nothing runs there yet"
		} else {
			words, corrected := guess(*at.peer.Pods, candidates)
			if words == "" && at.peer.Namespaces == nil {
				words = "; to mean other namespaces add a namespaceSelector"
			}
			v.Reason += words
			if corrected != nil {
				fixed := c.Object.DeepCopy()
				at.in(&fixed.Spec).PodSelector = corrected
				v.Fix = selectorFix("spec."+at.String(), "podSelector", corrected, fixed)
			}
		}
		v.Detail = at.String() + ": " + v.Reason
		out = append(out, v)
	}
	return out
}

// lookFor counts the peer's namespaces up to the first in which it finds a pod or a template. It lowers budget by the
// workloads that it looks at and gives up below 0.
func lookFor(c *policy.Change, p *netpol.Peer, budget *int) (namespaces int, found bool) {
	f := find(*p.Pods)
	for n := range c.After.PeerNamespaces(c.Namespace, p) {
		namespaces++
		for w := range candidates(c.After, n) {
			if *budget--; *budget < 0 {
				return namespaces, false
			}
			if f.finds(w) {
				return namespaces, true
			}
		}
	}
	return namespaces, false
}

// candidates yields what Snapshot.Candidates lists, without making the list.
func candidates(s *cluster.Snapshot, n *cluster.Namespace) iter.Seq[*cluster.Workload] {
	return func(yield func(*cluster.Workload) bool) {
		for _, list := range [...][]*cluster.Workload{s.Live(n), n.Templates} {
			for _, w := range list {
				if !yield(w) {
					return
				}
			}
		}
	}
}

// where names the peer's namespaces as far as the request does, and counts them otherwise.
func where(c *policy.Change, p *netpol.Peer, namespaces int) string {
	if p.Namespaces == nil {
		return c.Namespace
	}
	if name, ok := p.Namespaces.Exact(corev1.LabelMetadataName); ok {
		return name
	}
	if p.Namespaces.Everything() {
		return "any namespace"
	}
	if namespaces == 1 {
		return "the matched namespace"
	}
	return fmt.Sprintf("the %d matched namespaces", namespaces)
}

// maxGuessed bounds the workloads among which a label that looks like the wanted one is looked for.
const maxGuessed = 5000

// nameable lists the workloads of the peer's namespaces that a message may tell of; all says that these are all.
func nameable(c *policy.Change, p *netpol.Peer) (out []labelled, all bool) {
	all = true
	for n := range c.After.PeerNamespaces(c.Namespace, p) {
		if !c.MayName(n.Name) {
			all = false
			continue
		}
		for w := range candidates(c.After, n) {
			if len(out) == maxGuessed {
				return out, false
			}
			out = append(out, labelledWorkload(w))
		}
	}
	return out, all
}
