package webhook

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// tierFeeds lists the kinds of cluster-wide policies. Source: sigs.k8s.io/network-policy-api.
func tierFeeds() []optionalFeed {
	return []optionalFeed{
		tierFeedOf("ClusterNetworkPolicy", "v1alpha2", "clusternetworkpolicies", netpol.CompileClusterNetworkPolicy),
		tierFeedOf("AdminNetworkPolicy", "v1alpha1", "adminnetworkpolicies", netpol.CompileAdminNetworkPolicy),
		tierFeedOf("BaselineAdminNetworkPolicy", "v1alpha1", "baselineadminnetworkpolicies", netpol.CompileBaselineAdminNetworkPolicy),
	}
}

func tierFeedOf[T any](kind, version, resource string, compile func(*T) (*netpol.TierPolicy, error)) optionalFeed {
	return optionalFeed{kind: kind, version: version, feed: feed{
		group: v1alpha2.GroupName, resource: resource, example: &unstructured.Unstructured{},
		keep:    func(obj any) any { return keepTier(kind, obj.(*unstructured.Unstructured), compile) },
		set:     func(s *Store, kept any) { s.setTier(kept.(storedTier)) },
		remove:  func(s *Store, _, name string) { s.removeTier(kind, name) },
		replace: func(s *Store, kept []any) { s.replaceTiers(kind, as[storedTier](kept)) },
	}}
}

func keepTier[T any](kind string, u *unstructured.Unstructured, compile func(*T) (*netpol.TierPolicy, error)) storedTier {
	out := storedTier{kind: kind, name: u.GetName()}
	var typed T
	if out.err = runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &typed); out.err == nil {
		out.compiled, out.err = compile(&typed)
	}
	return out
}
