package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/pager"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/manifest"
	"github.com/bulkhead-dev/bulkhead/policy/resources"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// listPage is how many objects one request brings: the page size of kubectl.
const listPage = 500

// tierGroup is the API group of the policies above and below NetworkPolicy.
const tierGroup = "policy.networking.k8s.io"

// liveCluster reads the objects of a cluster through its API server.
type liveCluster struct {
	client  kubernetes.Interface
	dynamic dynamic.Interface
	needs   []cluster.Resource
	warn    io.Writer
	show    *progress
	objects []manifest.Object
	partial []string
}

// loader gives the kubeconfig that the flags name.
func (o *inputOptions) loader() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.context})
}

// defaultNamespace is where manifests go that name no namespace: as with kubectl, the flag's or the context's.
func (o *inputOptions) defaultNamespace() string {
	namespace, _, err := o.loader().Namespace()
	if err != nil {
		namespace = ""
	}
	return cmp.Or(o.namespace, namespace, metav1.NamespaceDefault)
}

// readLive lists the live cluster.
func (o *inputOptions) readLive(ctx context.Context, warn io.Writer, p *progress) (*world, error) {
	loader := o.loader()
	cfg, err := loader.ClientConfig()
	if err != nil {
		return nil, usageError{fmt.Errorf("no cluster to talk to: %w%s", err, contextHint(loader, o.context))}
	}
	// The API server's own priority and fairness bounds the rate.
	cfg.QPS = -1
	cfg.UserAgent = "bulkhead/" + webhook.Version()
	dynamic, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	// Protobuf costs a fraction of JSON's time and memory.
	cfg.ContentType, cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	c := &liveCluster{client: client, dynamic: dynamic, needs: o.needs, warn: warn, show: p}
	return c.read(ctx)
}

// contextHint lists the contexts that there are where the one asked for is none of them.
func contextHint(loader clientcmd.ClientConfig, name string) string {
	raw, err := loader.RawConfig()
	if err != nil || name == "" || raw.Contexts[name] != nil || len(raw.Contexts) == 0 {
		return "; name a kubeconfig file with --kubeconfig"
	}
	names := slices.Sorted(maps.Keys(raw.Contexts))
	if near := manifest.Nearest(name, names); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return "; known here: " + strings.Join(names, ", ")
}

// liveKind is one kind that is listed.
type liveKind struct {
	plural string
	// optional is the group and version of a kind that a cluster may not have; empty for those that all have.
	optional string
	// missing says what is wrong with the result where the kind may not be listed.
	missing string
	list    pager.ListPageFunc
}

// listing makes a typed client's list a page of the pager's.
func listing[L runtime.Object](list func(context.Context, metav1.ListOptions) (L, error)) pager.ListPageFunc {
	return func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return list(ctx, o) }
}

func (c *liveCluster) kinds() []liveKind {
	core, apps, batch := c.client.CoreV1(), c.client.AppsV1(), c.client.BatchV1()
	all := metav1.NamespaceAll
	const workloads = "workloads without a pod are missing"
	out := []liveKind{
		{plural: "namespaces", missing: "namespace selectors see the name alone", list: listing(core.Namespaces().List)},
		{plural: "networkpolicies", missing: "pods count as not isolated", list: listing(c.client.NetworkingV1().NetworkPolicies(all).List)},
		{plural: "pods", missing: "only pod templates are judged", list: listing(core.Pods(all).List)},
		{plural: "services", missing: "the DNS resolver may not be found", list: listing(core.Services(all).List)},
		{plural: "deployments", missing: workloads, list: listing(apps.Deployments(all).List)},
		{plural: "statefulsets", missing: workloads, list: listing(apps.StatefulSets(all).List)},
		{plural: "daemonsets", missing: workloads, list: listing(apps.DaemonSets(all).List)},
		{plural: "replicasets", missing: workloads, list: listing(apps.ReplicaSets(all).List)},
		{plural: "replicationcontrollers", missing: workloads, list: listing(core.ReplicationControllers(all).List)},
		{plural: "jobs", missing: "pods of a CronJob count for its Job", list: listing(batch.Jobs(all).List)},
		{plural: "cronjobs", missing: workloads, list: listing(batch.CronJobs(all).List)},
		c.tier("v1alpha2", "clusternetworkpolicies"),
		c.tier("v1alpha1", "adminnetworkpolicies"),
		c.tier("v1alpha1", "baselineadminnetworkpolicies"),
	}
	for _, k := range resources.Kinds() {
		if slices.Contains(c.needs, k.Resource) {
			out = append(out, c.needed(k))
		}
	}
	return out
}

// needed is a kind that some guardrails read.
func (c *liveCluster) needed(k resources.Kind) liveKind {
	var client dynamic.ResourceInterface = c.dynamic.Resource(k.GroupVersionResource)
	if k.Namespace != "" {
		client = c.dynamic.Resource(k.GroupVersionResource).Namespace(k.Namespace)
	}
	return liveKind{
		plural: k.GroupVersionResource.Resource, optional: k.GroupVersionResource.GroupVersion().String(),
		missing: "the guardrails that read them find nothing in them",
		list: listing(func(ctx context.Context, o metav1.ListOptions) (*unstructured.UnstructuredList, error) {
			o.LabelSelector = k.Labels
			return client.List(ctx, o)
		}),
	}
}

func (c *liveCluster) tier(version, plural string) liveKind {
	resource := schema.GroupVersionResource{Group: tierGroup, Version: version, Resource: plural}
	return liveKind{
		plural: plural, optional: tierGroup + "/" + version, missing: "what they decide is left out",
		list: listing(c.dynamic.Resource(resource).List),
	}
}

// read lists every kind. One that may not be listed is a warning, and makes the result partial.
func (c *liveCluster) read(ctx context.Context) (*world, error) {
	var refused error
	var missing []string           // what is missing, in the order of the kinds
	kinds := map[string][]string{} // by what is missing without them
	readable := 0
	for _, k := range c.kinds() {
		switch err := c.list(ctx, k); {
		case err == nil && k.optional == "":
			readable++
		case err == nil, k.optional != "" && c.absent(k, err):
		case apierrors.IsForbidden(err):
			refused = cmp.Or(refused, err)
			if kinds[k.missing] == nil {
				missing = append(missing, k.missing)
			}
			kinds[k.missing] = append(kinds[k.missing], k.plural)
		default:
			c.show.clear()
			return nil, fmt.Errorf("%s cannot be listed: %w", k.plural, err)
		}
	}
	c.show.clear()
	if readable == 0 {
		return nil, fmt.Errorf("nothing of the cluster may be read: %w; ask for the right to list namespaces, networkpolicies and pods",
			refused)
	}
	for _, what := range missing {
		c.lack(fmt.Sprintf("%s may not be listed: %s", strings.Join(kinds[what], ", "), what))
	}
	return &world{objects: c.objects, partial: c.partial}, nil
}

// absent reports whether the cluster does not have an optional kind. Who may not list a kind is told so whether or not it
// exists; then discovery, which everyone may read, knows.
func (c *liveCluster) absent(k liveKind, err error) bool {
	if apierrors.IsForbidden(err) {
		_, err = c.client.Discovery().ServerResourcesForGroupVersion(k.optional)
	}
	return apierrors.IsNotFound(err)
}

// lack notes what the result will lack.
func (c *liveCluster) lack(sentence string) {
	c.show.clear()
	fmt.Fprintln(c.warn, "warning:", sentence)
	c.partial = append(c.partial, sentence)
}

// list reads all objects of a kind, a page at a time, and keeps of each what a snapshot needs.
func (c *liveCluster) list(ctx context.Context, k liveKind) error {
	p := pager.New(k.list)
	p.PageSize = listPage
	n := 0
	return p.EachListItem(ctx, metav1.ListOptions{}, func(item runtime.Object) error {
		if n++; n%100 == 1 {
			c.show.step("listing "+k.plural, n, 0)
		}
		typed, err := typedObject(item)
		if err != nil {
			c.lack(fmt.Sprintf("a stored object of %s is left out: %v", k.plural, err))
			return nil
		}
		o, err := manifest.New(typed)
		if err != nil {
			c.lack(fmt.Sprintf("a stored policy is left out: %v", err))
			return nil
		}
		c.objects = append(c.objects, o)
		return nil
	})
}

// typedObject gives the object of a list as the type of its kind.
func typedObject(item runtime.Object) (metav1.Object, error) {
	u, ok := item.(*unstructured.Unstructured)
	if !ok {
		return item.(metav1.Object), nil // every object of a typed list has metadata
	}
	out := goType(u.GroupVersionKind())
	return out, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, out)
}

// goType makes an empty object of an optional kind.
func goType(kind schema.GroupVersionKind) metav1.Object {
	for _, k := range resources.Kinds() {
		if k.Kind == kind.Kind && k.GroupVersionResource.GroupVersion() == kind.GroupVersion() {
			return k.New()
		}
	}
	switch kind.Kind {
	case "ClusterNetworkPolicy":
		return &v1alpha2.ClusterNetworkPolicy{}
	case "AdminNetworkPolicy":
		return &v1alpha1.AdminNetworkPolicy{}
	}
	return &v1alpha1.BaselineAdminNetworkPolicy{}
}
