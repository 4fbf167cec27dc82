package webhook

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// KeepPolicies makes the store keep the NetworkPolicies as their authors wrote them, too, which costs some kilobytes for
// each: an audit judges them, where a webhook is sent what it judges. It has to be called before Watch.
func (s *Store) KeepPolicies() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects = map[string]*networkingv1.NetworkPolicy{}
}

// PolicyObject gives a stored NetworkPolicy as its author wrote it; nil where there is none that parses, or they are not
// kept. It must not be changed.
func (s *Store) PolicyObject(namespace, name string) *networkingv1.NetworkPolicy {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[namespace+"/"+name]
}

// keeping gives how objects of a feed are reduced.
func (s *Store) keeping(f *feed) func(obj any) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, policies := f.example.(*networkingv1.NetworkPolicy); !policies || s.objects == nil {
		return f.keep
	}
	return func(obj any) any {
		np := obj.(*networkingv1.NetworkPolicy)
		kept := keepPolicy(np)
		object := &networkingv1.NetworkPolicy{ObjectMeta: np.ObjectMeta, Spec: np.Spec} // one by itself keeps no list in memory
		object.ManagedFields = nil
		object.Annotations = maps.Clone(np.Annotations)
		delete(object.Annotations, corev1.LastAppliedConfigAnnotation)
		kept.object = object
		return kept
	}
}

func (s *Store) keepObject(p *storedPolicy) {
	if s.objects != nil {
		s.objects[p.key()] = p.object
	}
}

func (s *Store) dropObject(key string) { delete(s.objects, key) }
