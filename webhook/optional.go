package webhook

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/resources"
)

// optionalFeed describes how a kind gets into the store that a cluster may have or not, or that only some guardrails need. It
// is no part of what every snapshot is made of.
type optionalFeed struct {
	feed
	kind, version string
	// namespace and labels narrow what is listed and watched; empty means all.
	namespace, labels string
}

// groupVersionResource names what is listed.
func (f *optionalFeed) groupVersionResource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: f.group, Version: f.version, Resource: f.resource}
}

// client narrows c to what is listed.
func (f *optionalFeed) client(c dynamic.Interface) dynamic.ResourceInterface {
	if f.namespace != "" {
		return c.Resource(f.groupVersionResource()).Namespace(f.namespace)
	}
	return c.Resource(f.groupVersionResource())
}

// rights are what watching the kind needs.
func (f *optionalFeed) rights() []Right {
	return []Right{
		{Verb: "list", Group: f.group, Resource: f.resource, Namespace: f.namespace},
		{Verb: "watch", Group: f.group, Resource: f.resource, Namespace: f.namespace},
	}
}

// optionalFeeds lists the kinds that are watched now, where the cluster has them: those of cluster-wide policies, which every
// decision depends on, and those that guardrails need.
func (s *Store) optionalFeeds() []optionalFeed {
	s.mu.Lock()
	needs := s.needs
	s.mu.Unlock()
	return append(tierFeeds(), extraFeeds(needs)...)
}

// SetNeeds tells which resources the enabled guardrails need. They are watched from now on where the cluster has them, and no
// others.
func (s *Store) SetNeeds(needs []cluster.Resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(s.needs, needs) {
		return
	}
	s.needs = slices.Clone(needs)
	select {
	case s.rewanted <- struct{}{}:
	default:
	}
}

// extraFeeds gives the feeds of the resources.
func extraFeeds(needs []cluster.Resource) []optionalFeed {
	var out []optionalFeed
	for _, k := range resources.Kinds() {
		if slices.Contains(needs, k.Resource) {
			out = append(out, extraFeed(k))
		}
	}
	return out
}

func extraFeed(k resources.Kind) optionalFeed {
	r := k.GroupVersionResource
	return optionalFeed{kind: k.Kind, version: r.Version, namespace: k.Namespace, labels: k.Labels, feed: feed{
		group: r.Group, resource: r.Resource, example: &unstructured.Unstructured{},
		keep: func(obj any) any {
			if x := keepExtra(k.New(), obj.(*unstructured.Unstructured)); x != nil {
				return x
			}
			return nil
		},
		set:     func(s *Store, kept any) { s.builder.SetExtra(kept.(*cluster.Extra)) },
		remove:  func(s *Store, namespace, name string) { s.builder.DeleteExtra(k.Resource, namespace, name) },
		replace: func(s *Store, kept []any) { s.builder.ReplaceExtras(k.Resource, as[*cluster.Extra](kept)) },
	}}
}

// keepExtra reduces u by way of typed; nil where it tells nothing. An object of another project's kind that its own Go type
// does not fit tells nothing either: what cannot be known denies nothing.
func keepExtra(typed metav1.Object, u *unstructured.Unstructured) *cluster.Extra {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, typed); err != nil {
		return nil
	}
	return resources.Reduce(typed)
}

// NeedRights are what watching the resources takes.
func NeedRights(needs []cluster.Resource) []Right {
	var out []Right
	for _, f := range extraFeeds(needs) {
		out = append(out, f.rights()...)
	}
	return out
}
