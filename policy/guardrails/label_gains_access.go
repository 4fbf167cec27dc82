package guardrails

import (
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// labelGainsAccess: a pod gets a protected label, and with it may connect to pods whose policies let in who has that label.
// The pod with the label is compared with the same pod without it, so that creations and updates are judged alike.
var labelGainsAccess = policy.Guardrail{
	Slug:          "label-gains-access",
	Summary:       "a protected label lets a pod connect where it could not without it",
	On:            []policy.Trigger{policy.PodWrite, policy.TemplateWrite},
	DefaultAction: config.Warn,
	NewParameters: func() any { return &accessParameters{} },
	Seeks:         seekAccess,
	Check:         checkLabelGainsAccess,
	Documentation: policy.Documentation{
		Why: `A policy that lets in ` + "`access: db`" + ` trusts whoever may set that label, and everybody who may create pods in a namespace
that it selects may. The policy's author never hears of it.`,
		Judged: `The pods and pod templates that get a label whose key is in ` + "`labels`" + `, by creation or update: which live pods can
they connect to with the label that they could not without it, because a rule selects its peers by that label? Both ends count, with
all policies: while the pod's own egress is shut nothing is gained. Labels that the pod had before, and other labels, are left
alone. The ` + "`owners`" + ` of the labels may set them, and in ` + "`namespaces`" + ` anybody may: those in which a cluster is set
up, and where such pods belong. Until ` + "`labels`" + ` is set nothing is judged. What the label opens in other namespaces is
not named, unless the config discloses it. At most 400,000 pairs of workloads are compared.`,
		Bad: `# with labels: [access], and a policy in ledger that lets in pods with access=db
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: report, labels: {app: report, access: db}}
spec: {containers: [{name: main, image: "example.com/report:1"}]}
`,
		Good: `apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: report, labels: {app: report}}
spec: {containers: [{name: main, image: "example.com/report:1"}]}
`,
		Fix: `Leave out the label, or ask its owners to set it. A policy that selects the namespace beside the label trusts fewer
people.`,
	},
}

// accessParameters are what the config may set for label-gains-access.
type accessParameters struct {
	// Labels lists the keys of the protected pod labels. A key may hold * and ?, as in access.example.com/*. Empty judges
	// nothing.
	Labels []string `json:"labels"`
	// Owners may set them.
	Owners baselineOwners `json:"owners"`
	// Namespaces lists those in which anybody may set them. A name may hold * and ?.
	Namespaces []string `json:"namespaces"`
}

// Validate reports keys and names that are empty or no pattern.
func (p *accessParameters) Validate(at *field.Path) field.ErrorList {
	errs := validatePatterns(p.Labels, at.Child("labels"), "a label key")
	errs = append(errs, validatePatterns(p.Namespaces, at.Child("namespaces"), "the name of a namespace")...)
	return append(errs, p.Owners.validate(at.Child("owners"))...)
}

func checkLabelGainsAccess(c *policy.Change, parameters any) []policy.Violation {
	p := parameters.(*accessParameters)
	if len(p.Labels) == 0 || len(c.Subjects) == 0 || matchesAny(p.Namespaces, c.Namespace) || p.Owners.own(c.Requester) {
		return nil
	}
	without, gained := p.without(c)
	if len(gained) == 0 {
		return nil
	}
	found := accesses(c, &without, c.NewWorkload)
	if len(found) == 0 {
		return nil
	}
	s := &c.Subjects[0]
	v := policy.Violation{
		Field: labelsField(c), Live: s.Live(), Affected: policy.Affect(workloadsOf([]*policy.Subject{s})),
		Detail: fmt.Sprintf("label %s lets %s reach %s", gained, those(c), accessWords(c, found)),
		Fix:    withoutAccess(without.Labels, gained),
	}
	if v.Live {
		v.Headline = "1 live pod would gain access by its labels"
	}
	return []policy.Violation{v}
}

// without gives the pods as they would be without the protected labels that the change gives them, and those labels.
func (p *accessParameters) without(c *policy.Change) (w cluster.Workload, gained labels.Set) {
	w, gained = *c.NewWorkload, labels.Set{}
	w.Labels = maps.Clone(w.Labels)
	for k, v := range c.NewWorkload.Labels {
		if !matchesAny(p.Labels, k) {
			continue
		}
		was, had := "", false
		if c.OldWorkload != nil {
			was, had = c.OldWorkload.Labels[k]
		}
		switch {
		case had && was == v:
			continue
		case had:
			w.Labels[k] = was
		default:
			delete(w.Labels, k)
		}
		gained[k] = v
	}
	return w, gained
}
