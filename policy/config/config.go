// Package config is Bulkhead's configuration file: its types, strict parsing,
// defaults and validation. It is pure: it reads bytes, never files, so that
// the server, the command line and the schema generator share one judgement
// of what is valid. Loading and reloading belong to the caller.
package config

import (
	"net/netip"
	"slices"
)

const (
	// APIVersion is the only version that this package reads.
	APIVersion = "bulkhead.dev/v1alpha1"
	// Kind is the kind of the configuration file.
	Kind = "BulkheadConfig"
	// MaxBytes is the largest file that Parse reads, the size that etcd and
	// therefore a ConfigMap can hold.
	MaxBytes = 1 << 20
	// DefaultDocsURL is where the links in messages lead unless docsURL is set.
	DefaultDocsURL = "https://bulkhead.dev/guardrails"
)

// The comments on the fields below become the descriptions in the JSON Schema,
// which editors show.

// Config is the configuration of Bulkhead. Only Parse and Default make one that
// has settings and a hash; it is immutable from then on and safe to share.
type Config struct {
	// The version of this file's format: bulkhead.dev/v1alpha1.
	APIVersion string `json:"apiVersion" jsonschema:"required,enum=bulkhead.dev/v1alpha1"`

	// The kind of this file: BulkheadConfig.
	Kind string `json:"kind" jsonschema:"required,enum=BulkheadConfig"`

	// The strictest action that any guardrail may take. A fresh install warns;
	// set it to Deny to enforce. Off switches every guardrail off.
	MaximumAction Action `json:"maximumAction"`

	// What happens to a request on which a guardrail itself fails (it panics or
	// overruns its time): Audit allows and counts it, Warn allows it with a
	// warning, Deny denies it. Bounded by maximumAction.
	ErrorAction Action `json:"errorAction"`

	// The base of the link to a guardrail's documentation in every denial; the
	// guardrail's name is appended. An http or https URL.
	DocsURL string `json:"docsURL" jsonschema:"pattern=^https?://"`

	// Whether messages may name objects of namespaces other than the request's
	// own, such as near matches of a selector. Leave it false where tenants must
	// not learn of each other.
	DiscloseOtherNamespaces bool `json:"discloseOtherNamespaces"`

	// Requests that are never judged: they are allowed, counted and noted in the
	// audit log. Names are exact; there are no patterns. What would exempt
	// everyone is refused.
	Exempt Exempt `json:"exempt"`

	// Where pods send their DNS queries. Bulkhead finds the cluster's DNS Service
	// and NodeLocal DNS by itself; what is set here replaces what it finds.
	Resolver Resolver `json:"resolver"`

	// The network that policies govern. Bulkhead finds the network plugin, and
	// the ranges of nodes and ServiceCIDRs, by itself; what is set here replaces
	// what it finds.
	Network Network `json:"network"`

	// What the metrics tell.
	Metrics MetricsConfig `json:"metrics"`

	// The Events that Bulkhead makes of its decisions, in the namespace of the
	// change. The right to write them has to be granted.
	Events EventsConfig `json:"events"`

	// Action and parameters by guardrail. A guardrail that is not listed keeps
	// its own defaults.
	Guardrails map[string]GuardrailConfig `json:"guardrails"`

	settings map[string]Settings
	hash     string
}

// Exempt lists requests that are never judged.
type Exempt struct {
	// Namespaces whose objects are not judged.
	Namespaces []string `json:"namespaces,omitempty"`

	// Users that are not judged, by user name as the API server knows it, for
	// example system:serviceaccount:flux-system:kustomize-controller.
	Users []string `json:"users,omitempty"`

	// Groups whose members are not judged, for example
	// system:serviceaccounts:flux-system.
	Groups []string `json:"groups,omitempty"`
}

// Resolver says where pods send their DNS queries.
type Resolver struct {
	// The Service in front of the DNS pods.
	Service *ServiceReference `json:"service,omitempty"`

	// Further IP addresses that the pods' resolv.conf names, for example the
	// link-local address of a node cache.
	Addresses []netip.Addr `json:"addresses,omitempty"`
}

// Network says what enforces NetworkPolicy, and which addresses are in the
// cluster.
type Network struct {
	// The network plugin that enforces NetworkPolicy, for example cilium. Where
	// several run it is the one that enforces. Empty means the one that Bulkhead
	// finds.
	Plugin string `json:"plugin,omitempty" jsonschema:"enum=,enum=antrea,enum=aws-vpc-cni,enum=azure-npm,enum=calico,enum=canal,enum=cilium,enum=flannel,enum=gke-dataplane-v2,enum=k3s,enum=kindnet,enum=kube-network-policies,enum=kube-ovn,enum=kube-router,enum=openshift-sdn,enum=ovn-kubernetes,enum=weave"`

	// The ranges that pods get their addresses from, as CIDRs.
	PodRanges []netip.Prefix `json:"podRanges,omitempty"`

	// The ranges that Services get their cluster IPs from, as CIDRs.
	ServiceRanges []netip.Prefix `json:"serviceRanges,omitempty"`
}

// Plugins lists the names that Network.Plugin may have.
func Plugins() []string {
	return []string{
		"antrea", "aws-vpc-cni", "azure-npm", "calico", "canal", "cilium", "flannel", "gke-dataplane-v2", "k3s", "kindnet",
		"kube-network-policies", "kube-ovn", "kube-router", "openshift-sdn", "ovn-kubernetes", "weave",
	}
}

// ServiceReference names a Service.
type ServiceReference struct {
	// The namespace of the Service.
	Namespace string `json:"namespace" jsonschema:"required"`

	// The name of the Service.
	Name string `json:"name" jsonschema:"required"`
}

// MetricsConfig chooses what the metrics tell.
type MetricsConfig struct {
	// Whether metrics carry a namespace label. It costs a series for each
	// namespace; leave it false in clusters with many.
	NamespaceLabel bool `json:"namespaceLabel"`
}

// GuardrailConfig sets one guardrail.
type GuardrailConfig struct {
	// What the guardrail does with a violation, bounded by maximumAction.
	Action Action `json:"action"`

	// The guardrail's parameters: a pointer to its parameter struct, nil where
	// it takes none.
	Parameters any `json:"parameters,omitempty"`
}

// Settings is what one guardrail runs with.
type Settings struct {
	// Action is the guardrail's action, bounded by Config.MaximumAction.
	Action Action
	// Parameters is the pointer that Spec.NewParameters made, with the file's
	// values in it; nil where the guardrail takes none. It is shared by all
	// requests: read only.
	Parameters any
}

// Settings returns what the guardrail slug runs with. A guardrail that the
// configuration was not parsed for is Off.
func (c *Config) Settings(slug string) Settings {
	if s, ok := c.settings[slug]; ok {
		return s
	}
	return Settings{Action: Off}
}

// ActionOnError is ErrorAction bounded by MaximumAction, so that an install
// that only warns never denies because of a guardrail's own fault.
func (c *Config) ActionOnError() Action { return AtMost(c.ErrorAction, c.MaximumAction) }

// Hash identifies what the configuration means: twelve hexadecimal digits of
// the SHA-256 of its canonical form, in which every default is written out.
// Comments, order of keys and defaults that are spelled out do not change it.
func (c *Config) Hash() string { return c.hash }

// ExemptedBy returns the entry of Exempt that covers a request, as
// "namespace X", "user X" or "group X", or "" where none does. namespace is
// empty for cluster-scoped objects.
func (c *Config) ExemptedBy(namespace, user string, groups []string) string {
	if namespace != "" && slices.Contains(c.Exempt.Namespaces, namespace) {
		return "namespace " + namespace
	}
	if user != "" && slices.Contains(c.Exempt.Users, user) {
		return "user " + user
	}
	for _, group := range c.Exempt.Groups {
		if slices.Contains(groups, group) {
			return "group " + group
		}
	}
	return ""
}
