package manifest

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// Build makes the snapshot of a cluster that holds the objects. A namespace that is only named exists, with the one label
// that the API server gives it. Pods count for the topmost of the objects that made them.
func Build(objects []Object, o cluster.Options) *cluster.Snapshot {
	b := cluster.NewBuilder(o)
	owners := ownersOf(objects)
	known := map[string]bool{}
	for i := range objects {
		if objects[i].Kind == "Namespace" {
			known[objects[i].Name] = true
		}
	}
	for i := range objects {
		obj := &objects[i]
		if obj.Namespace != "" && !known[obj.Namespace] {
			known[obj.Namespace] = true
			b.SetNamespace(newNamespace(obj.Namespace))
		}
		switch v := obj.value.(type) {
		case *corev1.Namespace:
			b.SetNamespace(v)
		case *netpol.Policy:
			b.SetPolicy(v)
		case *netpol.TierPolicy:
			b.SetTierPolicy(v)
		case *cluster.Service:
			b.SetService(v)
		case *cluster.Template:
			b.SetTemplate(v)
		case *cluster.Pod:
			b.SetPod(owners.pod(obj, v))
		case *cluster.Extra:
			b.SetExtra(v)
		}
	}
	return b.Snapshot()
}

// owners holds what made the objects with a pod template.
type owners map[key]reference

func ownersOf(objects []Object) owners {
	out := owners{}
	for i := range objects {
		if o := &objects[i]; o.controller.name != "" && o.Kind != "Pod" {
			out[o.key()] = o.controller
		}
	}
	return out
}

// pod gives the pod for the topmost of its owners.
func (o owners) pod(obj *Object, p *cluster.Pod) *cluster.Pod {
	if top := o.top(obj.Namespace, obj.controller); top != obj.controller {
		return p.OwnedBy(top.kind, top.name)
	}
	return p
}

// top climbs from an owner to the topmost one.
func (o owners) top(namespace string, owner reference) reference {
	for range len(o) { // a circle of owners is a mistake that must not hang
		next, ok := o[key{owner.kind, namespace, owner.name}]
		if !ok {
			break
		}
		owner = next
	}
	return owner
}
