package webhook

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Watch starts to list and watch every resource, until ctx ends. Failures are logged and retried with a growing delay;
// the last snapshot stays in use meanwhile. Cluster-wide policies and what guardrails need besides are watched while
// the cluster has their kinds; a client without a connection, as fakes are, has none.
func (s *Store) Watch(ctx context.Context, client kubernetes.Interface) {
	logger := klog.New(logr.FromSlogHandler(s.logger.Handler()).GetSink())
	objects, err := overConnection(client)
	switch {
	case err != nil:
		s.logger.Error("optional kinds cannot be watched, and requests are judged without them", "error", err.Error())
	case objects != nil:
		go newOptionalWatch(s, client, objects, optionalPoll).run(klog.NewContext(ctx, logger))
	}
	for _, f := range feeds() {
		f.keep = s.keeping(&f)
		lw := cache.ToListWatcherWithWatchListSemantics(f.source(client), client)
		r := cache.NewReflectorWithOptions(lw, f.example, &sink{s, f}, cache.ReflectorOptions{Name: f.name(), Logger: &logger})
		go r.RunWithContext(klog.NewContext(ctx, logger))
	}
}

// sink is where a reflector puts what it hears about one resource. It implements cache.TransformingStore and
// cache.ReflectorBookmarkStore.
type sink struct {
	store *Store
	feed  feed
}

// Transformer reduces the objects of a streamed list one by one.
func (k *sink) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) {
		k.store.listing.begin(k.feed.name())
		return k.keep(obj), nil
	}
}

// keep reduces obj unless that has been done.
func (k *sink) keep(obj any) any {
	if o, ok := obj.(runtime.Object); ok {
		return k.feed.keep(o)
	}
	return obj
}

// Add hears of an object that is new.
func (k *sink) Add(obj any) error { return k.Update(obj) }

// Update hears of an object as it is now. One that is dropped now may have been kept before.
func (k *sink) Update(obj any) error {
	kept := k.keep(obj)
	if kept == nil {
		return k.Delete(obj)
	}
	k.store.edit(k.feed.name(), func() { k.feed.set(k.store, kept) })
	return nil
}

// Delete hears that an object is gone.
func (k *sink) Delete(obj any) error {
	var namespace, name string
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		if namespace, name, ok = strings.Cut(gone.Key, "/"); !ok {
			namespace, name = "", gone.Key
		}
	} else {
		o, err := meta.Accessor(obj)
		if err != nil {
			return fmt.Errorf("%s: %w", k.feed.name(), err)
		}
		namespace, name = o.GetNamespace(), o.GetName()
	}
	k.store.edit(k.feed.name(), func() { k.feed.remove(k.store, namespace, name) })
	return nil
}

// Replace hears of all objects that there are.
func (k *sink) Replace(list []any, _ string) error {
	kept := make([]any, 0, len(list))
	for _, obj := range list {
		if x := k.keep(obj); x != nil {
			kept = append(kept, x)
		}
	}
	k.store.listed(k.feed.name(), func() { k.feed.replace(k.store, kept) })
	k.store.listing.end(k.feed.name())
	return nil
}

// Resync does nothing: the store has no second copy to fall out of step with.
func (k *sink) Resync() error { return nil }

// Bookmark hears that nothing changed.
func (k *sink) Bookmark(string) error {
	k.store.heard(k.feed.name())
	return nil
}
