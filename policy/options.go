package policy

import (
	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/config"
)

// SnapshotOptions gives what the config says about the cluster that the cluster does not show by itself.
func SnapshotOptions(cfg *config.Config) cluster.Options {
	o := cluster.Options{
		Resolver: cluster.ResolverOverride{Addresses: cfg.Resolver.Addresses},
		Network: cluster.NetworkOverride{
			Plugin: cluster.Plugin(cfg.Network.Plugin), PodRanges: cfg.Network.PodRanges, ServiceRanges: cfg.Network.ServiceRanges,
		},
	}
	if s := cfg.Resolver.Service; s != nil {
		o.Resolver.Namespace, o.Resolver.Service = s.Namespace, s.Name
	}
	return o
}
