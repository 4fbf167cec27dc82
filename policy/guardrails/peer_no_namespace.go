package guardrails

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// peerNoNamespace: the namespaceSelector of a peer matches no namespace, so the peer lets nothing through. The request
// may name the namespace that it means under a label that namespaces do not have; the label that they all have is then
// proposed. A peer that an update takes over from the old policy is left alone.
var peerNoNamespace = policy.Guardrail{
	Slug:          "peer-no-namespace",
	Summary:       "a namespaceSelector that matches no namespace",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	NotYet:        true,
	Check:         checkPeerNoNamespace,
	Documentation: policy.Documentation{
		Why: `Namespaces have no label ` + "`name`" + ` unless somebody sets it, though many examples select on it. A peer whose
` + "`namespaceSelector`" + ` matches nothing allows nothing: the connection that the rule was written for stays blocked.`,
		Judged: `Each peer with a ` + "`namespaceSelector`" + `, in the directions that ` + "`policyTypes`" + ` names, against the labels of all
namespaces. Rules for port 53 alone are judged by ` + "`dns-dead-peer`" + ` where the resolver is known. Namespaces that the same
rollout creates a moment later look like a slip too, so this warns. In manifests that ` + "`bulkhead lint`" + ` judges by themselves
and whose namespaces have no labels of their own, labels other than ` + "`name`" + ` may be those of namespaces kept elsewhere. An update is not blamed for peers that it found there.`,
		Bad: `# no namespace is labelled name: monitoring
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: allow-scrape}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {matchLabels: {name: monitoring}}
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
`,
		Fix: "Select `kubernetes.io/metadata.name`, which the API server sets on every namespace, or a label that the namespace has.",
	},
}

func checkPeerNoNamespace(c *policy.Change, _ any) []policy.Violation {
	var out []policy.Violation
	for at := range newPeers(c, namespacesKey) {
		if at.peer.Namespaces == nil || anyNamespace(c.After, *at.peer.Namespaces) {
			continue
		}
		if len(out) == maxDeadPeers {
			break
		}
		selector := *at.peer.Namespaces
		v := policy.Violation{
			Field:    "spec." + at.String() + ".namespaceSelector",
			Headline: "a peer would match no namespace",
			Reason:   fmt.Sprintf("no namespace matches %s", selector.Brief()),
		}
		words, corrected := guessNamespace(c, selector)
		if words == "" && keptElsewhere(c, selector) {
			continue
		}
		v.Reason += words
		v.Detail = at.String() + ": " + v.Reason
		if corrected != nil {
			fixed := c.Object.DeepCopy()
			at.in(&fixed.Spec).NamespaceSelector = corrected
			v.Fix = selectorFix("spec."+at.String(), "namespaceSelector", corrected, fixed)
		}
		out = append(out, v)
	}
	return out
}

// oldNameLabel is what tutorials told people to put on their namespaces before Kubernetes 1.21 labelled them all by itself.
// Who asks for it mostly takes it for that label.
const oldNameLabel = "name"

// keptElsewhere reports whether namespaces that nobody can see may have the labels: manifests are judged by themselves, and
// none of their namespaces has labels of its own.
func keptElsewhere(c *policy.Change, sel netpol.Selector) bool {
	if !c.Partial || slices.Contains(sel.Keys(), oldNameLabel) {
		return false
	}
	for n := range c.After.All() {
		if len(n.Labels) > 1 { // beside the one that each has
			return false
		}
	}
	return true
}

func anyNamespace(s *cluster.Snapshot, sel netpol.Selector) bool {
	for range s.SelectNamespaces(sel) {
		return true
	}
	return false
}

// guessNamespace says what the selector may have meant. It names no namespace but those that the request names by
// their exact name, the policy's own, and others only where the config allows to disclose them.
func guessNamespace(c *policy.Change, sel netpol.Selector) (words string, corrected *metav1.LabelSelector) {
	if s := namedNamespace(c.After, demands(sel)); s != nil {
		fixed := s.apply(sel.Source())
		return fmt.Sprintf("; use %s", s), &fixed
	}
	var candidates []labelled
	for n := range c.After.All() {
		if n.Known && c.MayName(n.Name) {
			candidates = append(candidates, labelled{labels: n.Labels})
		}
	}
	best, single, _ := nearest(sel, candidates)
	if best == nil {
		return "", nil
	}
	if single {
		fixed := best.apply(sel.Source())
		corrected = &fixed
	}
	return fmt.Sprintf("; did you mean %s?", best), corrected
}

// namedNamespace finds a requirement that demands the exact name of a namespace under a label that it does not have,
// while the namespace satisfies all the others.
func namedNamespace(s *cluster.Snapshot, reqs []labels.Requirement) *suggestion {
	for i, r := range reqs {
		if !demandsValue(r) || r.Key() == corev1.LabelMetadataName {
			continue
		}
		for _, name := range slices.Sorted(slices.Values(r.ValuesUnsorted())) {
			if n := s.Namespace(name); n != nil && n.Known && onlyFailing(reqs, n.Labels) == i {
				return &suggestion{wrong: r, alone: len(reqs) == 1, written: name, key: corev1.LabelMetadataName, value: name}
			}
		}
	}
	return nil
}
