package guardrails

import (
	"fmt"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// selectorNoPods: a podSelector that is not empty matches no live pod and no pod template of the namespace, scaled to
// zero or not. Host-network pods count as matched here: that they are out of reach is another matter. An update that
// keeps the podSelector is left alone, because it makes nothing worse.
var selectorNoPods = policy.Guardrail{
	Slug:          "selector-no-pods",
	Summary:       "a podSelector that matches no pod and no pod template",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Warn,
	NotYet:        true,
	Check:         checkSelectorNoPods,
	Documentation: policy.Documentation{
		Why: `The API server accepts any label, so a policy with a slip in its ` + "`podSelector`" + ` is stored and protects nothing.
The pods that it was written for stay open, and nobody is told.`,
		Judged: `A ` + "`podSelector`" + ` that is not empty, against the live pods of the policy's namespace and the templates of its
Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs and CronJobs, also those scaled to zero. Labels that Kubernetes sets
on each pod count as present on templates. Policies that arrive before their pods are warned about, which is why this does not
deny unless the config says so. Left alone are labels of pods that a controller makes on demand, such as those in which cert-manager
answers HTTP-01 challenges: mostly there are none. So are labels of the domain of a custom resource that
` + "`bulkhead lint`" + ` reads beside the policy, because its operator makes the pods, and namespaces without any workload in
manifests that it judges by themselves. An update that leaves the ` + "`podSelector`" + ` as it was is not judged.`,
		Bad: `# the pods are labelled app: api
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: apii}}
  policyTypes: [Ingress]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
`,
		Fix: "Select labels that the pod template carries; `kubectl get pods --show-labels` lists them. Where the pods come later, the\nwarning goes away with them.",
	},
}

func checkSelectorNoPods(c *policy.Change, _ any) []policy.Violation {
	selector := c.NewPolicy.Subject
	if selector.Everything() || madeByControllers(c, selector) || c.OldPolicy != nil && c.OldPolicy.Subject.String() == selector.String() {
		return nil
	}
	candidates := c.After.Candidates(c.After.Namespace(c.Namespace))
	if len(candidates) == 0 && c.Partial {
		return nil // its workloads are kept elsewhere
	}
	f := find(selector)
	all := make([]labelled, 0, len(candidates))
	for _, w := range candidates {
		if f.finds(w) {
			return nil
		}
		all = append(all, labelledWorkload(w))
	}
	v := policy.Violation{Field: "spec.podSelector", Headline: "the policy would apply to no pod"}
	v.Reason = fmt.Sprintf("%s matches 0 pods or templates in %s", selector.Brief(), c.Namespace)
	if len(candidates) == 0 {
		v.Reason += ": nothing runs there yet"
	} else {
		words, corrected := guess(selector, all)
		v.Reason += words
		if corrected != nil {
			fixed := c.Object.DeepCopy()
			fixed.Spec.PodSelector = *corrected
			v.Fix = selectorFix("spec", "podSelector", corrected, fixed)
		}
	}
	v.Detail = v.Field + " " + v.Reason
	return []policy.Violation{v}
}
