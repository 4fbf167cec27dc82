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

// tierPoll is how often the API server is asked which kinds of cluster-wide policies it has. The real pauses are up to a
// fifth longer, so that replicas do not ask together.
const tierPoll = 30 * time.Second

// tierWatch watches the kinds of cluster-wide policies that the cluster has, as they come and go.
type tierWatch struct {
	store     *Store
	client    kubernetes.Interface
	discovery discovery.DiscoveryInterfaceWithContext
	policies  dynamic.Interface
	every     time.Duration
	running   map[string]*tierReflector // by resource
	said      map[string]string         // by resource, what kept it from being watched when it was last tried
}

// tierReflector is the watch of one kind. It ends by itself where the API server has the kind no longer.
type tierReflector struct {
	stop context.CancelFunc
	done chan struct{}
}

func (r *tierReflector) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// newTierWatch makes the store wait for the API server's first answer about each kind, whatever that is. policies reads
// over the same connection as client.
func newTierWatch(s *Store, client kubernetes.Interface, policies dynamic.Interface, every time.Duration) *tierWatch {
	for _, f := range tierFeeds() {
		s.await(f.name())
	}
	return &tierWatch{
		store: s, client: client, discovery: discovery.ToDiscoveryInterfaceWithContext(client.Discovery()), policies: policies,
		every: every, running: map[string]*tierReflector{}, said: map[string]string{},
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
func (w *tierWatch) run(ctx context.Context) {
	for {
		w.poll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait.Jitter(w.every, 0.2)):
		}
	}
}

// poll asks which kinds there are, and starts and stops their watches.
func (w *tierWatch) poll(ctx context.Context) {
	asked := map[string]served{}
	for _, f := range tierFeeds() {
		version := f.groupVersionResource().GroupVersion().String()
		if _, known := asked[version]; !known {
			asked[version] = w.served(ctx, version)
		}
		err := asked[version].err
		if err == nil {
			err = w.follow(ctx, &f, slices.Contains(asked[version].resources, f.resource))
		}
		w.say(f.name(), err)
		if w.running[f.name()] == nil {
			w.store.settle(f.name())
		}
	}
}

// served are the resources of one version of the group, or why they cannot be told.
type served struct {
	resources []string
	err       error
}

// served asks for the resources of a version, such as "policy.networking.k8s.io/v1alpha2"; there may be none.
func (w *tierWatch) served(ctx context.Context, version string) served {
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
func (w *tierWatch) follow(ctx context.Context, f *tierFeed, has bool) error {
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
func (w *tierWatch) say(resource string, err error) {
	if err == nil {
		delete(w.said, resource)
		return
	}
	if w.said[resource] != err.Error() {
		w.said[resource] = err.Error()
		w.store.logger.Warn("cluster-wide policies may not be seen, and requests are judged without them",
			"resource", resource, "error", err.Error())
	}
}

// start watches a kind until it is stopped or the API server has the kind no longer; then the store forgets it.
func (w *tierWatch) start(ctx context.Context, f *tierFeed) *tierReflector {
	watching, stop := context.WithCancel(ctx)
	logger := klog.FromContext(ctx)
	lw := cache.ToListWatcherWithWatchListSemantics(w.listWatch(f, stop), w.policies)
	r := cache.NewReflectorWithOptions(lw, f.example, &sink{w.store, f.feed}, cache.ReflectorOptions{Name: f.name(), Logger: &logger})
	out := &tierReflector{stop: stop, done: make(chan struct{})}
	w.store.logger.Info("cluster-wide policies are watched", "resource", f.name())
	go func() {
		defer close(out.done)
		r.RunWithContext(watching)
		if ctx.Err() == nil { // else Bulkhead is stopping, and answers with what it has until the end
			w.store.forget(&f.feed)
			w.store.logger.Info("cluster-wide policies are no longer watched: the cluster has the kind no more", "resource", f.name())
		}
	}()
	return out
}

// listWatch lists and watches a kind, and calls gone where the API server has it no longer.
func (w *tierWatch) listWatch(f *tierFeed, gone context.CancelFunc) *cache.ListWatch {
	client := w.policies.Resource(f.groupVersionResource())
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
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
			out, err := client.Watch(ctx, o)
			if apierrors.IsNotFound(err) {
				gone()
				return watch.NewProxyWatcher(make(chan watch.Event)), nil // silent, and soon stopped
			}
			return out, err
		},
	}
}
