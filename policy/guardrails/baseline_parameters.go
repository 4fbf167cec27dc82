package guardrails

import (
	"path"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy"
)

// baselineParameters are what the config may set for baseline-nullified.
type baselineParameters struct {
	// Protected lists default-denies by the name of the policy. A name may hold * and ?, as in default-deny-*.
	Protected []string `json:"protected"`
	// Owners may make them ineffective.
	Owners baselineOwners `json:"owners"`
}

// baselineOwners says who owns policies or labels.
type baselineOwners struct {
	// Users by name, such as system:serviceaccount:flux-system:kustomize-controller.
	Users []string `json:"users"`
	// Groups by name, such as platform-team.
	Groups []string `json:"groups"`
}

// Validate reports names that are empty or no pattern.
func (p *baselineParameters) Validate(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, name := range p.Protected {
		if _, err := path.Match(name, ""); err != nil || name == "" {
			errs = append(errs, field.Invalid(at.Child("protected").Index(i), name, "write the name of a policy, with * for any characters"))
		}
	}
	return append(errs, p.Owners.validate(at.Child("owners"))...)
}

func (o *baselineOwners) validate(at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, user := range o.Users {
		if user == "" {
			errs = append(errs, field.Required(at.Child("users").Index(i), "write a user's name"))
		}
	}
	for i, group := range o.Groups {
		if group == "" {
			errs = append(errs, field.Required(at.Child("groups").Index(i), "write a group's name"))
		}
	}
	return errs
}

// own reports whether the requester is an owner.
func (o *baselineOwners) own(r policy.Requester) bool {
	return slices.Contains(o.Users, r.Name) || slices.ContainsFunc(r.Groups, func(g string) bool { return slices.Contains(o.Groups, g) })
}

func (p *baselineParameters) protects(name string) bool {
	return slices.ContainsFunc(p.Protected, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}
