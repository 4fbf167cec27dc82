package guardrails

import (
	"fmt"
	"maps"
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// protectedPolicy: a policy that says, or of which the config says, who manages it is changed or deleted by somebody else.
// What the change does to connections does not matter: the next sync takes it back anyway.
var protectedPolicy = policy.Guardrail{
	Slug:          "protected-policy",
	Summary:       "a managed policy is changed or deleted by somebody else",
	On:            []policy.Trigger{policy.PolicyWrite, policy.PolicyDelete},
	DefaultAction: config.Deny,
	ByRequester:   true,
	NewParameters: func() any { return &protectedParameters{} },
	Check:         checkProtectedPolicy,
	Documentation: policy.Documentation{
		Why: `RBAC allows somebody to change all NetworkPolicies of a namespace or none. The default-deny that the platform puts
there is one of them: its next edit by hand opens the namespace until the pipeline puts it back, or fights with the pipeline.`,
		Judged: `The updates and deletions of stored policies that are managed: ` + "`policies`" + ` says so by name, or else the
annotation or label ` + "`bulkhead.dev/managed-by`" + ` of the stored policy. Only users and groups of that manager in
` + "`owners`" + ` may change its spec, take away its mark, or delete it; the pipeline's account is one of them. A manager that is not
in ` + "`owners`" + ` protects nothing, because nobody could change such a policy. Garbage collection and the deletion of a whole
namespace are never refused; instead, an update that adds an owner with which the policy may be collected counts as its deletion. Updates of other labels and annotations, and creations, are left alone. Until ` + "`owners`" + ` is
set nothing is judged.`,
		Bad: `# kubectl edit networkpolicy default-deny, by somebody who is not in owners of platform-team
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  namespace: shop
  name: default-deny
  annotations: {bulkhead.dev/managed-by: platform-team}
spec:
  podSelector: {}
  policyTypes: [Ingress]
`,
		Good: `# allow what the pods need in a policy of their own
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {namespace: shop, name: api-from-web}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
`,
		Fix: "Change the policy where it comes from: in its manager's repository. Connections are allowed by another policy beside it.",
	},
}

// protectedParameters are what the config may set for protected-policy.
type protectedParameters struct {
	// Policies gives by the name of a policy who manages it, whatever the policy itself says. A name may hold * and ?, as in
	// default-deny-*; the first one that matches counts, in the order of the alphabet.
	Policies map[string]string `json:"policies"`
	// Owners gives by manager who may change and delete its policies: users and groups by name, such as
	// users: ["system:serviceaccount:flux-system:flux"].
	Owners map[string]baselineOwners `json:"owners"`
}

// Validate reports names that are empty or no pattern, managers without owners, and owners without anybody.
func (p *protectedParameters) Validate(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(p.Policies)) {
		here := at.Child("policies").Key(name)
		if _, err := path.Match(name, ""); err != nil || name == "" {
			errs = append(errs, field.Invalid(here, name, "write the name of a policy, with * for any characters"))
		}
		if _, known := p.Owners[p.Policies[name]]; !known {
			errs = append(errs, field.Invalid(here, p.Policies[name], "name a manager that owners has"))
		}
	}
	for _, manager := range slices.Sorted(maps.Keys(p.Owners)) {
		here := at.Child("owners").Key(manager)
		owners := p.Owners[manager]
		if manager == "" || len(owners.Users)+len(owners.Groups) == 0 {
			errs = append(errs, field.Required(here, "name the manager, and users or groups of it"))
		}
		errs = append(errs, owners.validate(here)...)
	}
	return errs
}

// manager gives who manages the stored policy of the change; empty where nobody does.
func (p *protectedParameters) manager(c *policy.Change) string {
	for _, pattern := range slices.Sorted(maps.Keys(p.Policies)) {
		if ok, err := path.Match(pattern, c.Name); ok && err == nil {
			return p.Policies[pattern]
		}
	}
	return policy.ManagedBy(c.OldObject)
}

func checkProtectedPolicy(c *policy.Change, parameters any) []policy.Violation {
	if c.OldObject == nil {
		return nil
	}
	p := parameters.(*protectedParameters)
	manager := p.manager(c)
	owners, managed := p.Owners[manager]
	if !managed || owners.own(c.Requester) {
		return nil
	}
	v := policy.Violation{
		Headline: c.Name + " is managed by " + manager,
		Detail:   fmt.Sprintf("%s is managed by %s; change it through its pipeline", c.Name, manager),
		Fix:      &policy.Fix{Say: "leave it as it is", Instead: c.OldObject},
	}
	switch {
	case c.Object == nil:
		v.Detail = fmt.Sprintf("%s is managed by %s; delete it through its pipeline", c.Name, manager)
	case !equality.Semantic.DeepEqual(c.OldObject.Spec, c.Object.Spec):
		v.Field = "spec"
	case policy.ManagedBy(c.OldObject) != policy.ManagedBy(c.Object):
		v.Field = "metadata"
	default:
		return nil
	}
	return []policy.Violation{v}
}
