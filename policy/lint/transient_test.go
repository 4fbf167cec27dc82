package lint_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/lint"
)

// TestWhatPassesIsNotSaid: of two policies for the same pods each cuts what the other one allows where it comes first. Once both
// are applied nothing is cut; where the second one does not allow it, it is.
func TestWhatPassesIsNotSaid(t *testing.T) {
	const client = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: api}\nspec: {replicas: 2, template: {metadata: {labels: {app: api}}, " +
		"spec: {containers: [{name: main, env: [{name: DB, value: \"db:5432\"}]}]}}}\n"
	const service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {selector: {app: db}, ports: [{port: 5432}]}\n"
	workloads := client + database + service
	wrongPort := strings.Replace(toDatabase, "5432", "5433", 1)
	for _, tt := range []struct {
		name, manifests, against string
		want                     []string
	}{
		{"either first, alone", workloads + toDatabase + allowDNS, "", nil},
		{"in files the other way round", workloads + allowDNS + toDatabase, "", nil},
		{"onto what runs, warnings go too", toDatabase + allowDNS, workloads, nil},
		{"another port in the end", workloads + wrongPort + allowDNS, "", []string{"new.yaml:33 Warn dependency-cut CREATE NetworkPolicy shop/z-dns"}},
		{"no other policy", workloads + allowDNS, "", []string{"new.yaml:23 Warn dependency-cut CREATE NetworkPolicy shop/z-dns"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := input(t, tt.manifests, tt.against)
			in.Guardrails = slices.DeleteFunc(guardrails.All(), func(g policy.Guardrail) bool { return g.Slug != "dns-cut" && g.Slug != "dependency-cut" })
			var got []string
			for _, line := range said(lint.Run(t.Context(), in)) {
				got = append(got, strings.TrimSuffix(line, " +fix"))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
