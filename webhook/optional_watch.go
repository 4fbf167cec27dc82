package webhook

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// optionalPoll is how often the API server is asked which of the optional kinds it has. The real pauses are up to a fifth
// longer, so that replicas do not ask together.
const optionalPoll = 30 * time.Second

// optionalWatch watches the kinds that a cluster may have or not and that are wanted, as they come and go.
type optionalWatch struct {
	store     *Store
	client    kubernetes.Interface
	discovery discovery.DiscoveryInterfaceWithContext
	objects   dynamic.Interface
	every     time.Duration
	running   map[string]*optionalReflector // by resource
	said      map[string]string             // by resource, what kept it from being watched when it was last tried
	awaited   []string                      // the resources for which the first snapshot waits, until the first poll
}

// optionalReflector is the watch of one kind. It ends by itself where the API server has the kind no longer.
type optionalReflector struct {
	stop context.CancelFunc
	done chan struct{}
}

func (r *optionalReflector) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// newOptionalWatch makes the store wait for the API server's first answer about each wanted kind, whatever that is. objects
// reads over the same connection as client.
func newOptionalWatch(s *Store, client kubernetes.Interface, objects dynamic.Interface, every time.Duration) *optionalWatch {
	var awaited []string
	for _, f := range s.optionalFeeds() {
		s.await(f.name())
		awaited = append(awaited, f.name())
	}
	return &optionalWatch{
		awaited: awaited,
		store:   s, client: client, discovery: discovery.ToDiscoveryInterfaceWithContext(client.Discovery()), objects: objects,
		every: every, running: map[string]*optionalReflector{}, said: map[string]string{},
	}
}

// overConnection gives a dynamic client over the connection of client: under the same identity, with the same
// certificates. It is nil where there is no connection, as with a fake client.
func overConnection(client kubernetes.Interface) (dynamic.Interface, error) {
	c, ok := client.Discovery().RESTClient().(*rest.RESTClient)
	if !ok {
		return nil, nil
	}
	return dynamic.NewForConfigAndClient(&rest.Config{Host: c.Get().AbsPath("/").URL().String(), QPS: -1}, c.Client)
}

// run asks which kinds there are until ctx ends.
func (w *optionalWatch) run(ctx context.Context) {
	for {
		w.poll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-w.store.rewanted:
		case <-time.After(wait.Jitter(w.every, 0.2)):
		}
	}
}

// poll asks which kinds there are, and starts and stops their watches.
func (w *optionalWatch) poll(ctx context.Context) {
	asked := map[string]served{}
	wanted := map[string]bool{}
	for _, f := range w.store.optionalFeeds() {
		wanted[f.name()] = true
		version := f.groupVersionResource().GroupVersion().String()
		if _, known := asked[version]; !known {
			asked[version] = w.served(ctx, version)
		}
		err := asked[version].err
		if err == nil {
			err = w.follow(ctx, &f, slices.Contains(asked[version].resources, f.resource))
		}
		if ctx.Err() != nil {
			return // Bulkhead is stopping; questions that were cut off say nothing about the cluster
		}
		w.say(f.name(), err)
		if w.running[f.name()] == nil {
			w.store.settle(f.name())
		}
	}
	for _, name := range w.awaited {
		if !wanted[name] { // a reload of the config came before the first answer
			w.store.settle(name)
		}
	}
	w.awaited = nil
	for name, r := range w.running {
		if !wanted[name] {
			r.stop()
			<-r.done
			delete(w.running, name)
		}
	}
}

// served are the resources of one version of a group, or why they cannot be told.
type served struct {
	resources []string
	err       error
}

// served asks for the resources of a version, such as "policy.networking.k8s.io/v1alpha2"; there may be none.
func (w *optionalWatch) served(ctx context.Context, version string) served {
	list, err := w.discovery.ServerResourcesForGroupVersionWithContext(ctx, version)
	switch {
	case apierrors.IsNotFound(err):
		return served{}
	case err != nil:
		return served{err: fmt.Errorf("whether the cluster has kinds of %s cannot be told: %w", version, err)}
	}
	out := served{}
	for i := range list.APIResources {
		out.resources = append(out.resources, list.APIResources[i].Name)
	}
	return out
}

// follow makes the kind watched where the cluster has it, and not watched where it has not.
func (w *optionalWatch) follow(ctx context.Context, f *optionalFeed, has bool) error {
	name := f.name()
	if r := w.running[name]; r != nil {
		if has && !r.ended() {
			return nil
		}
		r.stop()
		<-r.done
		delete(w.running, name)
	}
	if !has {
		return nil
	}
	if err := CheckAccess(ctx, w.client, f.rights()); err != nil {
		return err
	}
	w.running[name] = w.start(ctx, f)
	return nil
}

// say logs why a kind is not watched: once, until the reason changes.
func (w *optionalWatch) say(resource string, err error) {
	if err == nil {
		delete(w.said, resource)
		return
	}
	if w.said[resource] != err.Error() {
		w.said[resource] = err.Error()
		w.store.logger.Warn("a kind of object may not be seen, and requests are judged without it", "resource", resource, "error", err.Error())
	}
}

// start watches a kind until it is stopped or the API server has the kind no longer; then the store forgets it.
func (w *optionalWatch) start(ctx context.Context, f *optionalFeed) *optionalReflector {
	watching, stop := context.WithCancel(ctx)
	logger := klog.FromContext(ctx)
	lw := cache.ToListWatcherWithWatchListSemantics(w.listWatch(f, stop), w.objects)
	r := cache.NewReflectorWithOptions(lw, f.example, &sink{w.store, f.feed}, cache.ReflectorOptions{Name: f.name(), Logger: &logger})
	out := &optionalReflector{stop: stop, done: make(chan struct{})}
	w.store.logger.Info("an optional kind is watched", "resource", f.name())
	go func() {
		defer close(out.done)
		r.RunWithContext(watching)
		if ctx.Err() == nil { // else Bulkhead is stopping, and answers with what it has until the end
			w.store.forget(&f.feed)
			w.store.logger.Info("an optional kind is no longer watched: the cluster has it no more, or no guardrail needs it", "resource", f.name())
		}
	}()
	return out
}

// listWatch lists and watches a kind, and calls gone where the API server has it no longer.
func (w *optionalWatch) listWatch(f *optionalFeed, gone context.CancelFunc) *cache.ListWatch {
	client := f.client(w.objects)
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = f.labels
			out, err := client.List(ctx, o)
			switch {
			case apierrors.IsNotFound(err):
				gone()
				return &unstructured.UnstructuredList{}, nil
			case err != nil:
				w.store.settle(f.name())
				return nil, err
			}
			return out, nil
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = f.labels
			out, err := client.Watch(ctx, o)
			if apierrors.IsNotFound(err) {
				gone()
				return watch.NewProxyWatcher(make(chan watch.Event)), nil // silent, and soon stopped
			}
			return out, err
		},
	}
}
