// Package policy is Bulkhead's functional core: it turns a change into a decision. It is pure. It knows no clock, no
// network, no log and no global state, and the same input in any order gives the same output, byte for byte.
package policy

import (
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// Guardrail is one named check of a change. It is a value: what it means, what it is called and what it says are all
// here, and documentation is generated from it.
type Guardrail struct {
	// Slug is the stable name in messages, config, metrics and file names.
	Slug string
	// Summary says in one line what a violation is.
	Summary string
	// Documentation is the source of the guardrail's page.
	Documentation Documentation
	// On lists the changes that the guardrail judges.
	On []Trigger
	// Needs lists what the guardrail reads of the cluster beside what every snapshot is made of. Resources that no enabled
	// guardrail needs are not watched, and a cluster may lack any of them: then the snapshot holds none of their objects.
	Needs []cluster.Resource
	// DefaultAction applies unless the config says otherwise.
	DefaultAction config.Action
	// LiveOnly bounds the action to Warn for violations that hit no live pod.
	LiveOnly bool
	// Once says that a violation is about the cluster as it is and not about the change. Whoever judges many changes at once
	// reports it once.
	Once bool
	// Describes says that a violation tells what the change does and complains of nothing. An audit leaves the guardrail out:
	// nobody changes anything there.
	Describes bool
	// Seeks gives for the parameters what tells the pods apart that the guardrail looks for in all namespaces, whether or not a
	// selector names them: those of ingress controllers and of Prometheus. Whoever judges some namespaces again after a change
	// judges all where such pods change. nil, or a nil function, seeks none.
	Seeks func(parameters any) func(w *cluster.Workload) bool
	// NotYet says that a violation is that something is not there, such as the pods that a selector means, which an object
	// that comes later may put right. Where it stays so, it is a mistake.
	NotYet bool
	// ByRequester says that a violation lies in who makes the change and not in its effects, so that it counts in full where
	// the effects come only later.
	ByRequester bool
	// AtMost bounds the action whatever the config says, for what can never be sure enough to deny. Empty is no bound.
	AtMost config.Action
	// NewParameters gives the guardrail's parameters with their defaults, as a pointer to a struct. nil means that it
	// has none.
	NewParameters func() any
	// Check gives the violations of the change. It is pure; parameters are what NewParameters made, filled from the
	// config, or nil.
	Check func(c *Change, parameters any) []Violation
}

// Documentation explains a guardrail to the developer who meets it. Texts are Markdown.
type Documentation struct {
	// Why says what goes wrong without the guardrail.
	Why string
	// Judged says exactly what is compared and what is left alone.
	Judged string
	// Bad and Good are YAML examples: a change that violates the guardrail, and the change that does not.
	Bad, Good string
	// Fix tells what to do about a violation.
	Fix string
}

// Trigger names the changes on which a guardrail runs.
type Trigger string

// The triggers. Updates that change nothing a guardrail reads never reach one.
const (
	PolicyWrite    Trigger = "NetworkPolicy create, update"
	PolicyDelete   Trigger = "NetworkPolicy delete"
	PodWrite       Trigger = "Pod create, update"
	TemplateWrite  Trigger = "pod template create, update"
	NamespaceWrite Trigger = "Namespace label update"
)

// Runs reports whether the guardrail judges changes of this trigger.
func (g *Guardrail) Runs(t Trigger) bool {
	for _, on := range g.On {
		if on == t {
			return true
		}
	}
	return false
}

// Spec is what the config's parser has to know of the guardrail.
func (g *Guardrail) Spec() config.Spec {
	return config.Spec{Slug: g.Slug, DefaultAction: g.DefaultAction, NewParameters: g.NewParameters}
}

// Needs gives the resources that those of the guardrails need that the config does not switch off, sorted.
func Needs(guardrails []Guardrail, cfg *config.Config) []cluster.Resource {
	var out []cluster.Resource
	for i := range guardrails {
		if cfg.Settings(guardrails[i].Slug).Action != config.Off {
			out = append(out, guardrails[i].Needs...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Specs gives the Spec of each guardrail.
func Specs(guardrails []Guardrail) []config.Spec {
	out := make([]config.Spec, 0, len(guardrails))
	for i := range guardrails {
		out = append(out, guardrails[i].Spec())
	}
	return out
}
