package reference

import (
	"fmt"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/config"
	"github.com/bulkhead-dev/bulkhead/policy/guardrails"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// Label says what a label holds.
type Label struct {
	// Name of the label; Of is the metric that it is about, empty for all that have a label of that name.
	Name, Of string
	// Values is the closed set, in order; nil where Meaning says what bounds it.
	Values []string
	// Meaning is a phrase.
	Meaning string
}

// Labels gives what the labels of Bulkhead's own metrics hold.
func Labels() []Label {
	var slugs, actions, webhooks []string
	for _, g := range guardrails.All() {
		slugs = append(slugs, g.Slug)
	}
	for _, a := range config.Actions() {
		actions = append(actions, string(a))
	}
	for _, w := range webhook.Registration(webhook.RegistrationOptions{}).Webhooks {
		webhooks = append(webhooks, w.Name)
	}
	slices.Sort(slugs)
	return []Label{
		{"action", "", actions, "what is done about a violation; what is Off is not looked for"},
		{"code", "", nil, "an HTTP status, 0 where none was sent"},
		{"decision", "", []string{"allowed", "denied", "exempt", "failed", "skipped", "warned"}, "what was decided"},
		{"default_deny", "", []string{"both", "egress", "ingress", "none"}, "the directions that a namespace denies by default"},
		{"direction", "", []string{"egress", "ingress"}, "of connections, seen from the pod"},
		{"dry_run", "", []string{"false", "true"}, "whether nothing was to be stored"},
		{"guardrail", "", slugs, fmt.Sprintf("one of the %d [guardrails](guardrails/README.md)", len(slugs))},
		{"hash", "", nil, "the hash of the config in force: one series a replica"},
		{"isolated", "", []string{"false", "true"}, "whether a NetworkPolicy isolates the pod in that direction"},
		{"kind", "", []string{
			"adminnetworkpolicy", "baselineadminnetworkpolicy", "clusternetworkpolicy", "namespace", "networkpolicy", "other", "pod",
			"service", "template", "workload",
		}, "the kind of object; other is all that only some guardrails read"},
		{"maximum_action", "", actions, "`maximumAction` of the config"},
		{"namespace", "", nil, "a namespace that is there; only with `metrics.namespaceLabel` in the config"},
		{"operation", "", []string{"CREATE", "DELETE", "UPDATE", "other"}, "of the request"},
		{"policy", "", []string{"Fail", "Ignore"}, "a `failurePolicy`"},
		{"reason", "bulkhead_exemptions_total", []string{
			"config-group", "config-namespace", "config-user", "garbage-collection", "namespace-terminating", "node-agent",
		}, "why it was not judged"},
		{"reason", "bulkhead_http_refusals_total", []string{
			"body", "body-size", "client-name", "connections", "content-encoding", "crowded-out", "json-depth", "json-parts",
			"media-type", "memory", "method", "not-a-json-object", "not-ready", "overload", "panic", "review-request",
			"review-version", "slow-body", "undecodable", "unjudgeable",
		}, "why it was refused"},
		{"resource", "bulkhead_decisions_total", []string{"namespaces", "networkpolicies", "other", "pods", "templates"},
			"what the request was about; a pod's bindings are pods, kinds with a pod template templates"},
		{"resource", "bulkhead_snapshot_age_seconds", nil, "what is watched; other is the oldest of all that only some guardrails read"},
		{"result", "bulkhead_audit_reports_total", []string{"deleted", "failed", "unchanged", "written"}, "what became of the report"},
		{"result", "bulkhead_config_reloads_total", []string{"failure", "success"}, "whether the file was taken"},
		{"result", "bulkhead_confirmations_total", []string{"confirmed", "failed", "overturned"},
			"what live reads said; failed is that they could not be made"},
		{"result", "bulkhead_events_total", []string{"aggregated", "dropped", "failed", "sent"}, "what became of the Event"},
		{"step", "", []string{
			"authority-added", "authority-retired", "failed", "leaf-issued", "repaired-ca-bundle", "repaired-secret",
		}, "what was done"},
		{"version", "", nil, "the version of the binary"},
		{"webhook", "", webhooks, "an entry of the registration"},
	}
}

// LabelOf gives what a label of a metric holds; found is false where nothing says so.
func LabelOf(metric, name string) (label Label, found bool) {
	all := Labels()
	at := slices.IndexFunc(all, func(l Label) bool { return l.Name == name && (l.Of == metric || l.Of == "") })
	if at < 0 {
		return Label{}, false
	}
	return all[at], true
}
