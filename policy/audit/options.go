package audit

import (
	networkingv1 "k8s.io/api/networking/v1"

	"github.com/bulkhead-dev/bulkhead/policy"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// Options say what a cluster is judged by.
type Options struct {
	// Config gives actions, parameters and exempt namespaces.
	Config *config.Config
	// Guardrails are what judges. Those that are Off do not run, nor those that only describe changes.
	Guardrails []policy.Guardrail
	// Policies gives a stored NetworkPolicy as it was submitted, nil where it is not known. A snapshot keeps only what policies
	// mean, and guardrails read what their authors wrote. Without it no policy is judged.
	Policies func(namespace, name string) *networkingv1.NetworkPolicy
	// Groups are the API groups of the custom resources of the cluster, as far as they are known. Their controllers may make pods
	// that are seldom there.
	Groups []string
	// Discreet says that findings are to tell nothing about other namespaces than that of their object, as they may be read by who
	// may read that one alone.
	Discreet bool
	// Workers is how many goroutines judge; 0 for as many as there are processors.
	Workers int
	// Only says which namespaces Scan judges; nil is all.
	Only func(namespace string) bool
	// Progress is told how many of the objects have been judged, by one goroutine at a time; nil for nobody.
	Progress func(done, total int)
}

// split gives the guardrails that judge objects and those that speak of the cluster.
func (o *Options) split() (each, once []policy.Guardrail) {
	for i := range o.Guardrails {
		switch g := o.Guardrails[i]; {
		case g.Describes:
		case g.Once:
			once = append(once, g)
		default:
			each = append(each, g)
		}
	}
	return each, once
}

func (o *Options) object(namespace, name string) *networkingv1.NetworkPolicy {
	if o.Policies == nil {
		return nil
	}
	return o.Policies(namespace, name)
}
