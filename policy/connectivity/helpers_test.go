package connectivity_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/policy/cluster"
	"github.com/bulkhead-dev/bulkhead/policy/connectivity"
	"github.com/bulkhead-dev/bulkhead/policy/netpol"
)

// lines reads a text of one item a line; empty lines and indentation do not count.
func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

func compareLines(t *testing.T, what string, got []string, want string) {
	t.Helper()
	if diff := cmp.Diff(lines(want), got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// nodeKey names a node and its kind: "shop/Deployment/api".
func nodeKey(n *connectivity.Node) string { return n.Namespace + "/" + n.Kind + "/" + n.Name }

func endKey(e connectivity.Endpoint) string {
	if e.Node == nil {
		return e.Range.String()
	}
	return nodeKey(e.Node)
}

func formatEdge(e connectivity.Edge) string {
	return fmt.Sprintf("%s -> %s: %s", endKey(e.From), endKey(e.To), e.Ports)
}

func formatEdges(edges []connectivity.Edge) []string {
	out := make([]string, 0, len(edges))
	for _, e := range edges {
		out = append(out, formatEdge(e))
	}
	return out
}

func formatNode(n *connectivity.Node) string {
	return fmt.Sprintf("%s pods %d isolated %v host %v kinds %d", nodeKey(n), n.Pods, n.Isolated, n.HostNetwork, len(n.Workloads))
}

func formatNodes(nodes []*connectivity.Node) []string {
	out := make([]string, 0, len(nodes))
	for _, n := range nodes {
		out = append(out, formatNode(n))
	}
	return out
}

// edgesOf gives all edges between what s shows.
func edgesOf(s *cluster.Snapshot, o connectivity.Options) []connectivity.Edge {
	return slices.Collect(connectivity.Connections(context.Background(), s, o).Edges)
}

// between leaves out the edges with addresses outside the cluster.
func between(edges []connectivity.Edge) []connectivity.Edge {
	return slices.DeleteFunc(slices.Clone(edges), func(e connectivity.Edge) bool { return e.From.Node == nil || e.To.Node == nil })
}

// beyond leaves out the edges between nodes.
func beyond(edges []connectivity.Edge) []connectivity.Edge {
	return slices.DeleteFunc(slices.Clone(edges), func(e connectivity.Edge) bool { return e.From.Node != nil && e.To.Node != nil })
}

// podSpec is a pod in short.
type podSpec struct {
	namespace, name string
	kind, owner     string // of the owner; both empty for a pod that nothing owns
	labels          labels.Set
	ports           []netpol.ContainerPort
	host, finished  bool
}

// ownerKey names what made the pod, as nodeKey does.
func (p *podSpec) ownerKey() string {
	if p.kind == "" {
		return p.namespace + "/Pod/" + p.name
	}
	return p.namespace + "/" + p.kind + "/" + p.owner
}

// object gives the pod as the API server shows it: a Deployment's belongs to a ReplicaSet.
func (p *podSpec) object() *corev1.Pod {
	out := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: p.name, Labels: labels.Merge(p.labels, nil)}}
	yes := true
	switch p.kind {
	case "":
	case "Deployment":
		hash := p.labels["pod-template-hash"]
		out.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: p.owner + "-" + hash, Controller: &yes}}
	default:
		out.OwnerReferences = []metav1.OwnerReference{{Kind: p.kind, Name: p.owner, Controller: &yes}}
	}
	out.Spec.HostNetwork = p.host
	out.Spec.Containers = []corev1.Container{{Ports: containerPorts(p.ports)}}
	if p.finished {
		out.Status.Phase = corev1.PodSucceeded
	}
	return out
}

func containerPorts(ports []netpol.ContainerPort) []corev1.ContainerPort {
	var out []corev1.ContainerPort
	for _, p := range ports {
		out = append(out, corev1.ContainerPort{Name: p.Name, Protocol: p.Protocol, ContainerPort: int32(p.Number)})
	}
	return out
}

// templateSpec is a Deployment in short.
type templateSpec struct {
	namespace, name string
	labels          labels.Set
	ports           []netpol.ContainerPort
	host            bool
}

func (s *templateSpec) ownerKey() string { return s.namespace + "/Deployment/" + s.name }

func (s *templateSpec) object() *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name},
		Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: s.labels},
			Spec:       corev1.PodSpec{HostNetwork: s.host, Containers: []corev1.Container{{Ports: containerPorts(s.ports)}}},
		}},
	}
}

func namespaceObject(name string, l labels.Set) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels.Merge(l, labels.Set{corev1.LabelMetadataName: name})}}
}

// document is the part of an object by which decode knows its type.
type document struct {
	Kind string `json:"kind"`
}

// snapshotOf builds the cluster of YAML documents: Namespaces, Pods, Deployments and policies.
func snapshotOf(t testing.TB, text string) *cluster.Snapshot {
	t.Helper()
	b := cluster.NewBuilder(cluster.Options{})
	for doc := range strings.SplitSeq(text, "\n---\n") {
		if strings.TrimSpace(doc) != "" {
			decode(t, b, doc)
		}
	}
	return b.Snapshot()
}

func decode(t testing.TB, b *cluster.Builder, doc string) {
	t.Helper()
	kind := document{}
	if err := yaml.Unmarshal([]byte(doc), &kind); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	switch kind.Kind {
	case "Namespace":
		ns := read[corev1.Namespace](t, doc)
		b.SetNamespace(namespaceObject(ns.Name, ns.Labels))
	case "Pod":
		b.SetPod(cluster.PodOf(read[corev1.Pod](t, doc)))
	case "Deployment":
		template, _ := cluster.TemplateOf(read[appsv1.Deployment](t, doc))
		b.SetTemplate(template)
	case "NetworkPolicy":
		p, err := netpol.Compile(read[networkingv1.NetworkPolicy](t, doc))
		if err != nil {
			t.Fatal(err)
		}
		b.SetPolicy(p)
	case "ClusterNetworkPolicy":
		p, err := netpol.CompileClusterNetworkPolicy(read[v1alpha2.ClusterNetworkPolicy](t, doc))
		if err != nil {
			t.Fatal(err)
		}
		b.SetTierPolicy(p)
	default:
		t.Fatalf("no such kind here: %q in\n%s", kind.Kind, doc)
	}
}

// read decodes a document; unknown fields are errors, so that a typo cannot pass.
func read[T any](t testing.TB, doc string) *T {
	t.Helper()
	out := new(T)
	if err := yaml.UnmarshalStrict([]byte(doc), out); err != nil {
		t.Fatalf("%v\n%s", err, doc)
	}
	return out
}

// nodesByKey finds nodes by nodeKey.
func nodesByKey(nodes []*connectivity.Node) map[string]*connectivity.Node {
	out := map[string]*connectivity.Node{}
	for _, n := range nodes {
		out[nodeKey(n)] = n
	}
	return out
}
