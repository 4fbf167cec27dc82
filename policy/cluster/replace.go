package cluster

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// The Replace functions make a complete list the truth: what the list holds is set, what it lacks is removed. They
// serve a watch that had to start over.

// ReplacePods makes pods all pods of the cluster.
func (b *Builder) ReplacePods(pods []*Pod) {
	have := map[string]map[string]bool{}
	for _, p := range pods {
		names := have[p.Namespace]
		if names == nil {
			names = map[string]bool{}
			have[p.Namespace] = names
		}
		names[p.Name] = true
		b.SetPod(p)
	}
	for namespace, n := range b.namespaces {
		for name := range n.pods {
			if !have[namespace][name] {
				b.DeletePod(namespace, name)
			}
		}
	}
}

// ReplaceNamespaces makes namespaces all Namespace objects of the cluster.
func (b *Builder) ReplaceNamespaces(namespaces []*corev1.Namespace) {
	have := map[string]bool{}
	for _, ns := range namespaces {
		have[ns.Name] = true
		b.SetNamespace(ns)
	}
	for name, n := range b.namespaces {
		if n.known && !have[name] {
			b.DeleteNamespace(name)
		}
	}
}

// ReplaceTemplates makes templates all objects of one of the TemplateKinds.
func (b *Builder) ReplaceTemplates(kind string, templates []*Template) {
	have := map[string]bool{}
	for _, t := range templates {
		have[t.Workload.Namespace+"/"+t.Workload.Name] = true
		b.SetTemplate(t)
	}
	for namespace, n := range b.namespaces {
		for _, t := range n.templates {
			if t.Workload.Kind == kind && !have[namespace+"/"+t.Workload.Name] {
				b.DeleteTemplate(namespace, kind, t.Workload.Name)
			}
		}
	}
}

// ReplaceServices makes services all Services of the cluster.
func (b *Builder) ReplaceServices(services []*Service) {
	have := map[string]bool{}
	for _, s := range services {
		have[s.Namespace+"/"+s.Name] = true
		b.SetService(s)
	}
	for namespace, n := range b.namespaces {
		for name := range n.services {
			if !have[namespace+"/"+name] {
				b.DeleteService(namespace, name)
			}
		}
	}
}

// ReplacePolicies makes policies all NetworkPolicies of the cluster.
func (b *Builder) ReplacePolicies(policies []*netpol.Policy) {
	have := map[string]bool{}
	for _, p := range policies {
		have[p.Namespace+"/"+p.Name] = true
		b.SetPolicy(p)
	}
	for namespace, n := range b.namespaces {
		for name := range n.policies {
			if !have[namespace+"/"+name] {
				b.DeletePolicy(namespace, name)
			}
		}
	}
}
