package manifest

import (
	"reflect"
	"slices"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
)

// Apply lays change over base: an object replaces the one of its kind, namespace and name. Where a workload's pod template
// changes in what NetworkPolicy reads, the pods that the old one made go with it, because a rollout replaces them. Neither
// slice is changed.
func Apply(base, change []Object) []Object {
	replaced := make(map[key]*Object, len(change))
	for i := range change {
		replaced[change[i].key()] = &change[i]
	}
	var gone []key
	for i := range base {
		if by := replaced[base[i].key()]; by != nil && !sameTemplate(&base[i], by) {
			gone = append(gone, base[i].key())
		}
	}
	dropped := madeBy(base, gone)
	out := make([]Object, 0, len(base)+len(change))
	for i := range base {
		if k := base[i].key(); replaced[k] == nil && !dropped[k] {
			out = append(out, base[i])
		}
	}
	return append(out, change...)
}

// Delete takes the objects in change away from base, and with them what they made and, for a Namespace, all that it
// holds. missing are those that base does not have.
func Delete(base, change []Object) (left, missing []Object) {
	have := make(map[key]bool, len(base))
	for i := range base {
		have[base[i].key()] = true
	}
	var gone []key
	namespaces := map[string]bool{}
	for i := range change {
		k := change[i].key()
		if !have[k] && (k.kind != "Namespace" || !holds(base, k.name)) {
			missing = append(missing, change[i])
			continue
		}
		gone = append(gone, k)
		namespaces[k.name] = namespaces[k.name] || k.kind == "Namespace"
	}
	dropped := madeBy(base, gone)
	for _, k := range gone {
		dropped[k] = true
	}
	for i := range base {
		if o := &base[i]; !dropped[o.key()] && (o.Namespace == "" || !namespaces[o.Namespace]) {
			left = append(left, *o)
		}
	}
	return left, missing
}

func holds(objects []Object, namespace string) bool {
	for i := range objects {
		if objects[i].Namespace == namespace {
			return true
		}
	}
	return false
}

// sameTemplate reports whether the pods that old made are like those that replacement would make.
func sameTemplate(old, replacement *Object) bool {
	a, ok := old.value.(*cluster.Template)
	b, ok2 := replacement.value.(*cluster.Template)
	return !ok || !ok2 || reflect.DeepEqual(a.Workload, b.Workload)
}

// madeBy gives the keys of what the makers made, and of what that made in turn.
func madeBy(objects []Object, makers []key) map[key]bool {
	made := map[key][]key{}
	if len(makers) > 0 {
		for i := range objects {
			if maker, ok := objects[i].maker(); ok {
				made[maker] = append(made[maker], objects[i].key())
			}
		}
	}
	out := map[key]bool{}
	for todo := slices.Clip(makers); len(todo) > 0; todo = todo[1:] {
		for _, k := range made[todo[0]] {
			if !out[k] {
				out[k] = true
				todo = append(todo, k)
			}
		}
	}
	return out
}
