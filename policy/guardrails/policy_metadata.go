package guardrails

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/pasteable"
)

// policyMetadata: a policy lacks annotations that the organisation requires, such as who owns it. How old a date in one of
// them is cannot be judged here: a decision knows no clock.
var policyMetadata = policy.Guardrail{
	Slug:          "policy-metadata",
	Summary:       "a policy lacks a required annotation",
	On:            []policy.Trigger{policy.PolicyWrite},
	DefaultAction: config.Audit,
	NewParameters: func() any { return &metadataRequired{} },
	Check:         checkPolicyMetadata,
	Documentation: policy.Documentation{
		Why: `Years later nobody knows why a policy lets somebody in, and nobody dares to delete it. A sentence and an owner written
down when it was made answer that.`,
		Judged: `The annotations of the policies that are created or updated: those listed in ` + "`required`" + ` have to be there and
not empty, in the namespaces that have all of ` + "`namespaceLabels`" + `, or in all where that is empty. An update is only judged
for the annotations that it takes away. Policies that Helm made are left alone, since a chart's user cannot annotate what is in
it: those with the label ` + "`app.kubernetes.io/managed-by: Helm`" + ` and the annotation ` + "`meta.helm.sh/release-name`" + `;
` + "`includeHelm`" + ` judges them too. Until ` + "`required`" + ` is set nothing is judged. Whether a date such as last-reviewed is
too old is not judged when a policy is written: the same change has to get the same answer on any day.`,
		Bad: `# with required: [owner]
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: production, name: allow-partner}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{ipBlock: {cidr: 203.0.113.0/24}}]
`,
		Good: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  namespace: production
  name: allow-partner
  annotations: {owner: team-orders}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{ipBlock: {cidr: 203.0.113.0/24}}]
`,
		Fix: "Add the annotations under `metadata.annotations`.",
	},
}

// metadataRequired are what the config may set for policy-metadata.
type metadataRequired struct {
	// Required lists the keys of the annotations, such as owner, description and last-reviewed. Empty judges nothing.
	Required []string `json:"required"`
	// NamespaceLabels are the labels of the namespaces whose policies need them, such as env: production. Empty means all
	// namespaces.
	NamespaceLabels map[string]string `json:"namespaceLabels"`
	// IncludeHelm judges the policies that Helm made as well.
	IncludeHelm bool `json:"includeHelm"`
}

// Validate reports keys and labels that cannot be, and keys that are named twice.
func (m *metadataRequired) Validate(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, key := range m.Required {
		here := at.Child("required").Index(i)
		for _, problem := range validation.IsQualifiedName(strings.ToLower(key)) {
			errs = append(errs, field.Invalid(here, key, "an annotation key: "+problem))
		}
		if slices.Contains(m.Required[:i], key) {
			errs = append(errs, field.Duplicate(here, key))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(m.NamespaceLabels)) {
		here := at.Child("namespaceLabels").Key(key)
		for _, problem := range append(validation.IsQualifiedName(key), validation.IsValidLabelValue(m.NamespaceLabels[key])...) {
			errs = append(errs, field.Invalid(here, m.NamespaceLabels[key], "a label: "+problem))
		}
	}
	return errs
}

func checkPolicyMetadata(c *policy.Change, parameters any) []policy.Violation {
	m := parameters.(*metadataRequired)
	if len(m.Required) == 0 || !m.IncludeHelm && madeByHelm(c.Object) ||
		!labels.SelectorFromSet(m.NamespaceLabels).Matches(c.After.NamespaceLabels(c.Namespace)) {
		return nil
	}
	var missing []string
	for _, key := range m.Required {
		if c.Object.Annotations[key] == "" && (c.OldObject == nil || c.OldObject.Annotations[key] != "") {
			missing = append(missing, key)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	what := "annotation "
	if len(missing) > 1 {
		what = "annotations "
	}
	return []policy.Violation{{
		Field:  "metadata.annotations",
		Detail: fmt.Sprintf("missing %s%s (required in %s)", what, strings.Join(missing, ", "), c.Namespace), Fix: annotate(c, missing),
	}}
}

// madeByHelm reports whether Helm made the policy. Source: helm.sh/docs/chart_best_practices/labels, and Helm's check of who
// owns what it is about to change.
func madeByHelm(np *networkingv1.NetworkPolicy) bool {
	return np.Labels["app.kubernetes.io/managed-by"] == "Helm" && np.Annotations["meta.helm.sh/release-name"] != ""
}

// annotate gives the policy the annotations as they were, or with a text that stands for what only its author knows.
func annotate(c *policy.Change, missing []string) *policy.Fix {
	fixed := c.Object.DeepCopy()
	if fixed.Annotations == nil {
		fixed.Annotations = map[string]string{}
	}
	added := map[string]string{}
	for _, key := range missing {
		added[key] = "..."
		if c.OldObject != nil {
			added[key] = c.OldObject.Annotations[key]
		}
	}
	maps.Copy(fixed.Annotations, added)
	say := "write under metadata, with values of your own:"
	if c.OldObject != nil {
		say = "keep under metadata:"
	}
	return &policy.Fix{Say: say, YAML: pasteable.YAML(map[string]any{"annotations": added}), Instead: fixed}
}
