package guardrails

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/policy/config"
)

func TestParametersValidate(t *testing.T) {
	red := map[string]baselineOwners{"red": {Groups: []string{"red"}}}
	for _, test := range []struct {
		name       string
		parameters config.ParameterValidator
		want       []string
	}{
		{"agents", &hostNetworkParameters{Enrolled: defaultEnrollment(), Agents: []string{"csi-*"}}, nil},
		{"agents that are none", &hostNetworkParameters{Enrolled: defaultEnrollment(), Agents: []string{"", "csi-["}}, []string{"p.agents[0]", "p.agents[1]"}},
		{"agents of no enrollment", &hostNetworkParameters{}, []string{"p.enrolled.label"}},
		{"uncovered without enrollment", &podUncoveredParameters{}, []string{"p.enrolled.label"}},
		{"access", &accessParameters{Labels: []string{"access.example.com/*"}, Namespaces: []string{"bootstrap-*"}}, nil},
		{"access that is none", &accessParameters{
			Labels: []string{"["}, Namespaces: []string{""}, Owners: baselineOwners{Users: []string{""}},
		}, []string{"p.labels[0]", "p.namespaces[0]", "p.owners.users[0]"}},
		{"temporary labels", &temporaryParameters{Temporary: []string{"debug", "example.com/*"}}, nil},
		{"temporary labels that are none", &temporaryParameters{Temporary: []string{"debug", ""}}, []string{"p.temporary[1]"}},
		{"protected", &protectedParameters{Policies: map[string]string{"default-*": "red"}, Owners: red}, nil},
		{"protected for nobody", &protectedParameters{Policies: map[string]string{"a": "blue", "[": "red"}, Owners: red}, []string{"p.policies[[]", "p.policies[a]"}},
		{"managers without anybody", &protectedParameters{Owners: map[string]baselineOwners{"": {Users: []string{"a"}}, "blue": {}}}, []string{"p.owners[]", "p.owners[blue]"}},
		{"managers of empty groups", &protectedParameters{Owners: map[string]baselineOwners{"blue": {Groups: []string{""}}}}, []string{"p.owners[blue].groups[0]"}},
		{"annotations", &metadataRequired{Required: []string{"owner", "example.com/Reviewed"}, NamespaceLabels: map[string]string{"env": "production"}}, nil},
		{"annotations that are none", &metadataRequired{Required: []string{"owner", "a b", "owner"}, NamespaceLabels: map[string]string{"env": "a b"}}, []string{
			"p.required[1]", "p.required[2]", "p.namespaceLabels[env]",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, err := range test.parameters.Validate(field.NewPath("p")) {
				got = append(got, err.Field)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("complains about %q, want %q", got, test.want)
			}
		})
	}
}

func TestUnattended(t *testing.T) {
	for user, want := range map[string]bool{
		"": false, "ann": false, "system:admin": false, "system:serviceaccount:shop:operator": true, "system:node:a": true,
		"system:kube-scheduler": true, "kubernetes-admin": false,
	} {
		if got := unattended(user); got != want {
			t.Errorf("%q: %v, want %v", user, got, want)
		}
	}
}
