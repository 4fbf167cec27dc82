package main

import (
	"cmp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/policy/resources"
	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/audit"
	"github.com/bulkhead-dev/bulkhead/webhook/console"
)

// What the chart's templates replace in generated files by the names of the release.
const (
	namePlace      = "$(NAME)"
	namespacePlace = "$(NAMESPACE)"
	secretPlace    = "$(SECRET)"
	issuerPlace    = "$(ISSUER)"
	auditPlace     = namePlace + "-audit"
)

// grant is one rule of RBAC and where it holds.
type grant struct {
	// Guardrails that need it; empty means that everyone does.
	Guardrails []string `json:"guardrails,omitempty"`
	// Namespace that the rule is for; empty is the whole cluster.
	Namespace string            `json:"namespace"`
	Rule      rbacv1.PolicyRule `json:"rule"`
}

// rightsFile is files/rights.yaml: what the templates choose the rules of RBAC from.
type rightsFile struct {
	// Always is needed whatever the config says, SelfSigned where Bulkhead signs its own certificate.
	Always     []grant `json:"always"`
	SelfSigned []grant `json:"selfSigned"`
	// CertManager is needed where cert-manager signs, and Issuer or ClusterIssuer besides.
	CertManager   []grant `json:"certManager"`
	Issuer        []grant `json:"issuer"`
	ClusterIssuer []grant `json:"clusterIssuer"`
	// Audit is needed by the audit beside Needs, and AuditReports where it writes reports.
	Audit        []grant `json:"audit"`
	AuditReports []grant `json:"auditReports"`
	// Console is needed by the audit's console, and ConsoleAuth where people sign in there.
	Console     []grant `json:"console"`
	ConsoleAuth []grant `json:"consoleAuth"`
	// Denials is needed where others may ask for denials, and Events where the config asks for these.
	Denials []grant `json:"denials"`
	Events  []grant `json:"events"`
	// Needs are what only some guardrails read.
	Needs []grant `json:"needs"`
	// DefaultActions are those of the guardrails in Needs.
	DefaultActions map[string]config.Action `json:"defaultActions"`
}

func rights() rightsFile {
	always := slices.Concat(webhook.SnapshotRights(), webhook.TierRights(), webhook.RegistrationRights(namePlace))
	selfSigned := slices.DeleteFunc(webhook.SelfSignedRights(namespacePlace, secretPlace, namePlace),
		func(r webhook.Right) bool { return slices.Contains(always, r) })
	out := rightsFile{
		Always:         grants(always),
		SelfSigned:     grants(selfSigned),
		CertManager:    grants(webhook.CertManagerRights(namespacePlace, namePlace, namePlace)),
		Issuer:         grants([]webhook.Right{webhook.IssuerRight(namespacePlace, issuerPlace)}),
		ClusterIssuer:  grants([]webhook.Right{webhook.IssuerRight("", issuerPlace)}),
		Audit:          grants(slices.Concat(webhook.WatchRights(), webhook.TierRights(), audit.LeaseRights(namespacePlace, auditPlace))),
		AuditReports:   grants(audit.ReportRights()),
		Console:        grants(console.Rights(namespacePlace, namePlace)),
		ConsoleAuth:    grants(console.AuthRights()),
		Denials:        grants(webhook.DenialsRights()),
		Events:         grants(webhook.EventRights()),
		DefaultActions: map[string]config.Action{},
	}
	all := guardrails.All()
	for _, kind := range resources.Kinds() {
		var readers []string
		for i := range all {
			if slices.Contains(all[i].Needs, kind.Resource) {
				readers = append(readers, all[i].Slug)
				out.DefaultActions[all[i].Slug] = all[i].DefaultAction
			}
		}
		if len(readers) == 0 {
			continue
		}
		slices.Sort(readers)
		for _, g := range grants(webhook.NeedRights([]cluster.Resource{kind.Resource})) {
			g.Guardrails = readers
			out.Needs = append(out.Needs, g)
		}
	}
	return out
}

// grants puts rights into as few rules as say the same, sorted by namespace, group and resource.
func grants(rights []webhook.Right) []grant {
	type object struct{ namespace, group, resource, name string }
	verbs := map[object][]string{}
	for _, r := range rights {
		o := object{r.Namespace, r.Group, r.Resource, r.Name}
		verbs[o] = append(verbs[o], r.Verb)
	}
	objects := make([]object, 0, len(verbs))
	for o := range verbs {
		slices.Sort(verbs[o])
		verbs[o] = slices.Compact(verbs[o])
		objects = append(objects, o)
	}
	slices.SortFunc(objects, func(a, b object) int {
		return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.group, b.group), cmp.Compare(a.name, b.name),
			cmp.Compare(strings.Join(verbs[a], " "), strings.Join(verbs[b], " ")), cmp.Compare(a.resource, b.resource))
	})
	var out []grant
	for i, o := range objects {
		if i > 0 {
			before := objects[i-1]
			if before.namespace == o.namespace && before.group == o.group && before.name == o.name && slices.Equal(verbs[before], verbs[o]) {
				last := &out[len(out)-1].Rule
				last.Resources = append(last.Resources, o.resource)
				continue
			}
		}
		rule := rbacv1.PolicyRule{APIGroups: []string{o.group}, Resources: []string{o.resource}, Verbs: verbs[o]}
		if o.name != "" {
			rule.ResourceNames = []string{o.name}
		}
		out = append(out, grant{Namespace: o.namespace, Rule: rule})
	}
	return out
}
